import { randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import { Pool } from 'undici';
import type { Load } from '../generators/generator.ts';
import { basketOf, itemIds, randomIds, sameIds, soldOutIds } from './catalogue.ts';

const shopId = 'roxy';
const secret = randomBytes(32).toString('base64url');
const origin = 'https://tickets.roxy.example';
const connections = 32;

/** The environment of the service under load: its defaults, but for the limit of calls, since a load calls as one. */
export function serviceEnvironment(port: number, databaseUrl: string, redisUrl: string): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    JWT_SECRET: secret,
    LINK_KEYS: `l1:${secret}`,
    DATA_KEYS: `d1:${secret}`,
    RATE_LIMIT_MAX: '0',
  };
}

/** A basket that a scenario needs before its load begins. `linkPath` is its start link without the origin. */
type PreparedBasket = { id: string; linkPath: string };

/** The shop under load, through the API alone. */
export type Shop = {
  /** The headers of every call of the API: one credential for all. */
  headers: Load['headers'];
  /** Creates so many baskets of three lines, spread over all items or all of the same three. */
  createBaskets(count: number, which?: 'spread' | 'same'): Promise<PreparedBasket[]>;
  /** Makes a new link of each of these baskets, and gives it without the origin. */
  link(basketIds: readonly string[]): Promise<string[]>;
  /** Clicks each basket's link and gives the confirmation tokens, which live for a minute. */
  click(baskets: readonly PreparedBasket[]): Promise<string[]>;
  redeem(tokens: readonly string[]): Promise<void>;
  close(): Promise<void>;
};

/** Sets the shop up on a service that has none: an event with the items of catalogue.ts, and links that redirect. */
export async function openShop(url: string, signal: AbortSignal): Promise<Shop> {
  const pool = new Pool(url, { connections });
  const scope = 'shop:write baskets:read baskets:write confirmations:redeem orders:write';
  const token = await new SignJWT({ shop: shopId, scope })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret));
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };

  async function call(expected: number, method: 'GET' | 'POST' | 'PUT', path: string, body?: object) {
    const sent = body === undefined ? {} : { headers, body: JSON.stringify(body) };
    signal.throwIfAborted();
    const answer = await pool.request({ method, path, ...sent });
    const text = await answer.body.text();
    if (answer.statusCode !== expected) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return { headers: answer.headers, text };
  }

  async function createBasket(body: object): Promise<PreparedBasket> {
    const { text } = await call(201, 'POST', '/v1/baskets', body);
    const { id, startBasketUrl } = JSON.parse(text) as { id: string; startBasketUrl: string };
    return { id, linkPath: new URL(startBasketUrl).pathname };
  }

  const frontend = { confirmUrl: `${origin}/confirm`, basketUrl: `${origin}/basket`, errorUrl: `${origin}/problem` };
  // An hour: nothing may expire while others are measured.
  const basket = { ttlSeconds: 3600 };
  await call(200, 'PUT', `/v1/shops/${shopId}`, {
    ...{ name: 'Roxy', currency: 'GBP', frontend, basket, link: { mode: 'redirect' } },
    allowedRedirectOrigins: [origin],
  });
  await call(200, 'PUT', '/v1/events/concert', { name: 'The Concert' });
  const item = (itemId: string, capacity: number) => {
    return { itemId, name: itemId, eventId: 'concert', price: 2500, taxRate: 0.2, capacity };
  };
  await call(200, 'PUT', '/v1/items', { items: itemIds.map((itemId) => item(itemId, 1_000_000_000)) });
  await call(200, 'PUT', '/v1/items', { items: soldOutIds.map((itemId) => item(itemId, 0)) });

  return {
    headers,
    createBaskets: (count, which = 'spread') =>
      forEach(
        Array.from({ length: count }, () => basketOf(which === 'spread' ? randomIds() : sameIds)),
        createBasket,
      ),
    link: (basketIds) =>
      forEach(basketIds, async (id) => {
        const { text } = await call(200, 'POST', `/v1/baskets/${id}/link`, {});
        return new URL((JSON.parse(text) as { startBasketUrl: string }).startBasketUrl).pathname;
      }),
    click: (baskets) =>
      forEach(baskets, async ({ linkPath }) => {
        const { headers } = await call(303, 'GET', linkPath);
        return new URL(String(headers.location)).searchParams.get('token') ?? '';
      }),
    async redeem(tokens) {
      await forEach(tokens, (token) => call(200, 'POST', '/v1/confirmations', { token }));
    },
    close: () => pool.destroy(),
  };
}

/** Does it for all, as many at once as there are connections, and gives what came of it in their order. */
async function forEach<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = all.entries();
  const takeTurns = async () => {
    for (const [at, one] of waiting) results[at] = await work(one);
  };
  await Promise.all(Array.from({ length: connections }, takeTurns));
  return results;
}
