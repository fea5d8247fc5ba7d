import type pg from 'pg';
import { signId } from '../floors/signature.ts';
import type { Load } from '../generators/generator.ts';
import { linkedIds } from './catalogue.ts';
import { manyConnections, type Scenario } from './scenario.ts';
import type { Shop } from './shop.ts';

/** Opens links over and over. `paths` are their URLs without the origin. */
export const clicks = (paths: readonly string[], expected: number): Load => ({
  requests: paths.map((path) => ({ method: 'GET', path })),
  headers: {},
  keyed: false,
  once: false,
  expected,
});

const changes = (shop: Shop, requests: { path: string; body: object }[]): Load => ({
  requests: requests.map((request) => ({ method: 'POST', ...request })),
  headers: shop.headers,
  keyed: false,
  once: true,
  expected: 200,
});

let orders = 0;
const completionOf = (basketId: string) => {
  orders += 1;
  return { path: `/v1/baskets/${basketId}/complete`, body: { orderId: `order-${orders}` } };
};

/** Completes baskets that were clicked and redeemed. */
const completeOurs = (which: 'spread' | 'same') => async (shop: Shop, count: number) => {
  const baskets = await shop.createBaskets(count, which);
  await shop.redeem(await shop.click(baskets));
  return changes(
    shop,
    baskets.map(({ id }) => completionOf(id)),
  );
};

/** The floor completes what it finds in its table. */
async function completeOnFloor(shop: Shop, count: number, database: pg.Client): Promise<Load> {
  const { rows } = await database.query<{ id: string }>(
    `INSERT INTO floor_baskets SELECT gen_random_uuid(), 'activated' FROM generate_series(1, $1) RETURNING id`,
    [count],
  );
  return changes(
    shop,
    rows.map(({ id }) => completionOf(id)),
  );
}

export const handOvers: readonly Scenario[] = [
  {
    name: 'click',
    does: 'click a start link that redirects',
    floor: 'signature-and-script',
    connections: manyConnections,
    goal: { of: 'requests a second', atLeast: 0.9 },
    async ours(shop) {
      const baskets = await shop.createBaskets(linkedIds.length);
      return clicks(
        baskets.map(({ linkPath }) => linkPath),
        303,
      );
    },
    floors: async () =>
      clicks(
        linkedIds.map((id) => `/b/${signId(id)}`),
        302,
      ),
  },
  {
    name: 'confirm',
    does: 'redeem a confirmation token',
    floor: 'transaction',
    connections: manyConnections,
    goal: { of: 'requests a second', atLeast: 0.7 },
    async ours(shop, count) {
      const tokens = await shop.click(await shop.createBaskets(count));
      return changes(
        shop,
        tokens.map((token) => ({ path: '/v1/confirmations', body: { token } })),
      );
    },
    floors: completeOnFloor,
  },
  {
    name: 'complete',
    does: 'complete a basket of three lines, spread over 1,000 items',
    floor: 'transaction',
    connections: manyConnections,
    goal: { of: 'requests a second', atLeast: 0.7 },
    ours: completeOurs('spread'),
    floors: completeOnFloor,
  },
  {
    name: 'complete-same',
    does: 'the same where all have the same three items',
    floor: 'transaction',
    connections: manyConnections,
    goal: null,
    ours: completeOurs('same'),
    floors: completeOnFloor,
  },
];
