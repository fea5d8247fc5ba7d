import type pg from 'pg';
import type { ItemCache } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import {
  type Admission,
  type CommitCreation,
  type Creation,
  type CreationOutcome,
  heldBy,
  takesOf,
} from '../holds/index.ts';
import type { ApiCaller } from '../http/access.ts';
import { findAnswer, type IdempotencyKey, type StoredAnswer } from '../http/idempotency.ts';
import type { CodeTries } from '../http/limits.ts';
import type { DatabaseClock } from '../platform/clock.ts';
import type { Keyring } from '../platform/crypto.ts';
import { newId } from '../platform/ids.ts';
import type { Queryable } from '../platform/postgres.ts';
import type { Shop, ShopCache } from '../shops/index.ts';
import { findCards, type GivenCard, givenCards, payWith } from './cards.ts';
import { holdOf } from './change.ts';
import {
  countFailure,
  exhausted,
  findCodes,
  type GivenCode,
  givenCodes,
  limitsOf,
  refuseCode,
  sameCode,
  takesOfAll,
} from './codes.ts';
import { appliesTo, eventIdsOf, priceLines } from './lines.ts';
import { type AppliedCode, type Basket, type BasketLine, type CreateBasketRequest, toBasket } from './model.ts';
import { contentOf, linkExpiryOf } from './rules.ts';
import { countLiveBaskets, readSnapshot } from './store.ts';

/** What the creation of baskets works with. */
export type CreateDeps = {
  pool: pg.Pool;
  clock: DatabaseClock;
  shops: ShopCache;
  items: ItemCache;
  admission: Admission;
  /** Has what Redis counts of stock rows compared with Postgres, since it was wrong about them. */
  suspect: (shopId: string, stockIds: readonly string[]) => void;
  cardKeys: Keyring;
  /** Commits one creation, alone or together with others that wait. */
  commit: CommitCreation;
  /** The id of the key that signs a shop's start links now: an answer that is given again must be signed with the same. */
  linkKid: (shop: Shop) => Promise<string>;
};

/** A created basket. `answer` is what is stored under the idempotency key beside the snapshot. */
export type Created = { basket: Basket; answer: CreateAnswer; replayed: boolean };

/** What a creation's answer has beyond the basket. `linkKid` is null when no start link was asked for. */
type CreateAnswer = { linkKid: string | null };

const attempts = 3;

/**
 * Creates a basket and holds its stock, unless it shall wait for its activation: the reservation protocol. Rules are
 * checked on what is cached of shop and catalogue, Redis admits, Postgres decides; a commit that finds the cache old
 * tries again on fresh data. With an idempotency key, an answer that was given before is given again, whatever has
 * changed since.
 *
 * Refusals: `not_found` (no such shop), those of contentOf, linkExpiryOf, findCodes, findCards and priceLines,
 * `code_not_applicable`, `code_attempts`, `live_basket_limit`, `insufficient_stock`, `code_exhausted`,
 * `idempotency_key_reused`, `unavailable`.
 */
export async function createBasket(
  deps: CreateDeps,
  caller: ApiCaller & { shopId: string },
  body: CreateBasketRequest,
  key: IdempotencyKey | null,
  countTries: () => Promise<CodeTries>,
): Promise<Created | Refusal> {
  const [given, givenOfCards] = [givenCodes(body), givenCards(body)];
  const tries = given.length + givenOfCards.length === 0 ? null : await countTries();
  const codes = { given, givenOfCards, tries };
  let result = await attempt(deps, caller, body, codes, key, 'cached');
  // A rule's refusal is never said on what is cached. That stock is short is said by the stock itself.
  if (isRefusal(result) && result.refused !== 'insufficient_stock' && result.refused !== 'code_exhausted') {
    result = await attempt(deps, caller, body, codes, key, 'fresh');
  }
  for (let attempted = 1; attempted < attempts && result === 'stale'; attempted += 1) {
    result = await attempt(deps, caller, body, codes, key, 'fresh');
  }
  if (result === 'stale') result = refuse('unavailable');
  if (key !== null && (result === 'key_exists' || isRefusal(result))) {
    const stored = await findAnswer(deps.pool, key);
    if (isRefusal(stored)) return stored;
    if (stored !== null) return replay(deps, key.shopId, stored);
  }
  if (result === 'key_exists') return refuse('idempotency_in_progress');
  return tries === null ? result : countFailure(tries, result);
}

