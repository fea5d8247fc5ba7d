import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { commitCreations } from '../../src/holds/arbiter.ts';
import { type Creation, takesOf } from '../../src/holds/index.ts';
import { newId } from '../../src/platform/ids.ts';
import { openPostgres } from '../../src/platform/postgres.ts';
import { audit } from '../support/audit.ts';
import { asTester, createDatabase } from '../support/service.ts';

const shopId = 'roxy';

/** A database with one shop and stock rows of these capacities; without a service, so that nobody else works on it. */
async function openStock(t: Test, capacities: Record<string, number | null>) {
  const databaseUrl = await createDatabase(t);
  const open = (url: string) => {
    const pool = openPostgres(url, () => {});
    t.teardown(() => pool.end());
    return pool;
  };
  const [pool, poolOfService] = [open(asTester(databaseUrl)), open(databaseUrl)];
  await pool.query(`INSERT INTO shops (shop_id, settings, public_token) VALUES ($1, '{}', 'token')`, [shopId]);
  await pool.query('INSERT INTO stock (shop_id, stock_id, capacity) SELECT $1, * FROM unnest($2::text[], $3::int[])', [
    shopId,
    Object.keys(capacities),
    Object.values(capacities),
  ]);
  return {
    pool,
    poolOfService,
    commit: (creations: readonly Creation[]) => commitCreations(poolOfService, creations, () => {}),
    async held(): Promise<Record<string, number>> {
      const { rows } = await pool.query<{ stock_id: string; held: number }>('SELECT stock_id, held FROM stock');
      return Object.fromEntries(rows.map(({ stock_id, held }) => [stock_id, held]));
    },
  };
}

function creation(takes: Record<string, number>, more: Partial<Creation> = {}): Creation {
  const summed = takesOf(Object.entries(takes).map(([stockId, quantity]) => ({ stockId, quantity })));
  return {
    shopId,
    shopVersion: 1,
    basketId: newId('bkt'),
    partner: null,
    customerId: null,
    reference: null,
    campaign: null,
    takes: summed,
    catalogueVersions: summed.map(() => 1),
    limits: [],
    eventIds: [],
    lines: summed,
    codes: [],
    giftCards: [],
    content: {},
    ttlSeconds: 600,
    maxLifetimeSeconds: 1800,
    checkoutSeconds: 900,
    extensions: 10,
    linkExpiresAt: null,
    mayLogIn: true,
    idempotency: null,
    ...more,
  };
}

const withKey = () => ({ keyHash: randomBytes(32), fingerprint: randomBytes(32), answer: { linkKid: null } });
const outcomesOf = (outcomes: readonly { outcome: string }[]) => outcomes.map(({ outcome }) => outcome);

t.test('a batch that fits is committed as one, each with its hold, its outbox row and its own deadline', async (t) => {
  const { pool, commit, held } = await openStock(t, { 'item:a': 100, 'item:b': 100, 'item:c': null });
  const batch = [
    creation({ 'item:a': 2, 'item:c': 5 }),
    creation({ 'item:b': 1, 'item:a': 1 }, { ttlSeconds: 60 }),
    creation({ 'item:c': 1 }, { partner: 'acme', customerId: 'cus-7', eventIds: ['NULL', 'evt-1'] }),
  ];
  const outcomes = await commit(batch);
  t.match(
    outcomes,
    batch.map(({ basketId, takes, customerId, eventIds }) => ({
      outcome: 'created',
      row: {
        basket_id: basketId,
        status: 'open',
        version: 1,
        customer_id: customerId,
        event_ids: eventIds,
        hold_stock_ids: takes.map(({ stockId }) => stockId),
        hold_quantities: takes.map(({ quantity }) => quantity),
      },
    })),
  );
  const livesForMs = outcomes.map((one) =>
    one.outcome === 'created' ? Date.parse(one.row.expires_at) - Date.parse(one.row.created_at) : null,
  );
  t.same(livesForMs, [600_000, 60_000, 600_000]);
  t.same(await held(), { 'item:a': 3, 'item:b': 1, 'item:c': 6 });
  await audit(pool);
});

