import type pg from 'pg';
import {
  type Activation,
  asOf,
  type Basket,
  type ChangeRequest,
  type Free,
  holdOf,
  linkStateOf,
  liveBasketIdsOf,
  lockBaskets,
  lockCustomer,
  lockLoneCustomers,
  openChangeQueue,
  readBasket,
  readSnapshot,
  sameCode,
  saveBasket,
  saveBaskets,
  saveSuperseded,
  supersedable,
  supersede,
  takeWhatItWaitsFor,
} from '../baskets/index.ts';
import { readEvents } from '../catalogue/index.ts';
import { isRefusal, type ProblemCode, type Refusal, refuse } from '../errors.ts';
import type { Admission, HoldMetrics } from '../holds/index.ts';
import type { ApiCaller } from '../http/access.ts';
import { type IdempotencyKey, runOnce } from '../http/idempotency.ts';
import { type ClickedEvent, linkChecks, logsIn, outerExpiry } from '../links/index.ts';
import type { openBatchQueue } from '../platform/batch-queue.ts';
import type { Keyring } from '../platform/crypto.ts';
import type { QueueMetrics } from '../platform/metrics.ts';
import { withTransaction } from '../platform/postgres.ts';
import { type Shop, type ShopCache, withParameters } from '../shops/index.ts';
import { readSpent, spend } from './store.ts';
import { type Confirmation, confirmationTtlMs, readConfirmation, readSession, writeSession } from './tokens.ts';

/** What redemption works with. */
export type RedeemDeps = {
  pool: pg.Pool;
  shops: ShopCache;
  admission: Admission;
  metrics: HoldMetrics;
  confirmationKeys: Keyring;
  sessionKeys: Keyring;
  redeemTogether: ReturnType<typeof openRedemptionQueue>;
};

/** What a shop front end says when it redeems a token. */
export type RedeemRequest = {
  token: string;
  customerId: string | null;
  context: 'customer' | 'box_office';
  currentBasketId: string | null;
  sessionToken: string | null;
};

/** What the front end is told to do about the customer's login. */
type Login = 'auto' | 'signIn' | 'none';

/** A redeemed token: the basket, who its customer is, and the session to work on it with. */
export type Redeemed = {
  basket: Basket;
  login: Login;
  sessionToken: string;
  sessionExpiresAt: Date;
  redirectUrl: string;
  expiredBasketIds: string[];
  /** Codes that were used up when a basket that waited was activated. */
  droppedCodes: string[];
  now: Date;
  replayed: boolean;
};

/** All that the checks of a redemption look at. `basket` is as everybody sees it at `now`. */
type Attempt = {
  request: RedeemRequest;
  confirmation: Confirmation;
  now: Date;
  basket: Basket;
  events: readonly Pick<ClickedEvent, 'status'>[];
  spent: boolean;
};

/** A request to redeem a token that is one of the shop's. */
type Redemption = ChangeRequest & { shop: Shop; redeem: RedeemRequest; confirmation: Confirmation };

/**
 * The checks of a redemption, in the order in which they are made: the first that fails is the answer. All of them are
 * made in the transaction that spends the token, on the locked basket and by Postgres' clock.
 */
const redemptionChecks: readonly { code: ProblemCode; fails: (attempt: Attempt) => boolean }[] = [
  { code: 'customer_context_only', fails: ({ request }) => request.context === 'box_office' },
  { code: 'confirmation_used', fails: ({ spent }) => spent },
  {
    // A token from before the click behind the present session: that click has taken its place.
    code: 'confirmation_used',
    fails: ({ confirmation, basket }) =>
      basket.sessionIssuedAt !== null && confirmation.issuedAt < basket.sessionIssuedAt,
  },
  {
    code: 'confirmation_expired',
    fails: ({ confirmation, now }) => now.getTime() >= confirmation.issuedAt.getTime() + confirmationTtlMs,
  },
  ...linkChecks.map(({ code, fails }) => ({
    code,
    fails: ({ confirmation, now, basket, events }: Attempt) => {
      const link = { ...confirmation, generation: confirmation.linkGeneration, expiresAt: outerExpiry(basket) };
      return fails({ link, now, basket, events });
    },
  })),
  {
    // Last, because it alone spends the token: whoever is told so must sign in as somebody else and click again.
    code: 'customer_mismatch',
    fails: ({ request, basket }) =>
      request.customerId !== null && basket.customerId !== null && request.customerId !== basket.customerId,
  },
];

