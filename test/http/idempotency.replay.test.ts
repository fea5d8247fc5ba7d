import { request } from 'node:http';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { type Created, createBasket, pressLink, type ShownBasket } from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];
const shop = await openShop(t);
const keyed = (key: string) => ({ 'idempotency-key': key });

function create(key: string, body: unknown = { items }, client = shop.backEnd) {
  return client.request<Created>('POST', '/v1/baskets', body, keyed(key));
}

async function countBaskets(): Promise<number> {
  const { rows } = await shop.service.pool.query<{ count: number }>('SELECT count(*) FROM baskets');
  return rows[0]?.count ?? 0;
}

t.test('the same key and JSON give the same bytes again, and one basket', async (t) => {
  const body = { items, custom: { b: 1, a: [{ d: 1.5, c: 'é' }] }, reference: 'r-1' };
  const first = await create('key-1', body);
  t.equal(first.status, 201, first.text);
  t.equal(first.headers.get('idempotent-replayed'), null);
  const before = await contentsOf(shop.service.pool);

  const spellings: Record<string, [key: string, body: unknown]> = {
    'the same bytes': ['key-1', body],
    'the key in quotes': ['"key-1"', body],
    'another order of keys': ['key-1', { reference: 'r-1', custom: { a: [{ c: 'é', d: 1.5 }], b: 1 }, items }],
    'other spaces': ['key-1', ` ${JSON.stringify(body, null, 3)}\n`],
    'other escapes and digits': ['key-1', JSON.stringify(body).replace('é', '\\u00e9').replace('1.5', '15e-1')],
  };
  for (const [what, [key, sent]] of Object.entries(spellings)) {
    const again = await create(key, sent);
    t.equal(again.status, first.status, what);
    t.equal(again.text, first.text, what);
    t.equal(again.headers.get('idempotent-replayed'), 'true', what);
    for (const header of ['location', 'etag', 'content-type']) {
      t.equal(again.headers.get(header), first.headers.get(header), `${what}: ${header}`);
    }
  }
  t.same(await contentsOf(shop.service.pool), before, 'a replay writes nothing');
  t.ok(await pressLink(first.body.startBasketUrl), 'the start link of all of them works');
});

t.test('a stored answer is given again whatever has happened since', async (t) => {
  const shop = await openShop(t);
  await shop.owner.request('PUT', '/v1/items/last', { name: 'Last', price: 5, capacity: 1, eventId: 'evt-1' });
  const body = { items: [{ itemId: 'last', quantity: 1 }], customer: { id: 'cus-1' } };
  const first = await create('key', body, shop.backEnd);
  t.equal(first.status, 201, first.text);
  const isReplayed = async (what: string) => {
    const again = await create('key', body, shop.backEnd);
    t.equal(again.text, first.text, what);
    t.equal(again.headers.get('idempotent-replayed'), 'true', what);
  };
  await isReplayed('sold out by itself');
  await shop.backEnd.request('POST', `/v1/baskets/${first.body.id}/cancel`);
  await isReplayed('cancelled');
  await shop.owner.request('PATCH', '/v1/items/last', { price: 7, capacity: 0, maxPerBasket: 1 });
  await isReplayed('the item changed');
  await shop.owner.request('PATCH', '/v1/shops/roxy', { currency: 'EUR', basket: { maxLiveBasketsPerCustomer: 1 } });
  await createBasket(shop, { customer: { id: 'cus-1' } });
  await isReplayed('the shop changed and the customer at the limit');
  await shop.owner.request('POST', '/v1/events/evt-1/cancel');
  await isReplayed('the event cancelled');
  await audit(shop.service.pool);
});