t.test('of a batch one that does not fit is refused alone, with what there is', async (t) => {
  const { pool, commit, held } = await openStock(t, { 'item:a': 10, 'item:b': 1 });
  const outcomes = await commit([
    creation({ 'item:a': 1, 'item:b': 1 }),
    creation({ 'item:a': 1, 'item:b': 1 }),
    creation({ 'item:a': 1 }),
  ]);
  t.same(outcomesOf(outcomes), ['created', 'short', 'created']);
  t.match(outcomes[1], {
    available: new Map([
      ['item:a', 8],
      ['item:b', 0],
    ]),
  });
  t.same(await held(), { 'item:a': 2, 'item:b': 1 });
  await audit(pool);
});

t.test('a batch that wants more than there is gets it in the order given', async (t) => {
  const { pool, commit, held } = await openStock(t, { 'item:a': 5 });
  const batch = [3, 3, 1, 2, 1].map((quantity) => creation({ 'item:a': quantity }));
  t.same(outcomesOf(await commit(batch)), ['created', 'short', 'created', 'short', 'created']);
  t.same(await held(), { 'item:a': 5 });
  await audit(pool);
});

t.test('of a batch that comes too late everybody is refused by one transaction, with what there is', async (t) => {
  const { pool, poolOfService, commit, held } = await openStock(t, { 'item:a': 2, 'item:b': 0, 'item:c': 5 });
  let begun = 0;
  poolOfService.on('acquire', () => {
    begun += 1;
  });
  const batch = Array.from({ length: 20 }, () => creation({ 'item:a': 1, 'item:b': 1 }));
  const outcomes = await commit([...batch, creation({ 'item:a': 3 })]);
  t.equal(begun, 1);
  t.same(new Set(outcomesOf(outcomes)), new Set(['short']));
  for (const one of outcomes) t.match(one, { available: new Map(Object.entries({ 'item:a': 2, 'item:b': 0 })) });
  t.same(await held(), { 'item:a': 0, 'item:b': 0, 'item:c': 0 });
  t.same(outcomesOf(await commit([...batch, creation({ 'item:c': 1 })])), [...batch.map(() => 'short'), 'created']);
  t.equal(begun, 3, 'and one for those of them that fit');
  await audit(pool);
});

t.test(
  'whoever shares a batch with others that do not fit gets what is left by those alone that are committed',
  async (t) => {
    const { pool, commit, held } = await openStock(t, { 'item:a': 5 });
    const used = creation({ 'item:a': 3 }, { idempotency: withKey() });
    await commit([creation({ 'item:a': 1 }, { idempotency: used.idempotency })]);
    t.same(outcomesOf(await commit([used, creation({ 'item:a': 3 })])), ['key_exists', 'created']);
    t.same(await held(), { 'item:a': 4 });
    await audit(pool);
  },
);

t.test(
  'a creation whose idempotency key was used takes no stock, and the rest of its batch is committed',
  async (t) => {
    const { pool, commit, held } = await openStock(t, { 'item:a': 10 });
    const first = creation({ 'item:a': 1 }, { idempotency: withKey() });
    await commit([first]);
    const again = creation({ 'item:a': 4 }, { idempotency: first.idempotency });
    const fresh = creation({ 'item:a': 2 }, { idempotency: withKey() });
    t.same(outcomesOf(await commit([again, fresh])), ['key_exists', 'created']);
    t.same(await held(), { 'item:a': 3 });
    await audit(pool);
  },
);

