import fc from 'fast-check';
import t, { type Test } from 'tap';
import { audit } from '../support/audit.ts';
import { activate, type Created, letBeSwept, type TestShop } from '../support/journey.ts';
import { contentsOfRedis, holdsIn, inspectRedis, partitionKeys, watchRedis } from '../support/redis.ts';
import { openShop } from '../support/shop.ts';

const pooled = ['adult', 'child', 'concession'];
const itemIds = [...pooled, 'balcony', 'programme'];

/** Three items that share a pool, one with a stock of its own, and one without limit. */
async function fill(shop: TestShop, capacities: { floor: number; balcony: number }): Promise<void> {
  const put = async (path: string, body: object) => {
    const { status, text } = await shop.owner.request('PUT', path, body);
    if (status !== 200) throw new Error(`${path}: ${text}`);
  };
  await put('/v1/pools/floor', { name: 'Floor', capacity: capacities.floor });
  for (const itemId of pooled) await put(`/v1/items/${itemId}`, { name: itemId, price: 100, poolId: 'floor' });
  await put('/v1/items/balcony', { name: 'Balcony', price: 100, capacity: capacities.balcony });
  await put('/v1/items/programme', { name: 'Programme', price: 100 });
}

/** What is done with one basket after it was created, if it was. */
const fates = ['left open', 'cancelled', 'activated', 'completed', 'expired'] as const;
type Step = { lines: { itemId: string; quantity: number }[]; fate: (typeof fates)[number] };

const steps = (length: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      lines: fc.uniqueArray(
        fc.record({ itemId: fc.constantFrom(...itemIds), quantity: fc.integer({ min: 1, max: 3 }) }),
        { minLength: 1, maxLength: 3, selector: ({ itemId }) => itemId },
      ),
      fate: fc.constantFrom(...fates),
    }),
    { minLength: length, maxLength: length },
  );

async function play(shop: TestShop, { lines, fate }: Step): Promise<'refused' | 'created'> {
  const created = await shop.backEnd.request<Created>('POST', '/v1/baskets', { items: lines });
  if (created.status === 409) return 'refused';
  if (created.status !== 201) throw new Error(created.text);
  const { id, startBasketUrl } = created.body;
  if (fate === 'cancelled') await shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`);
  if (fate === 'activated' || fate === 'completed') await activate(shop, startBasketUrl);
  if (fate === 'completed')
    await shop.payments.request('POST', `/v1/baskets/${id}/complete`, { orderId: `order-${id}` });
  if (fate === 'expired') await letBeSwept(shop, id);
  return 'created';
}

/** Plays the steps at once, so many at a time. */
async function playTogether(shop: TestShop, all: readonly Step[], lanes: number): Promise<string[]> {
  const outcomes: string[] = [];
  const waiting = [...all];
  const lane = async () => {
    for (let step = waiting.shift(); step; step = waiting.shift()) outcomes.push(await play(shop, step));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return outcomes;
}

/** What Redis should hold by what Postgres says: rows, holds and deadlines. */
async function expectedRedis(shop: TestShop): Promise<Record<string, unknown>> {
  const { rows: stock } = await shop.service.pool.query<{ row: string; counts: string }>(
    `SELECT 'roxy/' || stock_id AS row, concat_ws(' ', coalesce(capacity::text, 'unlimited'), held, 0, sold) AS counts
     FROM stock`,
  );
  const { rows: live } = await shop.service.pool.query<{ member: string; hold: string; deadline_ms: number }>(
    `SELECT 'roxy/' || basket_id AS member, extract(epoch FROM expires_at)::float8 * 1000 AS deadline_ms,
       concat_ws(' ', 'held', version,
         (SELECT string_agg(s || '=' || q, ' ') FROM unnest(hold_stock_ids, hold_quantities) AS t(s, q))) AS hold
     FROM baskets WHERE status IN ('open', 'activated', 'checkout') ORDER BY expires_at, basket_id`,
  );
  return {
    [partitionKeys.stock]: Object.fromEntries(stock.map(({ row, counts }) => [row, counts])),
    [partitionKeys.holds]: Object.fromEntries(live.map(({ member, hold }) => [member, hold])),
    [partitionKeys.deadlines]: live.flatMap(({ member, deadline_ms }) => [member, String(deadline_ms)]),
  };
}

/** What Redis has of the shop, without what says which epoch it is of. */
async function foundInRedis(shop: TestShop, t: Test): Promise<Record<string, unknown>> {
  const keys = inspectRedis(t, shop.service.redisKeyPrefix);
  const contents = await contentsOfRedis(keys);
  const fields = (key: string) =>
    Object.fromEntries(Object.entries(contents[key] as object).filter(([name]) => !name.startsWith('@')));
  return {
    [partitionKeys.stock]: fields(partitionKeys.stock),
    [partitionKeys.holds]: await holdsIn(keys),
    // The first is the epoch.
    [partitionKeys.deadlines]: (contents[partitionKeys.deadlines] as string[]).slice(2),
  };
}

t.test('concurrent creations, cancellations, sales and expiries over pools and items never oversell', async (t) => {
  const shop = await openShop(t);
  await fill(shop, { floor: 10, balcony: 4 });
  const outcomes: string[] = [];
  await fc.assert(
    fc.asyncProperty(steps(24), async (all) => {
      outcomes.push(...(await playTogether(shop, all, 8)));
      await audit(shop.service.pool);
    }),
    // What depends on timing cannot be shrunk.
    { numRuns: 3, endOnFailure: true },
  );
  t.ok(outcomes.includes('refused') && outcomes.includes('created'), 'stock ran out on the way');
});

t.test('after a mixed run in which every message reached Redis its copy equals Postgres', async (t) => {
  for (let attempt = 1; ; attempt += 1) {
    const shop = await openShop(t);
    await fill(shop, { floor: 10_000, balcony: 10_000 });
    const redis = watchRedis(t, shop.service.redis);
    const play = async (all: Step[]) => void (await playTogether(shop, all, 5));
    await fc.assert(fc.asyncProperty(steps(40), play), { numRuns: 1, endOnFailure: true });
    await audit(shop.service.pool);
    await redis.idle();
    // A machine that is too busy loses messages, which this says nothing about.
    if (redis.lost() > 0 && attempt < 3) continue;
    t.same(await foundInRedis(shop, t), await expectedRedis(shop));
    return;
  }
});