t.test('the same key with other JSON is refused, explicit defaults included', async (t) => {
  await create('other-json', { items, custom: { a: 1 } });
  const others: Record<string, unknown> = {
    'another quantity': { items: [{ itemId: 'stalls', quantity: 2 }], custom: { a: 1 } },
    'another value in custom': { items, custom: { a: '1' } },
    'one key more': { items, custom: { a: 1, b: null } },
    'one key less': { items },
    'a default spelt out': { items, custom: { a: 1 }, modifiable: true },
    'what would be refused': { items: [{ itemId: 'no-such-item', quantity: 1 }] },
  };
  for (const [what, body] of Object.entries(others)) {
    await assertRefused(t, shop, what, { status: 422, code: 'idempotency_key_reused' }, () =>
      create('other-json', body),
    );
  }
});

t.test('a key belongs to its shop, partner, method and path', async (t) => {
  const partnerA = await shop.withScope('baskets:write', 'partner-a');
  const partnerB = await shop.withScope('baskets:write', 'partner-b');
  const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write baskets:write' }));
  await other.request('PUT', '/v1/shops/other', shopSettings);
  await other.request('PUT', '/v1/items/stalls', { name: 'Stalls', price: 1 });
  const ids = new Set<string>();
  for (const client of [shop.backEnd, partnerA, partnerB, other]) {
    const answer = await create('shared', { items }, client);
    t.equal(answer.status, 201, answer.text);
    t.equal(answer.headers.get('idempotent-replayed'), null);
    ids.add(answer.body.id);
  }
  t.equal(ids.size, 4);
  const sameOwner = await shop.withScope('baskets:write customers:login', 'partner-a');
  const replayed = await create('shared', { items }, sameOwner);
  t.equal(replayed.headers.get('idempotent-replayed'), 'true', 'another token of the same partner');

  const [first, second] = [await createBasket(shop), await createBasket(shop)];
  for (const { id } of [first, second]) {
    const cancelled = await shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`, {}, keyed('shared'));
    t.equal(cancelled.status, 200, cancelled.text);
    t.equal(cancelled.headers.get('idempotent-replayed'), null);
  }
});

t.test('a key that is not 1 to 255 printable ASCII characters, once, is a 400', async (t) => {
  const refused = ['', '""', ' ', 'a'.repeat(256), `"${'a'.repeat(256)}"`, 'a\tb', 'clé', '\u00a0'];
  for (const key of refused) {
    await assertRefused(t, shop, JSON.stringify(key), { status: 400, code: 'invalid_idempotency_key' }, () =>
      create(key),
    );
  }
  const accepted = ['a', 'a'.repeat(255), `"${'b'.repeat(255)}"`, 'a b,c;"d', 'idempotency-key', '8e03978e-40d5'];
  for (const key of accepted) t.equal((await create(key)).status, 201, key);

  const authorization = `Bearer ${await mintToken({ shop: 'roxy', scope: 'baskets:write' })}`;
  const before = await contentsOf(shop.service.pool);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': ['one', 'one'] };
    request(`${shop.service.url}/v1/baskets`, { method: 'POST', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end(JSON.stringify({ items }));
  });
  t.equal(status, 400, 'the header twice');
  t.same(await contentsOf(shop.service.pool), before);
});

t.test('a refusal is not kept: the same key runs again once it can', async (t) => {
  await shop.owner.request('PUT', '/v1/items/none', { name: 'None', price: 1, capacity: 0 });
  const wanted = { items: [{ itemId: 'none', quantity: 1 }] };
  t.equal((await create('runs-again', { items: [] })).status, 400);
  t.equal((await create('runs-again', { items: [{ itemId: 'unknown', quantity: 1 }] })).status, 422);
  t.equal((await create('runs-again', wanted)).status, 409);
  t.equal((await create('runs-again', wanted)).status, 409);
  await shop.owner.request('PATCH', '/v1/items/none', { capacity: 1 });
  const created = await create('runs-again', wanted);
  t.equal(created.status, 201, created.text);
  t.equal(created.headers.get('idempotent-replayed'), null);
  t.equal((await create('runs-again', wanted)).headers.get('idempotent-replayed'), 'true');
});

t.test('64 requests with one key together make one basket, and all get its answer', async (t) => {
  const before = await countBaskets();
  const answers = await Promise.all(Array.from({ length: 64 }, () => create('together')));
  t.same([...new Set(answers.map(({ status }) => status))], [201]);
  t.equal(new Set(answers.map(({ text }) => text)).size, 1);
  const firsts = answers.filter(({ headers }) => headers.get('idempotent-replayed') === null);
  t.equal(firsts.length, 1);
  t.equal(await countBaskets(), before + 1);
  await audit(shop.service.pool);
});

t.test('after seven days a key is new again, and not before', async (t) => {
  const before = await countBaskets();
  const first = await create('week-old');
  const age = (interval: string) =>
    shop.service.pool.query('UPDATE idempotency_keys SET created_at = now() - $1::interval', [interval]);
  await age('6 days 23 hours 59 minutes');
  t.equal((await create('week-old')).text, first.text);
  await age('7 days 1 minute');
  const anew = await create('week-old', { items, reference: 'another-request' });
  t.equal(anew.status, 201, anew.text);
  t.equal(anew.headers.get('idempotent-replayed'), null);
  t.not(anew.body.id, first.body.id);
  t.equal(await countBaskets(), before + 2);
  const again = await create('week-old', { items, reference: 'another-request' });
  t.equal(again.text, anew.text, 'the new answer is kept in its place');
});

t.test('a cancellation is answered once and given again, its time included', async (t) => {
  const { id } = await createBasket(shop);
  const cancel = (body: unknown, headers: Record<string, string>) =>
    shop.backEnd.request<ShownBasket>('POST', `/v1/baskets/${id}/cancel`, body, headers);
  const first = await cancel({}, { ...keyed('c-1'), 'if-match': '"1"' });
  t.match(first, { status: 200, body: { status: 'cancelled', statusReason: 'requested', version: 2 } });
  const before = await contentsOf(shop.service.pool);
  for (const body of [undefined, '', {}]) {
    const again = await cancel(body, { ...keyed('c-1'), 'if-match': '"1"' });
    t.equal(again.text, first.text);
    t.equal(again.headers.get('etag'), '"2"');
    t.equal(again.headers.get('idempotent-replayed'), 'true');
  }
  t.same(await contentsOf(shop.service.pool), before, 'a replay writes nothing');
  for (const headers of [{}, keyed('c-2')]) {
    await assertRefused(t, shop, 'cancelled already', { status: 409, code: 'basket_not_live' }, () =>
      cancel({}, headers),
    );
  }
  await audit(shop.service.pool);
});

t.test(
  'a second request waits for the first with its key, and is told to come back when that takes too long',
  async (t) => {
    const { id } = await createBasket(shop);
    const cancel = () => shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`, {}, keyed('key'));
    const waiting = async (count: number) => {
      const { rows } = await shop.service.pool.query<{ count: number }>(
        `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return rows[0]?.count === count;
    };
    const holder = await shop.service.pool.connect();
    t.teardown(() => holder.release(true));
    await holder.query('BEGIN');
    await holder.query('SELECT FROM baskets FOR UPDATE');
    const first = cancel();
    await until('the first waits for the basket', 1500, () => waiting(1));
    const second = cancel();
    await until('the second waits for the first', 1500, () => waiting(2));
    await holder.query('COMMIT');
    t.equal((await first).status, 200);
    t.equal((await second).text, (await first).text);
    t.equal((await first).headers.get('idempotent-replayed'), null);
    t.equal((await second).headers.get('idempotent-replayed'), 'true');

    await holder.query('BEGIN');
    await holder.query('DELETE FROM idempotency_keys');
    const refused = await cancel();
    t.match(refused, { status: 409, body: { code: 'idempotency_in_progress' } });
    t.match(refused.headers.get('retry-after'), /^[1-9]\d*$/);
    await holder.query('ROLLBACK');
    t.equal((await cancel()).text, (await first).text, 'the answer is there once it can be read');
  },
);