/** What a creation gives beside its lines, and how often such things have failed; null where it gives none. */
type Given = { given: readonly GivenCode[]; givenOfCards: readonly GivenCard[]; tries: CodeTries | null };

async function attempt(
  deps: CreateDeps,
  caller: ApiCaller & { shopId: string },
  body: CreateBasketRequest,
  { given, givenOfCards, tries }: Given,
  key: IdempotencyKey | null,
  catalogue: 'cached' | 'fresh',
): Promise<Created | Refusal | 'stale' | 'key_exists'> {
  const { shopId, partner } = caller;
  const shop = catalogue === 'cached' ? await deps.shops.get(shopId) : await deps.shops.fresh(shopId);
  if (shop === null) return refuse('not_found');
  const content = contentOf(shop, body);
  if (isRefusal(content)) return content;
  const customerId = body.customer?.id ?? null;
  const now = await deps.clock.now();
  const found = await findCodes(deps.pool, shopId, given, customerId, now);
  if (isRefusal(found)) return found;
  const cards = await findCards(deps.pool, deps.cardKeys, shopId, content.currency, givenOfCards);
  if (isRefusal(cards)) return cards;
  const tooMany = tries?.exceeded();
  if (tooMany) return tooMany;
  const { codes } = found;
  const itemIds = [...new Set(body.items.map(({ itemId }) => itemId))];
  const items = await (catalogue === 'cached' ? deps.items.get(shopId, itemIds) : deps.items.fresh(shopId, itemIds));
  const lines = priceLines(shop, items, body.items, codes, now);
  if (isRefusal(lines)) return lines;
  const pointerOf = (code: AppliedCode) => given.find((one) => sameCode(one, code))?.pointer ?? '';
  const needless = codes.find((code) => !appliesTo(code, lines));
  if (needless) return refuseCode('code_not_applicable', pointerOf(needless), 'takes nothing off these items');
  const linkExpiresAt = linkExpiryOf(body, now);
  if (isRefusal(linkExpiresAt)) return linkExpiresAt;
  const limit = linkExpiresAt === null ? await liveBasketLimit(deps.pool, shop, partner, customerId) : null;
  if (limit) return limit;

  const giftCards = payWith(cards, lines);
  const takes = takesOfAll({ lines, codes, giftCards });
  const versions = new Map([...items.values()].map((item) => [item.stockId, item.catalogueVersion]));
  for (const [stockId, version] of found.catalogueVersions) versions.set(stockId, version);
  const answer: CreateAnswer = { linkKid: body.generateBasketUrl ? await deps.linkKid(shop) : null };
  const creation: Creation = {
    shopId,
    shopVersion: shop.version,
    basketId: newId('bkt'),
    partner,
    customerId,
    reference: body.reference,
    campaign: body.campaign,
    takes,
    catalogueVersions: takes.map(({ stockId }) => versions.get(stockId) ?? null),
    limits: limitsOf(codes, customerId),
    eventIds: eventIdsOf(lines),
    lines,
    codes,
    giftCards,
    content,
    ttlSeconds: body.ttlSeconds ?? shop.basket.ttlSeconds,
    maxLifetimeSeconds: shop.basket.maxLifetimeSeconds,
    checkoutSeconds: shop.basket.checkoutSeconds,
    extensions: shop.basket.maxExtensions,
    linkExpiresAt,
    mayLogIn: caller.scopes.has('customers:login'),
    idempotency: key && { keyHash: key.keyHash, fingerprint: key.fingerprint, answer },
  };

  const admitted = await deps.admission.admit({ ...creation, takes: heldBy(creation) });
  const short = (available: ReadonlyMap<string, number>) =>
    insufficientStock(lines, available) ?? exhausted(codes, available, pointerOf) ?? 'stale';
  if (admitted.outcome === 'sold_out') return short(admitted.available);
  // Should this throw, the commit may have happened all the same: the provisional deadline finds out which it was.
  const committed = await deps.commit(creation);
  if (committed === 'overloaded') {
    await deps.admission.release([creation]);
    return refuse('unavailable');
  }
  void tellRedis(deps, creation, admitted.outcome, committed);
  if (committed.outcome === 'short') return short(committed.available);
  if (committed.outcome !== 'created') return committed.outcome;
  return { basket: toBasket(committed.row), answer, replayed: false };
}