t.test('an idempotency key that is older than seven days is free again', async (t) => {
  const { pool, commit, held } = await openStock(t, { 'item:a': 10 });
  const idempotency = withKey();
  await commit([creation({ 'item:a': 1 }, { idempotency })]);
  await pool.query(`UPDATE idempotency_keys SET created_at = now() - interval '7 days 1 second'`);
  t.same(outcomesOf(await commit([creation({ 'item:a': 1 }, { idempotency })])), ['created']);
  t.same(outcomesOf(await commit([creation({ 'item:a': 1 }, { idempotency })])), ['key_exists']);
  t.same(await held(), { 'item:a': 2 });
});

t.test('of 64 creations at once with one idempotency key one takes stock', async (t) => {
  const { pool, commit, held } = await openStock(t, { 'item:a': 100 });
  const idempotency = withKey();
  const outcomes = await Promise.all(
    Array.from({ length: 64 }, () => commit([creation({ 'item:a': 1 }, { idempotency })])),
  );
  t.same(outcomesOf(outcomes.flat()).sort(), ['created', ...Array.from({ length: 63 }, () => 'key_exists')]);
  t.same(await held(), { 'item:a': 1 });
  await audit(pool);
});

t.test(
  'a creation that was decided on an old catalogue is refused, and the rest of its batch is committed',
  async (t) => {
    const { pool, commit, held } = await openStock(t, { 'item:a': 10, 'item:b': 10 });
    await pool.query(`UPDATE stock SET catalogue_version = 2 WHERE stock_id = 'item:b'`);
    const outcomes = await commit([
      creation({ 'item:a': 1 }),
      creation({ 'item:a': 1, 'item:b': 1 }),
      creation({ 'item:b': 1 }, { catalogueVersions: [2] }),
      creation({ 'item:gone': 1 }),
    ]);
    t.same(outcomesOf(outcomes), ['created', 'stale', 'created', 'stale']);
    t.same(await held(), { 'item:a': 1, 'item:b': 1 });
    await audit(pool);
  },
);

t.test('a creation that was decided on old settings of the shop is refused', async (t) => {
  const { pool, commit, held } = await openStock(t, { 'item:a': 10 });
  await pool.query('UPDATE shops SET version = 2');
  const outcomes = await commit([creation({ 'item:a': 1 }), creation({ 'item:a': 1 }, { shopVersion: 2 })]);
  t.same(outcomesOf(outcomes), ['stale', 'created']);
  t.same(await held(), { 'item:a': 1 });
});

t.test('batches that draw on the same rows in any order neither deadlock nor oversell', async (t) => {
  const rows = ['item:a', 'item:b', 'item:c', 'pool:d'];
  const { pool, commit, held } = await openStock(t, Object.fromEntries(rows.map((row) => [row, 40])));
  const batch = (at: number) =>
    Array.from({ length: 10 }, (_, one) => {
      const [first = '', second = ''] = [rows[(at + one) % rows.length], rows[(at + 3 * one + 1) % rows.length]];
      return creation({ [first]: 1, [second]: 1 });
    });
  const outcomes = (await Promise.all(Array.from({ length: 20 }, (_, at) => commit(batch(at))))).flat();
  t.equal(Math.max(...Object.values(await held())), 40, 'a row is sold out');
  t.same(new Set(outcomesOf(outcomes)), new Set(['created', 'short']));
  await audit(pool);
});

t.test('one that waits takes nothing, but is committed only if what it was decided on is still true', async (t) => {
  const { commit, held } = await openStock(t, { 'item:a': 1 });
  const linkExpiresAt = new Date(Date.now() + 60_000);
  const waiting = (more: Partial<Creation> = {}) => creation({ 'item:a': 5 }, { linkExpiresAt, ...more });
  t.same(outcomesOf(await commit([waiting({ catalogueVersions: [2] })])), ['stale']);
  t.match(await commit([waiting(), creation({ 'item:a': 1 }), waiting()]), [
    { row: { waiting: true, hold_stock_ids: [], expires_at: /./ } },
    { row: { waiting: false, hold_stock_ids: ['item:a'], link_expires_at: null } },
    { row: { waiting: true } },
  ]);
  t.same(await held(), { 'item:a': 1 });
});
