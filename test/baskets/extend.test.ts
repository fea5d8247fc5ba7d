import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  type Created,
  checkout,
  createBasket,
  letBeSwept,
  openBasket,
  type ShownProblem,
} from '../support/journey.ts';
import { inspectRedis, partitionKeys } from '../support/redis.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

type Extended = Created & ShownProblem & { extensionsLeft: number };

const settings = { basket: { ttlSeconds: 100, maxLifetimeSeconds: 300, extensionSeconds: 60, maxExtensions: 5 } };
const shop = await openShop(t, { settings });
const { pool } = shop.service;
const extend = (id: string, headers: Record<string, string> = {}, client = shop.backEnd) =>
  client.request<Extended>('POST', `/v1/baskets/${id}/extend`, undefined, headers);
const read = async (id: string) => (await shop.backEnd.request<Extended>('GET', `/v1/baskets/${id}`)).body;
const seconds = ({ createdAt, expiresAt }: Pick<Extended, 'createdAt' | 'expiresAt'>) =>
  (Date.parse(expiresAt) - Date.parse(createdAt)) / 1000;
const limit = { status: 409, code: 'extension_limit' } as const;

t.test('an extension adds its seconds to the end, up to the longest life, and one is used up', async (t) => {
  const { id } = await createBasket(shop);
  const given = [];
  for (let at = 0; at < 4; at += 1) {
    const { status, body, headers, text } = await extend(id);
    t.equal(status, 200, text);
    t.equal(headers.get('etag'), `"${at + 2}"`);
    given.push([seconds(body), body.extensionsLeft]);
  }
  t.same(given, [
    [160, 4],
    [220, 3],
    [280, 2],
    [300, 1],
  ]);
  await assertRefused(t, shop, 'past the longest life', limit, () => extend(id));
  const { rows } = await pool.query<{ type: string }>(
    'SELECT type FROM outbox WHERE subject_id = $1 ORDER BY sequence',
    [id],
  );
  t.same(
    rows.map(({ type }) => type),
    ['basket.created', ...given.map(() => 'basket.updated')],
  );
});

t.test('a basket has only so many extensions', async (t) => {
  const { id } = await createBasket(shop);
  await pool.query('UPDATE baskets SET extensions_left = 1 WHERE basket_id = $1', [id]);
  t.match(await extend(id), { status: 200, body: { extensionsLeft: 0 } });
  await assertRefused(t, shop, 'none left', limit, () => extend(id));
  t.equal(seconds(await read(id)), 160);
});

t.test('of many extensions at once each counts, and there are no more than the basket has', async (t) => {
  const { id } = await createBasket(shop, { ttlSeconds: 10 });
  const statuses = (await Promise.all(Array.from({ length: 12 }, () => extend(id)))).map(({ status }) => status);
  t.same(statuses.sort(), [...Array.from({ length: 5 }, () => 200), ...Array.from({ length: 7 }, () => 409)]);
  const basket = await read(id);
  t.equal(seconds(basket), 300);
  t.equal(basket.extensionsLeft, 0);
  t.equal(basket.version, 6);
});

t.test('after the first activation the longest life is counted from there', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  await pool.query(
    `UPDATE baskets SET created_at = created_at - interval '250 seconds', lifetime_ends_at = lifetime_ends_at - interval '250 seconds',
       expires_at = lifetime_ends_at - interval '250 seconds' WHERE basket_id = $1`,
    [id],
  );
  await assertRefused(t, shop, 'before', limit, () => extend(id));
  const { basket, session } = await activate(shop, startBasketUrl);
  const { status, body } = await extend(id, {}, shop.as(session.token));
  t.equal(status, 200, 'a session may extend');
  t.equal(Date.parse(body.expiresAt) - Date.parse(basket.expiresAt), 60_000);
});

t.test('only a live basket that is not being paid can be extended', async (t) => {
  const expired = await createBasket(shop);
  // Swept by now: the sweeper would write in the middle of a comparison.
  await letBeSwept(shop, expired.id);
  const cancelled = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const paying = await openBasket(shop);
  await checkout(shop, paying.id);
  const cases = [
    { id: expired.id, code: 'basket_not_live', said: { basketStatus: 'expired', statusReason: 'timeout' } },
    { id: cancelled.id, code: 'basket_not_live', said: { basketStatus: 'cancelled', statusReason: 'requested' } },
    { id: paying.id, code: 'basket_in_checkout', said: {} },
  ] as const;
  for (const { id, code, said } of cases) {
    t.match((await assertRefused(t, shop, id, { status: 409, code }, () => extend(id))).body, said);
  }
});

t.test('an extension is made once per idempotency key, and not on an older basket', async (t) => {
  const { id } = await createBasket(shop);
  const key = { 'idempotency-key': 'extend-1', 'if-match': '"1"' };
  const first = await extend(id, key);
  t.equal(first.status, 200, first.text);
  const again = await extend(id, key);
  t.equal(again.text, first.text);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  await assertRefused(t, shop, 'an old version', { status: 412, code: 'version_conflict' }, () =>
    extend(id, { 'if-match': '"1"' }),
  );
});

t.test('Redis looks at an extended or edited basket at its new end, and not before', async (t) => {
  const redis = inspectRedis(t, shop.service.redisKeyPrefix);
  const { id } = await createBasket(shop);
  const deadline = async () => Number(await redis.zscore(partitionKeys.deadlines, `roxy/${id}`));
  const extended = await extend(id);
  t.equal(await deadline(), Date.parse(extended.body.expiresAt));
  await pool.query(`UPDATE baskets SET expires_at = now() + interval '1 second' WHERE basket_id = $1`, [id]);
  const { body } = await shop.backEnd.request<Extended>('DELETE', `/v1/baskets/${id}/lines/1`);
  t.equal(Date.parse(body.expiresAt) - Date.parse(body.serverTime), 100_000);
  t.equal(await deadline(), Date.parse(body.expiresAt));
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(pool));
});
