import {
  applyCode,
  type BasketRouteDeps,
  createBasket,
  editBasket,
  isLive,
  type LineEdit,
  type PatchableBasket,
  type RevenueShare,
  readBasket,
  removeCode,
  type WrittenLine,
} from '../baskets/index.ts';
import { findItemOfPackage, type SellableItem } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import type { ApiCaller } from '../http/access.ts';
import type { IdempotencyKey } from '../http/idempotency.ts';
import type { CodeTries } from '../http/limits.ts';
import { minorOf } from '../money/index.ts';
import type { Keyring } from '../platform/crypto.ts';
import { giftVariables } from '../webhooks/index.ts';
import { findPackage } from './dynamic/find.ts';
import { type Fields, fieldsOf, flagIn, isLeftOut, numberIn, objectIn, required, textIn, wrong } from './fields.ts';
import { readIdent, writeIdent, writePaymentSecret } from './ident.ts';
import type { Storefront, StorefrontBasket } from './model.ts';
import { basketNotFound, inWordsOf } from './problems.ts';
import { cardNamed, renderBasket } from './render-basket.ts';

/** What the room works with on baskets. */
export type StorefrontDeps = Pick<
  BasketRouteDeps,
  | 'pool'
  | 'clock'
  | 'shops'
  | 'items'
  | 'admission'
  | 'suspect'
  | 'cardKeys'
  | 'commit'
  | 'linkKid'
  | 'startLink'
  | 'countCodeTries'
> & { publicUrl: string; identKeys: Keyring; paymentKeys: Keyring; stateKeys: Keyring };

/** A basket after what was asked for, and whether that was answered before. */
export type Done = StorefrontBasket & { replayed: boolean };

/** As many as a basket may have. */
const maxShares = 50;

/** Gives a value as the schemas of baskets have it, or says what is wrong with it: `invalid_request`. */
export type Check<T> = (value: unknown) => T | Refusal;

/** Whoever calls acts for the shop, for this partner of it or none, and may log nobody in. */
function callerFor({ shop, caller }: Storefront, partner: string | null): ApiCaller & { shopId: string } {
  const subject = caller?.subject ?? 'web store';
  return { kind: 'api', shopId: shop.shopId, partner, scopes: new Set(), subject };
}

/** The same on a basket: its ident is all that is needed, whosever basket it is. */
function callerOn(at: StorefrontBasket): ApiCaller & { shopId: string } {
  return callerFor(at, at.basket.partner);
}

/**
 * Creates a basket as a web store does: empty. One that a back end makes holds its stock from the first package on, and the
 * back end says whose address it is for; of one that anybody may make nothing is held until its start link is opened, and
 * it is for the address that asks, and in a shop whose customers sign in for no user that is only said. How the money is
 * shared is for a back end to say. Refusals: `invalid_request`, `forbidden`, those of createBasket.
 *
 * @param address where the request comes from
 */
export async function createStorefrontBasket(
  deps: StorefrontDeps,
  storefront: Storefront,
  fields: Fields,
  address: string,
  check: { details: Check<PatchableBasket>; share: Check<RevenueShare> },
  key: IdempotencyKey | null,
): Promise<Done | Refusal> {
  const { shop, caller } = storefront;
  if (caller && !caller.scopes.has('baskets:write')) {
    return refuse('forbidden', { detail: 'To create baskets the API key needs the scope `baskets:write`.' });
  }
  const read = {
    successRedirectUrl: textIn(fields, 'complete_url'),
    cancelRedirectUrl: textIn(fields, 'cancel_url'),
    email: textIn(fields, 'email'),
    // Where customers sign in, anybody could say to be another.
    username: caller === null && shop.customer.authProviders.length > 0 ? null : textIn(fields, 'username'),
    ipAddress: caller === null ? address : textIn(fields, 'ip_address'),
    custom: objectIn(fields, 'custom'),
    autoRedirect: flagIn(fields, 'complete_auto_redirect'),
  };
  const wrongField = Object.values(read).find(isRefusal);
  if (wrongField) return wrongField;
  const { autoRedirect, email, username, ...rest } = read;
  const customer = { ...(email === null ? {} : { email }), ...(username === null ? {} : { username }) };
  const details = check.details({
    ...rest,
    customer,
    failureRedirectUrl: null,
    country: null,
    locale: null,
    reference: null,
  });
  if (isRefusal(details)) return details;
  const revenueShare = sharesIn(fields, storefront, check.share);
  if (isRefusal(revenueShare)) return revenueShare;
  const created = await createBasket(
    deps,
    callerFor(storefront, caller?.partner ?? null),
    {
      ...details,
      items: [],
      generateBasketUrl: false,
      reserve: caller === null ? 'activation' : 'creation',
      linkExpiresAt: null,
      linkMode: null,
      autoRedirect: autoRedirect === true,
      modifiable: true,
      discountCodes: [],
      accessCodes: [],
      giftCards: [],
      creatorCode: null,
      campaign: null,
      revenueShare,
    },
    key,
    () => Promise.reject(new Error('there are no codes to try')),
  );
  if (isRefusal(created)) return created;
  const { basket, replayed } = created;
  const ident = writeIdent(deps.identKeys, { shopNumber: shop.shopNumber, basketId: basket.basketId });
  return { shop, caller, ident, basket, now: basket.createdAt, replayed };
}