/**
 * Redeems a confirmation token, once: the basket is activated and the newest click's session becomes the valid one.
 * Everything happens in one transaction, or nothing does. Refusals: `not_found` for what is not a token of this caller,
 * those of redemptionChecks, `basket_expired`, and of one that waited those of takeWhatItWaitsFor; all with a
 * `redirectUrl` to send the customer to.
 */
export async function redeemConfirmation(
  deps: RedeemDeps,
  caller: ApiCaller & { shopId: string },
  request: RedeemRequest,
  key: IdempotencyKey | null,
): Promise<Redeemed | Refusal> {
  const shop = await deps.shops.get(caller.shopId);
  if (shop === null) return refuse('not_found');
  const confirmation = readConfirmation(deps.confirmationKeys, request.token);
  if (confirmation === null || confirmation.shopNumber !== shop.shopNumber) {
    return notOurs(shop);
  }
  const { basketId } = confirmation;
  const conditions = { key, ifMatch: undefined };
  const together = await deps.redeemTogether({ caller, basketId, conditions, shop, redeem: request, confirmation });
  if (together === 'overloaded') return refuse('unavailable');
  const result = together
    ? { ...together.answer, ...together, ended: [] }
    : await redeemAlone(deps, shop, caller, request, confirmation, key);
  if (isRefusal(result)) return result;

  const { basket, ended } = result;
  if (!result.replayed) {
    const isFirst = basket.activatedAt?.getTime() === result.now.getTime();
    if (isFirst) deps.metrics.changed('activated');
    deps.metrics.changed('superseded', ended.length);
    await deps.admission.release(ended);
    void deps.admission.settle([holdOf(basket)]);
  }
  return {
    basket,
    login: result.login,
    sessionToken: writeSession(deps.sessionKeys, shop.shopNumber, basket.basketId, confirmation.id),
    sessionExpiresAt: new Date(basket.lifetimeEndsAt.getTime() + basket.checkoutSeconds * 1000),
    redirectUrl: shop.frontend.basketUrl,
    expiredBasketIds: result.expiredBasketIds,
    droppedCodes: result.droppedCodes,
    now: result.now,
    replayed: result.replayed,
  };
}

/**
 * Group commit of redemptions as nearly all are: the first of a basket that holds its stock, for a customer who has no
 * other basket.
 */
export function openRedemptionQueue(pool: pg.Pool, metrics: QueueMetrics, openQueue: typeof openBatchQueue) {
  return openChangeQueue(pool, metrics, openQueue, {
    change: activateFree,
    answerOf: ({ basket, request: { shop, redeem } }: Free<Redemption>) => ({
      login: loginOf(shop, basket, redeem.customerId),
      expiredBasketIds: [],
      droppedCodes: [],
    }),
    alsoApart: ({ shop, redeem }) =>
      redeem.customerId === null ? [] : [`customer ${shop.shopId}/${redeem.customerId}`],
  });
}

async function activateFree(tx: pg.PoolClient, free: readonly Free<Redemption>[]): Promise<Basket[]> {
  const named = free.flatMap(({ basket, request: { redeem } }) => {
    const customerId = basket.customerId ?? redeem.customerId;
    return customerId === null ? [] : [{ ...basket, customerId }];
  });
  const [withoutOthers, spent] = await Promise.all([lockLoneCustomers(tx, named), readSpent(tx, free.map(tokenOf))]);
  const withOthers = new Set(named.filter((basket) => !withoutOthers.has(basketName(basket))).map(basketName));
  const common = free.filter((one) => {
    const isSpent = spent.has(one.request.confirmation.id.toString('hex'));
    return !withOthers.has(basketName(one.basket)) && isCommon(one, isSpent);
  });
  const [saved] = await Promise.all([
    saveBaskets(
      tx,
      common.map(({ basket, now, request: { shop, redeem, confirmation } }) => {
        const login = loginOf(shop, basket, redeem.customerId);
        const session = sessionFor(basket, redeem.customerId, confirmation, login);
        return { basket, change: { ...session, ...firstActivation(basket, null, now) } };
      }),
      'basket.activated',
    ),
    spend(tx, common.map(tokenOf)),
  ]);
  return saved;
}

const basketName = ({ shopId, basketId }: Pick<Basket, 'shopId' | 'basketId'>) => `${shopId}/${basketId}`;
const tokenOf = ({ basket, request }: Free<Redemption>) => ({
  shopId: basket.shopId,
  confirmationId: request.confirmation.id,
});

