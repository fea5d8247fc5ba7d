import type { Test } from 'tap';
import type { Config } from '../../src/config.ts';
import { putItem, type ShownProblem } from './journey.ts';
import { api } from './service.ts';
import { openShop } from './shop.ts';

/** What is read of a basket in Tebex' form. */
export type TebexBasket = {
  id: string;
  ident: string;
  complete: boolean;
  username: string | null;
  username_id: number | string | null;
  ip: string | null;
  base_price: number;
  sales_tax: number;
  total_price: number;
  coupons: { code: string; coupon_code: string }[];
  giftcards: { card_number: string }[];
  creator_code: string | null;
  packages: {
    id: number;
    slug: string;
    revenue_share: object[];
    in_basket: {
      quantity: number;
      price: number;
      gift_username_id: string | null;
      gift_username: string | null;
    };
  }[];
  custom: object | null;
  links: { checkout?: string; payment?: string };
};

/** A problem in Tebex' form. */
export type TebexProblem = ShownProblem & { error_code: string; field_details: []; meta: [] };

/**
 * A shop with a web store: package 5 is `stalls`, 100 at 25.00 with 20 % tax on top, and 6 `mug`, 50 at 9.99 without. Called by
 * `anybody`, and by a `backEnd` with the shop's API key. Paths are those behind `/api`; `account` begins those of the shop.
 */
export async function openWebStore(
  t: Test,
  { settings = {}, config = {} }: { settings?: object; config?: Partial<Config> } = {},
) {
  const shop = await openShop(t, { settings: { tebex: { enabled: true }, ...settings }, config });
  const { publicToken } = (await shop.owner.request<{ publicToken: string }>('GET', '/v1/shops/roxy')).body;
  await putItem(shop, 'stalls', 100, { name: 'Stalls', eventId: 'evt-1', price: 2500, taxRate: 0.2, packageId: 5 });
  await putItem(shop, 'mug', 50, { name: 'Mug', price: 999, packageId: 6 });
  const keyOf = async (scopes: string[], partner?: string) => {
    const body = { name: 'web store', scopes, ...(partner === undefined ? {} : { partner }) };
    return (await shop.owner.request<{ apiKey: string }>('POST', '/v1/shops/roxy/api-keys', body)).body.apiKey;
  };
  const client = api(shop.service.url, null);
  const as = (authorization: string | null) => ({
    request: <Body>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
      client.request<Body>(method, `/api${path}`, body, {
        ...(authorization === null ? {} : { authorization }),
        ...headers,
      }),
  });
  const withKey = (apiKey: string) => as(basic(publicToken, apiKey));
  const owner = await shop.withScope('shop:write baskets:write baskets:read');
  return {
    ...shop,
    owner,
    publicToken,
    account: `/accounts/${publicToken}`,
    as,
    keyOf,
    withKey,
    anybody: as(null),
    storeBackEnd: withKey(await keyOf(['baskets:write'])),
  };
}
export type WebStore = Awaited<ReturnType<typeof openWebStore>>;

/** The header of a Basic credential. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** Creates a basket in a web store. */
export async function createInStore(
  store: WebStore,
  who: 'anybody' | 'storeBackEnd',
  body: object = {},
): Promise<TebexBasket> {
  const answer = await store[who].request<{ data: TebexBasket }>('POST', `${store.account}/baskets`, body);
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
  return answer.body.data;
}