/** The shares that a back end names; amounts come as decimals. Refusals: `forbidden`, `invalid_request`. */
function sharesIn(fields: Fields, { shop, caller }: Storefront, check: Check<RevenueShare>): RevenueShare[] | Refusal {
  const { revenue_share: written } = fields;
  if (isLeftOut(written)) return [];
  if (caller === null)
    return refuse('forbidden', { detail: 'Only a back end, with its API key, may share the money.' });
  if (!Array.isArray(written) || written.length > maxShares) {
    return wrong('revenue_share', `must be a list of at most ${maxShares}`);
  }
  const shares: RevenueShare[] = [];
  for (const [at, entry] of written.entries()) {
    const share = fieldsOf(entry);
    if (isRefusal(share)) return wrong(`revenue_share/${at}`, 'must be an object');
    const { wallet_ref: walletRef, amount, gateway_fee_percent: gatewayFeePercent } = share;
    const amountMinor = typeof amount === 'number' ? minorOf(amount, shop.currency) : null;
    const read = check({
      walletRef,
      amount: amountMinor,
      ...(isLeftOut(gatewayFeePercent) ? {} : { gatewayFeePercent }),
    });
    if (isRefusal(read))
      return wrong(`revenue_share/${at}`, 'must have wallet_ref, amount and perhaps gateway_fee_percent');
    shares.push(read);
  }
  return shares;
}

/**
 * The basket that an ident opens, in this web store or, where the path names none, in the one that the ident is of; one
 * that has ended unpaid is not found any more. Refusals: `basket_not_found`, `unauthorized` (a back end of another shop:
 * it must not pass for one of this).
 */
export async function findStorefrontBasket(
  deps: Pick<StorefrontDeps, 'pool' | 'shops' | 'identKeys'>,
  storefront: Storefront | null,
  ident: string,
  caller: ApiCaller | null,
): Promise<StorefrontBasket | Refusal> {
  const named = readIdent(deps.identKeys, ident);
  const shop = named && (storefront?.shop ?? (await deps.shops.byNumber(named.shopNumber)));
  if (!named || !shop?.tebex.enabled) return basketNotFound();
  if (caller !== null && caller.shopId !== shop.shopId) return refuse('unauthorized');
  const found = await readBasket(deps.pool, shop.shopId, named.basketId);
  if (found === null || (!isLive(found.basket) && found.basket.status !== 'completed')) return basketNotFound();
  return { shop, caller, ident, ...found };
}

/** A basket as Tebex shows it, with the link to pay it or, once it is paid, of its payment. */
export async function showStorefrontBasket(deps: StorefrontDeps, at: StorefrontBasket) {
  const { shop, caller, ident, basket, now } = at;
  const itemIds = [...new Set(basket.lines.map(({ itemId }) => itemId))];
  const items = itemIds.length === 0 ? new Map() : await deps.items.fresh(shop.shopId, itemIds);
  const named = { shopNumber: shop.shopNumber, basketId: basket.basketId };
  const links =
    basket.status === 'completed'
      ? { payment: `${deps.publicUrl}/api/payments/${writePaymentSecret(deps.paymentKeys, named)}` }
      : { checkout: await deps.startLink(basket, await deps.linkKid(shop)) };
  const sharesMoney = caller !== null && (caller.partner === null || caller.partner === basket.partner);
  return renderBasket(basket, now, { ident, items, links, sharesMoney });
}