function isCommon({ basket, now, eventStatuses, request }: Free<Redemption>, spent: boolean): boolean {
  const { redeem, confirmation } = request;
  const events = eventStatuses.map((status) => ({ status }));
  const attempt = { request: redeem, confirmation, now, basket: asOf(basket, now), events, spent };
  const namesOther = redeem.currentBasketId !== null && redeem.currentBasketId !== basket.basketId;
  const isFirst = basket.activatedAt === null && !basket.waiting;
  return isFirst && !namesOther && !redemptionChecks.some(({ fails }) => fails(attempt));
}

async function redeemAlone(
  deps: RedeemDeps,
  shop: Shop,
  caller: ApiCaller,
  request: RedeemRequest,
  confirmation: Confirmation,
  key: IdempotencyKey | null,
): Promise<Done | Refusal> {
  const session = request.sessionToken === null ? null : await readSession(deps, request.sessionToken);
  const owns = (basket: Basket) =>
    session?.basketId === basket.basketId && basket.sessionId !== null && session.sessionId.equals(basket.sessionId);

  return withTransaction<Done | Refusal>(
    deps.pool,
    (tx) => redeemIn(tx, shop, caller, request, confirmation, key, owns),
    (outcome) => !isRefusal(outcome) || outcome.refused === 'customer_mismatch',
  );
}

type Done = {
  basket: Basket;
  login: Login;
  expiredBasketIds: string[];
  droppedCodes: string[];
  ended: Basket[];
  now: Date;
  replayed: boolean;
};

async function redeemIn(
  tx: pg.PoolClient,
  shop: Shop,
  caller: ApiCaller,
  request: RedeemRequest,
  confirmation: Confirmation,
  key: IdempotencyKey | null,
  owns: (basket: Basket) => boolean,
): Promise<Done | Refusal> {
  const { shopId } = shop;
  const { basketId } = confirmation;
  let done: Done | undefined;
  const stored = await runOnce(tx, key, async () => {
    const unlocked = await readBasket(tx, shopId, basketId);
    if (unlocked === null) return refused(shop, 'basket_expired', basketId);
    if (caller.partner !== null && caller.partner !== unlocked.basket.partner) return notOurs(shop);
    const customerId = unlocked.basket.customerId ?? request.customerId;
    if (customerId !== null) await lockCustomer(tx, shopId, customerId);
    const otherIds = customerId === null ? [] : await liveBasketIdsOf(tx, shopId, customerId);
    const current = request.currentBasketId === null ? [] : [request.currentBasketId];
    const locked = await lockBaskets(tx, shopId, [basketId, ...otherIds, ...current]);
    const found = locked.get(basketId);
    // It ended long ago, and was pruned just now.
    if (found === undefined) return refused(shop, 'basket_expired', basketId);
    const { now } = found;
    const basket = asOf(found.basket, now);
    const events = [...(await readEvents(tx, shopId, basket.eventIds)).values()];
    const token = { shopId, confirmationId: confirmation.id };
    const spent = (await readSpent(tx, [token])).size > 0;
    const failed = redemptionChecks.find(({ fails }) => fails({ request, confirmation, now, basket, events, spent }));
    if (failed) {
      if (failed.code === 'customer_mismatch') await spend(tx, [token]);
      const refusal = refused(shop, failed.code, basketId);
      if (failed.code !== 'confirmation_used' || !owns(basket)) return refusal;
      return { ...refusal, extensions: { redirectUrl: shop.frontend.basketUrl } };
    }

    const login = loginOf(shop, basket, request.customerId);
    const ofCustomer = { ...basket, customerId: basket.customerId ?? request.customerId };
    const others = [...locked.values()]
      .map((other) => other.basket)
      .filter((other) => {
        if (other.basketId === basketId || shop.link.otherBaskets === 'keep') return false;
        if (other.customerId === null) return other.basketId === request.currentBasketId && owns(other);
        return other.customerId === ofCustomer.customerId && knowsCustomer(login, ofCustomer, request.customerId);
      });
    const ending = supersedable(others, now);
    const hold = basket.waiting ? await takeWhatItWaitsFor(tx, basket, ending, now) : null;
    if (isRefusal(hold)) return withRedirect(shop, hold, basketId);
    const ended = hold === null ? await supersede(tx, ending, now) : await saveSuperseded(tx, ending, now);
    await spend(tx, [token]);
    const session = sessionFor(basket, request.customerId, confirmation, login);
    const activated =
      basket.activatedAt === null
        ? await saveBasket(tx, basket, { ...session, ...firstActivation(basket, hold, now) }, 'basket.activated')
        : await saveBasket(tx, basket, session, session.customerId === basket.customerId ? null : 'basket.updated');
    const expiredBasketIds = ended.map((other) => other.basketId);
    const dropped = basket.codes.filter((code) => !activated.codes.some((kept) => sameCode(kept, code)));
    const droppedCodes = dropped.map(({ code }) => code);
    done = { basket: activated, login, expiredBasketIds, droppedCodes, ended, now, replayed: false };
    const answer = { login, expiredBasketIds, droppedCodes, now: now.toISOString() };
    return { status: 200, basketId, sequence: activated.sequence, answer };
  });
  if (isRefusal(stored)) return stored;
  if (done) return done;
  const answer = stored.answer as Pick<Done, 'login' | 'expiredBasketIds'> & { droppedCodes?: string[]; now: string };
  const clock = await readBasket(tx, shopId, basketId);
  const basket = await readSnapshot(tx, shopId, basketId, stored.sequence ?? 0);
  if (clock === null || basket === null) throw new Error('a stored answer lost its basket');
  // The answer opens a session: it is given again only to somebody who could have had it from the token itself.
  if (clock.now.getTime() >= confirmation.issuedAt.getTime() + confirmationTtlMs) {
    return refused(shop, 'confirmation_used', basketId);
  }
  return { droppedCodes: [], ...answer, basket, ended: [], now: new Date(answer.now), replayed: true };
}