/** Settles the admission or gives it back, and tells on the stock rows about which Redis was wrong. */
async function tellRedis(
  { admission, suspect }: CreateDeps,
  creation: Creation,
  admitted: 'admitted' | 'doubtful' | 'unreachable',
  committed: CreationOutcome,
): Promise<void> {
  const { shopId, takes } = creation;
  if (committed.outcome === 'short') admission.proveSoldOut(shopId, committed.available);
  const saidTooMuch = committed.outcome === 'short' && admitted === 'admitted';
  const saidTooLittle = committed.outcome === 'created' && admitted === 'doubtful';
  if (saidTooMuch || saidTooLittle) {
    suspect(
      shopId,
      takes.map(({ stockId }) => stockId),
    );
  }
  if (committed.outcome === 'created') {
    await admission.settle([holdOf(toBasket(committed.row))]);
  } else {
    await admission.release([creation]);
  }
}

/** The basket and the rest of a creation's answer as it was first given. */
export async function replay(
  deps: Pick<CreateDeps, 'pool'>,
  shopId: string,
  stored: StoredAnswer,
): Promise<Created | Refusal> {
  const { basketId, sequence } = stored;
  const basket =
    basketId === null || sequence === null ? null : await readSnapshot(deps.pool, shopId, basketId, sequence);
  return basket ? { basket, answer: stored.answer as CreateAnswer, replayed: true } : refuse('not_found');
}

/** Whether a caller has as many live baskets as the shop allows: `live_basket_limit`, or null. */
export async function liveBasketLimit(
  db: Queryable,
  shop: Shop,
  partner: string | null,
  customerId: string | null,
): Promise<Refusal | null> {
  const { maxLiveBasketsPerCustomer: ofCustomer, maxLiveBasketsPerPartner: ofPartner } = shop.basket;
  if (ofCustomer !== null && customerId !== null) {
    const live = await countLiveBaskets(db, shop.shopId, partner, customerId);
    if (live >= ofCustomer) return refuse('live_basket_limit', { extensions: { limit: ofCustomer } });
  }
  if (ofPartner !== null && partner !== null) {
    const live = await countLiveBaskets(db, shop.shopId, partner, null);
    if (live >= ofPartner) return refuse('live_basket_limit', { extensions: { limit: ofPartner } });
  }
  return null;
}

/** Lists the items on stock rows that are short, with what was asked of each row as a whole; null when none is. */
export function insufficientStock(
  lines: readonly BasketLine[],
  available: ReadonlyMap<string, number>,
): Refusal | null {
  const requested = new Map(takesOf(lines).map(({ stockId, quantity }) => [stockId, quantity]));
  const short = lines.filter(({ stockId }) => (available.get(stockId) ?? Infinity) < (requested.get(stockId) ?? 0));
  const errors = [...new Map(short.map((line) => [line.itemId, line])).values()].map(({ itemId, stockId }) => ({
    itemId,
    requested: requested.get(stockId) ?? 0,
    available: available.get(stockId) ?? 0,
  }));
  return errors.length === 0 ? null : refuse('insufficient_stock', { extensions: { errors } });
}