/**
 * Adds a package, or more of one that is there already; for somebody else where a recipient is named. Whether it is bought
 * once or by subscription is the package's to say, whatever `type` a client sends, and so is whether it is dynamic.
 * Refusals: `invalid_request`, `package_not_found`, those of editBasket.
 */
export async function addPackage(
  deps: StorefrontDeps,
  at: StorefrontBasket,
  fields: Fields,
  check: Check<WrittenLine>,
  key: IdempotencyKey | null,
): Promise<Done | Refusal> {
  const idOrSlug = required('package_id', textIn({ package_id: numberAsText(fields.package_id) }, 'package_id'));
  if (isRefusal(idOrSlug)) return idOrSlug;
  const quantity = numberIn(fields, 'quantity');
  if (isRefusal(quantity)) return quantity;
  const custom = objectIn(fields, 'custom');
  if (isRefusal(custom)) return custom;
  const found = await findPackage(deps, at, idOrSlug);
  if (isRefusal(found)) return found;
  const { itemId } = found;
  const item = (await deps.items.fresh(at.shop.shopId, [itemId])).get(itemId);
  const variables = variablesIn(fields, item);
  if (isRefusal(variables)) return variables;
  // What a back end has said of the package is not the customer's to replace.
  const customOfLine = { ...custom, ...found.custom };
  const line = check({ itemId, quantity: quantity ?? 1, modifiable: true, variables, custom: customOfLine });
  if (isRefusal(line)) return line;
  return edited(deps, at, { add: line }, key);
}

/** What the customer chose of a package, and for whom it is: a present for another is another line. */
function variablesIn(fields: Fields, item: SellableItem | undefined): Record<string, unknown> | Refusal {
  const variables = objectIn(fields, 'variable_data');
  if (isRefusal(variables)) return variables;
  const chosen = Object.entries(variables).map(([name, value]) => [
    name,
    optionMeant(numberAsText(value), item?.variables.find((variable) => variable.name === name)?.options ?? []),
  ]);
  const usernameId = textIn({ id: numberAsText(fields.target_username_id) }, 'id');
  const username = textIn(fields, 'target_username');
  if (isRefusal(usernameId)) return usernameId;
  if (isRefusal(username)) return username;
  return {
    ...Object.fromEntries(chosen),
    ...(usernameId === null ? {} : { [giftVariables.usernameId]: usernameId }),
    ...(username === null ? {} : { [giftVariables.username]: username }),
  };
}

/** The option that is chosen: by its value or, as Tebex' template does, by the number that it is shown with. */
function optionMeant(value: unknown, options: readonly string[]): unknown {
  const isNumber = typeof value === 'string' && /^\d{1,3}$/.test(value) && !options.includes(value);
  return isNumber ? (options[Number(value) - 1] ?? value) : value;
}

function numberAsText(value: unknown): unknown {
  return typeof value === 'number' ? `${value}` : value;
}

/**
 * Sets how many there are of a package, 0 taking it out; of several lines of it, those for other recipients say, the
 * first. Refusals: `invalid_request`, `package_not_found`, those of editBasket.
 */
export async function setQuantity(deps: StorefrontDeps, at: StorefrontBasket, fields: Fields): Promise<Done | Refusal> {
  const packageId = required('package_id', numberIn(fields, 'package_id'));
  if (isRefusal(packageId)) return packageId;
  const quantity = required('quantity', numberIn(fields, 'quantity'));
  if (isRefusal(quantity)) return quantity;
  const [lineId] = await linesOf(deps, at, packageId);
  if (lineId === undefined) return refuse('package_not_found');
  return edited(deps, at, { lineId, quantity }, null);
}

/** What no line has as its id. */
const noLine = '';