/** `auto` only by whoever may log in, and when a basket is opened again only for somebody who is signed in already. */
function loginOf(shop: Shop, basket: Basket, signedInAs: string | null): Login {
  if (shop.customer.login === 'none' || (basket.customerId === null && signedInAs === null)) return 'none';
  const again = basket.activatedAt !== null;
  return logsIn(shop, linkStateOf(basket)) && (!again || signedInAs === basket.customerId) ? 'auto' : 'signIn';
}

/** Whether the person in this session is known to be the basket's customer, or will be in a moment. */
function knowsCustomer(login: Login, basket: Basket, signedInAs: string | null): boolean {
  return login === 'auto' || (login === 'signIn' && signedInAs === basket.customerId);
}

/** What the session of a redeemed token changes in a basket. */
function sessionFor(basket: Basket, signedInAs: string | null, confirmation: Confirmation, login: Login) {
  const customerId = basket.customerId ?? signedInAs;
  return {
    sessionId: confirmation.id,
    sessionIssuedAt: confirmation.issuedAt,
    sessionCustomerId: login === 'signIn' ? signedInAs : customerId,
    customerId,
    // A customer whom the front end named was not named by somebody who may log people in.
    customerSetterMayLogIn: basket.customerSetterMayLogIn && customerId === basket.customerId,
  };
}

/** What its first activation changes in a basket; `hold` is what one that waited takes by it. */
function firstActivation(basket: Basket, hold: Activation | null, now: Date) {
  // The customer gets the whole time from the first activation on, however long the link lay in the mailbox.
  const lifetimeMs = basket.lifetimeEndsAt.getTime() - basket.createdAt.getTime();
  const lifetimeEndsAt = new Date(now.getTime() + lifetimeMs);
  const atLeast = Math.min(now.getTime() + basket.ttlSeconds * 1000, lifetimeEndsAt.getTime());
  // Of one that waited no time has run, and its link's end is not its own.
  const expiresAt = new Date(hold === null ? Math.max(basket.expiresAt.getTime(), atLeast) : atLeast);
  return { ...hold, status: 'activated' as const, activatedAt: now, lifetimeEndsAt, expiresAt };
}

/** What is said alike of rubbish, of another shop's token, and to a partner of another partner's. */
function notOurs(shop: Shop): Refusal {
  return { ...refuse('not_found'), extensions: { redirectUrl: problemUrl(shop, 'link_invalid', null) } };
}

function refused(shop: Shop, code: ProblemCode, basketId: string): Refusal {
  return withRedirect(shop, refuse(code), basketId);
}

function withRedirect(shop: Shop, refusal: Refusal, basketId: string): Refusal {
  const redirectUrl = problemUrl(shop, refusal.refused, basketId);
  return { ...refusal, extensions: { ...refusal.extensions, redirectUrl } };
}

function problemUrl(shop: Shop, code: ProblemCode, basketId: string | null): string {
  return withParameters(shop.frontend.errorUrl, { error: code, basket_id: basketId });
}
