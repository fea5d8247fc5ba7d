import type { openShop } from './shop.ts';
import { until } from './until.ts';

export type TestShop = Awaited<ReturnType<typeof openShop>>;
/** A shop on a service that runs anywhere: who calls it, and no more. */
type Callers = Omit<TestShop, 'service'>;
/** The same where the test has a look at its database. */
type WithDatabase = Callers & {
  service: Pick<TestShop['service'], 'pool'> & Partial<Pick<TestShop['service'], 'admission'>>;
};

/** A basket as the tests read it. */
export type ShownBasket = {
  id: string;
  status: string;
  statusReason: string | null;
  version: number;
  customer: { id: string | null; email: string | null } | null;
  totals: { due: number };
  serverTime: string;
  createdAt: string;
  expiresAt: string;
  activatedAt: string | null;
  extendableUntil: string;
  late: boolean;
  orderId: string | null;
};
export type Created = ShownBasket & { startBasketUrl: string };

/** A problem document as the tests read it, with the extensions that they look at. */
export type ShownProblem = {
  code: string;
  detail: string;
  requestId: string;
  redirectUrl?: string;
  errors?: object[];
  basketStatus?: string;
  statusReason?: string | null;
};

export type Redeemed = {
  basket: ShownBasket;
  customer: { id: string | null; registered: boolean; login: string };
  session: { token: string; expiresAt: string };
  redirectUrl: string;
  expiredBasketIds: string[];
};
export type CheckedOut = { basket: ShownBasket; leaseId: string; leaseExpiresAt: string; amountDue: number };
export type Redirected = { basket: ShownBasket; redirectUrl: string };

/** Creates a basket of one `stalls` unless `body` says otherwise. Throws unless it is created. */
export async function createBasket(
  shop: Callers,
  body: object = {},
  backEnd: Callers['backEnd'] = shop.backEnd,
): Promise<Created> {
  const items = [{ itemId: 'stalls', quantity: 1 }];
  const created = await backEnd.request<Created>('POST', '/v1/baskets', { items, ...body });
  if (created.status !== 201) throw new Error(`the basket was not created: ${created.text}`);
  return created.body;
}

/** Presses the button of a start link's page and gives the confirmation token that the shop front end gets. */
export async function pressLink(startBasketUrl: string): Promise<string> {
  const response = await fetch(startBasketUrl, { method: 'POST', redirect: 'manual' });
  const location = response.headers.get('location');
  const token = location === null ? null : new URL(location).searchParams.get('token');
  if (token === null) throw new Error(`the click gave no token: ${response.status} ${location}`);
  return token;
}

/** Redeems a confirmation token as the shop front end's server. */
export function redeem(shop: Callers, token: string, more: object = {}, headers: Record<string, string> = {}) {
  return shop.frontEnd.request<Redeemed & ShownProblem>('POST', '/v1/confirmations', { token, ...more }, headers);
}

/** Clicks and redeems. Throws unless the basket was activated. */
export async function activate(shop: Callers, startBasketUrl: string, more: object = {}): Promise<Redeemed> {
  const redeemed = await redeem(shop, await pressLink(startBasketUrl), more);
  if (redeemed.status !== 200) throw new Error(`the token was not redeemed: ${redeemed.text}`);
  return redeemed.body;
}

/** Reads a basket as the back end. */
export async function readBasket(shop: Callers, basketId: string): Promise<ShownBasket> {
  return (await shop.backEnd.request<ShownBasket>('GET', `/v1/baskets/${basketId}`)).body;
}

/** Lets a live basket's time run out by Postgres' clock, as if it had been made earlier. Redis goes on with its hold. */
export async function letExpire(shop: WithDatabase, ...basketIds: string[]): Promise<void> {
  await shop.service.pool.query(
    `UPDATE baskets SET expires_at = now() - interval '1 millisecond' WHERE shop_id = $1 AND basket_id = ANY($2)`,
    [shop.shopId, basketIds],
  );
  await forgetLinks(shop, ...basketIds);
}

/**
 * Has Redis say nothing any more of where the links of baskets lead: for who changes them in Postgres behind the back of
 * the service, as it never does itself.
 */
export async function forgetLinks({ service: { admission }, shopId }: WithDatabase, ...basketIds: string[]) {
  const outdated = { generation: 0, mode: null, mayLogIn: false, reservesAtActivation: false, eventIds: [] };
  const link = { ...outdated, expiresAt: new Date(Date.now() + 3_600_000) };
  for (const basketId of basketIds) {
    const hold = await until('the creation is settled', 5000, async () => {
      const found = (await admission?.holdsBeside(shopId))?.find((one) => one.basketId === basketId) ?? 'none';
      return found !== 'none' && found.state === 'admitted' ? null : found;
    });
    if (hold !== 'none') await admission?.settle([{ ...hold, link }]);
  }
}

/** Lets a basket's time run out and waits until the sweeper has given its stock back. */
export async function letBeSwept(shop: TestShop, basketId: string): Promise<void> {
  await letExpire(shop, basketId);
  await shop.service.admission.remind([{ shopId: shop.shopId, basketId, deadline: new Date(0) }]);
  await until(`basket ${basketId} is swept`, 12_000, async () => (await statusInRow(shop, basketId)) === 'expired');
}

/** The status as the row has it: a basket whose time has run out is live there until it is swept. */
export async function statusInRow(shop: WithDatabase, basketId: string): Promise<string | undefined> {
  const { rows } = await shop.service.pool.query<{ status: string }>(
    'SELECT status FROM baskets WHERE shop_id = $1 AND basket_id = $2',
    [shop.shopId, basketId],
  );
  return rows[0]?.status;
}

/** Puts an item of which there are `capacity`, at 1.00. */
export async function putItem(shop: Callers, itemId: string, capacity: number, more: object = {}): Promise<void> {
  const item = { name: itemId, price: 100, capacity, ...more };
  const { status, text } = await shop.owner.request('PUT', `/v1/items/${itemId}`, item);
  if (status !== 200) throw new Error(text);
}

/** Creates a basket and activates it. */
export async function openBasket(
  shop: Callers,
  body: object = {},
): Promise<Redeemed & Pick<Created, 'id' | 'startBasketUrl'>> {
  const { id, startBasketUrl } = await createBasket(shop, body);
  return { id, startBasketUrl, ...(await activate(shop, startBasketUrl)) };
}

/** Completes a basket as the payment back end. */
export function complete(shop: Callers, basketId: string, body: object, headers: Record<string, string> = {}) {
  return shop.payments.request<Redirected & ShownProblem>('POST', `/v1/baskets/${basketId}/complete`, body, headers);
}

/** Starts checkout as the payment back end. */
export function checkout(shop: Callers, basketId: string, body: object = {}) {
  return shop.payments.request<CheckedOut & ShownProblem>('POST', `/v1/baskets/${basketId}/checkout`, body);
}

/**
 * Sends again what was answered 503, as `Retry-After` asks: a crowd on a slow machine may get that, and a test of what
 * the crowd does to a basket is not about it.
 */
export function patiently<Answer extends { status: number }>(send: () => Promise<Answer>): Promise<Answer> {
  return until('an answer other than 503', 20_000, async () => {
    const answer = await send();
    return answer.status !== 503 && answer;
  });
}