/** Takes all lines of a package out. Refusals: `invalid_request`, `package_not_found`, those of editBasket. */
export async function removePackage(
  deps: StorefrontDeps,
  at: StorefrontBasket,
  fields: Fields,
  key: IdempotencyKey | null,
): Promise<Done | Refusal> {
  const packageId = required('package_id', numberIn(fields, 'package_id'));
  if (isRefusal(packageId)) return packageId;
  const [lineId = noLine, ...others] = await linesOf(deps, at, packageId);
  for (const other of others) {
    const done = await edited(deps, at, { lineId: other, quantity: 0 }, null);
    if (isRefusal(done)) return done;
  }
  // The last one has the key: when its answer is stored, all is done. Asked again, there is no line any more.
  const done = await edited(deps, at, { lineId, quantity: 0 }, key);
  return isRefusal(done) && done.refused === 'not_found' ? refuse('package_not_found') : done;
}

async function linesOf({ pool }: StorefrontDeps, { shop, basket }: StorefrontBasket, packageId: number) {
  const itemId = await findItemOfPackage(pool, shop.shopId, packageId);
  return basket.lines.filter((line) => line.itemId === itemId).map(({ lineId }) => lineId);
}

async function edited(
  deps: StorefrontDeps,
  at: StorefrontBasket,
  edit: LineEdit,
  key: IdempotencyKey | null,
): Promise<Done | Refusal> {
  const result = await editBasket(deps, callerOn(at), at.basket.basketId, { key, ifMatch: undefined }, edit);
  if (isRefusal(result)) return result;
  const { basket, now, replayed } = result;
  return { ...at, basket, now, replayed };
}

/** The kinds of codes of a web store: the field that holds one, what we call it, and what is said of it. */
export const codeKinds = {
  coupons: { field: 'coupon_code', type: 'discount', name: 'Coupon' },
  giftcards: { field: 'card_number', type: 'giftCard', name: 'Gift card' },
  'creator-codes': { field: 'creator_code', type: 'creator', name: 'Creator code' },
} as const;
type CodeKind = keyof typeof codeKinds;

/** What is answered to a code that was applied or removed. */
type Message = { success: true; message: string };

/** Applies a code. Refusals: `invalid_request`, those of applyCode. */
export async function applyStorefrontCode(
  deps: StorefrontDeps,
  at: StorefrontBasket,
  kind: CodeKind,
  fields: Fields,
  tries: CodeTries,
  key: IdempotencyKey | null,
): Promise<Message | Refusal> {
  const { field, type, name } = codeKinds[kind];
  const code = required(field, textIn(fields, field));
  if (isRefusal(code)) return code;
  const conditions = { key, ifMatch: undefined };
  const result = await applyCode(deps, callerOn(at), at.basket.basketId, conditions, { type, code }, tries);
  if (isRefusal(result)) return inWordsOf({ '/code': field }, result);
  return { success: true, message: `${name} applied successfully` };
}

/**
 * Removes a code: the one that is named, a card by its number or by what is shown of it; one that is not named where the
 * basket has but one, as with creator codes. Refusals: `invalid_request`, those of removeCode.
 */
export async function removeStorefrontCode(
  deps: StorefrontDeps,
  at: StorefrontBasket,
  kind: CodeKind,
  fields: Fields,
  key: IdempotencyKey | null,
): Promise<Message | Refusal> {
  const { field, type, name } = codeKinds[kind];
  const named = textIn(fields, field);
  if (isRefusal(named)) return named;
  const had = type === 'giftCard' ? at.basket.giftCards.map(({ last4 }) => last4) : codesOf(at, type);
  // Also where none is meant: it may have been removed by a request with this key.
  const code = named ?? (had.length === 1 ? had[0] : undefined) ?? '';
  const conditions = { key, ifMatch: undefined };
  const wanted = { type, code: type === 'giftCard' ? cardNamed(code) : code };
  const result = await removeCode(deps, callerOn(at), at.basket.basketId, conditions, wanted);
  if (!isRefusal(result)) return { success: true, message: `${name} removed successfully` };
  if (result.refused !== 'not_found') return result;
  return code === ''
    ? wrong(field, 'is required')
    : refuse('code_unknown', { detail: `${name} is not in this basket.` });
}

function codesOf({ basket }: StorefrontBasket, type: 'discount' | 'creator'): string[] {
  return basket.codes.filter((code) => code.type === type).map(({ code }) => code);
}
