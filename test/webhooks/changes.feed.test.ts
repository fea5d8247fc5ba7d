import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import { activate, checkout, complete, createBasket, type ShownBasket } from '../support/journey.ts';
import { asTester } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Change = {
  type: string;
  timestamp: string;
  sequence?: number;
  epoch?: number;
  data: {
    basket?: ShownBasket & { partner: string | null };
    event?: { eventId: string; name: string };
    webhook?: object;
  };
};
type Page = { data: Change[]; nextAfter: string };

const shop = await openShop(t);
const { pool } = shop.service;
const reader = await shop.withScope('webhooks:write');

async function read(query: Record<string, string | number> = {}, client = reader): Promise<Page> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) search.set(name, String(value));
  const { status, body, text } = await client.request<Page>('GET', `/v1/changes?${search}`);
  if (status !== 200) throw new Error(text);
  return body;
}

/** The changes from a place on, page by page, until there are no more. */
async function readAll(after: string, limit = 100): Promise<Page> {
  const data: Change[] = [];
  for (let at = after; ; ) {
    const page = await read({ after: at, limit });
    data.push(...page.data);
    at = page.nextAfter;
    if (page.data.length < limit) return { data, nextAfter: at };
  }
}

/** Where the feed ends now. */
async function end(): Promise<string> {
  const page = await read({ limit: 100 });
  return (await readAll(page.nextAfter)).nextAfter;
}

const told = ({ data }: Page) => data.map(({ type, data }) => `${type} ${data.basket?.id ?? data.event?.eventId}`);

/** A transaction that somebody has under way, and what it writes. */
async function openTransaction() {
  const client = new pg.Client({ connectionString: asTester(shop.service.config.databaseUrl) });
  await client.connect();
  await client.query('BEGIN');
  return {
    async write(eventId: string, sequence = 1) {
      await client.query(
        `INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
         VALUES ('roxy', $1, $2, 'event.cancelled', $3)`,
        [`event:${eventId}`, sequence, JSON.stringify({ eventId, name: String(sequence) })],
      );
    },
    /** Gives it its place among the transactions before it writes anything. */
    begin: () => client.query('SELECT pg_current_xact_id()'),
    async finish(how: 'COMMIT' | 'ROLLBACK') {
      await client.query(how);
      await client.end();
    },
  };
}

t.test('what happens to baskets and events is listed in its order, with the basket as it was then', async (t) => {
  const after = await end();
  const { id, startBasketUrl } = await createBasket(shop);
  await activate(shop, startBasketUrl);
  await checkout(shop, id);
  await complete(shop, id, { orderId: 'o-feed' });
  await shop.owner.request('PUT', '/v1/events/off', { name: 'Off' });
  await shop.owner.request('POST', '/v1/events/off/cancel');
  const page = await readAll(after);
  t.strictSame(told(page), [
    `basket.created ${id}`,
    `basket.activated ${id}`,
    `basket.checkout_started ${id}`,
    `basket.completed ${id}`,
    'event.cancelled off',
  ]);
  t.strictSame(
    page.data.map(({ sequence, epoch }) => [sequence, epoch]),
    [...[1, 2, 3, 4].map((sequence) => [sequence, 1]), [undefined, undefined]],
  );
  t.strictSame(
    page.data.flatMap(({ data }) => data.basket?.status ?? []),
    ['open', 'activated', 'checkout', 'completed'],
  );
  const shown = await shop.backEnd.request<ShownBasket>('GET', `/v1/baskets/${id}`);
  const { serverTime, ...last } = page.data[3]?.data.basket ?? { serverTime: '' };
  t.equal(serverTime, page.data[3]?.timestamp, 'as of the change');
  t.match(shown.body, last);
});

t.test('a page is as long as was asked for, and the next goes on behind it, also when there was nothing', async (t) => {
  const after = await end();
  t.strictSame((await read({ after })).data, []);
  const baskets = [await createBasket(shop), await createBasket(shop), await createBasket(shop)];
  const first = await read({ after, limit: 2 });
  t.strictSame(told(first), [`basket.created ${baskets[0]?.id}`, `basket.created ${baskets[1]?.id}`]);
  const late = await createBasket(shop);
  const second = await read({ after: first.nextAfter, limit: 2 });
  t.strictSame(told(second), [`basket.created ${baskets[2]?.id}`, `basket.created ${late.id}`]);
  t.strictSame((await read({ after: second.nextAfter })).data, []);
  t.strictSame((await readAll(after, 1)).data, (await readAll(after)).data, 'however it is cut');
});

t.test('a change that commits late is listed when it has, and nothing twice', async (t) => {
  const after = await end();
  const slow = await openTransaction();
  await slow.write('slow');
  const quick = [await createBasket(shop), await createBasket(shop), await createBasket(shop)];
  const first = await read({ after, limit: 2 });
  t.strictSame(told(first), [`basket.created ${quick[0]?.id}`, `basket.created ${quick[1]?.id}`]);
  await slow.finish('COMMIT');
  const second = await read({ after: first.nextAfter, limit: 2 });
  t.strictSame(
    told(second),
    [`basket.created ${quick[2]?.id}`, 'event.cancelled slow'],
    'behind what the page began with',
  );
  t.strictSame((await read({ after: second.nextAfter })).data, []);
});

t.test('a change that is rolled back is never listed', async (t) => {
  const after = await end();
  const slow = await openTransaction();
  await slow.write('never');
  t.strictSame((await read({ after })).data, []);
  await slow.finish('ROLLBACK');
  t.strictSame((await read({ after })).data, []);
});

t.test('a transaction that began first and waited for another comes after it', async (t) => {
  const after = await end();
  const waiting = await openTransaction();
  await waiting.write('its-first');
  const other = await openTransaction();
  await other.write('what-it-waited-for');
  await other.finish('COMMIT');
  await waiting.write('its-second');
  await waiting.finish('COMMIT');
  const order = told(await readAll(after));
  t.ok(order.indexOf('event.cancelled what-it-waited-for') < order.indexOf('event.cancelled its-second'));
  t.equal(order.length, 3);
});

t.test('only the types that were asked for are listed, and the place is the same for all', async (t) => {
  const after = await end();
  const { id, startBasketUrl } = await createBasket(shop);
  await activate(shop, startBasketUrl);
  const page = await read({ after, types: 'basket.activated,event.cancelled' });
  t.strictSame(told(page), [`basket.activated ${id}`]);
  t.strictSame((await read({ after: page.nextAfter })).data, [], 'what was left out is behind it');
  t.equal((await read({ after, types: 'basket.created' })).data.length, 1);
  for (const types of [
    'basket.exploded',
    'webhook.test',
    '',
    'basket.created,',
    '*',
    'basket.created basket.expired',
  ]) {
    const refused = await reader.request<{ code: string; errors: object[] }>('GET', `/v1/changes?types=${types}`);
    t.match(refused, { status: 400, body: { code: 'invalid_request', errors: [{ pointer: 'query/types' }] } }, types);
  }
});

t.test('a partner gets the changes of its own baskets, and of its own webhooks', async (t) => {
  const scope = 'webhooks:write baskets:write';
  const [one, other] = [await shop.withScope(scope, 'partner-a'), await shop.withScope(scope, 'partner-b')];
  const places = [(await read({}, one)).nextAfter, (await read({}, other)).nextAfter];
  const after = await end();
  const own = await createBasket(shop, {}, one);
  await createBasket(shop);
  await pool.query(
    `INSERT INTO outbox (shop_id, subject_id, sequence, type, partner, data)
     VALUES ('roxy', 'webhook:1', 1, 'webhook.disabled', 'partner-a', '{"webhookId": "orders"}')`,
  );
  const seenByOne = await read({ after: places[0] ?? '' }, one);
  t.strictSame(
    seenByOne.data.map(({ type, data }) => data.basket?.partner ?? type),
    ['partner-a', 'webhook.disabled'],
  );
  t.equal(seenByOne.data[0]?.data.basket?.id, own.id);
  t.strictSame((await read({ after: places[1] ?? '' }, other)).data, []);
  t.equal((await readAll(after)).data.length, 3, 'the shop gets all');
  const stolen = await other.request('GET', `/v1/changes?after=${seenByOne.nextAfter}`);
  t.match(stolen, { status: 400, body: { code: 'invalid_cursor' } });
});

t.test('a place that is not one of ours is refused', async (t) => {
  const after = await end();
  for (const text of [after.slice(0, -1), `${after}A`, after.toLowerCase(), 'A'.repeat(2000), '%00', '']) {
    t.match(
      await reader.request('GET', `/v1/changes?after=${text}`),
      { status: 400, body: { code: 'invalid_cursor' } },
      text.slice(0, 20),
    );
  }
});

t.test('changes are listed for 30 days', async (t) => {
  const after = await end();
  const { id } = await createBasket(shop);
  const age = (interval: string) =>
    pool.query('UPDATE outbox SET created_at = now() - $2::interval WHERE subject_id = $1', [id, interval]);
  await age('29 days 23 hours');
  t.equal((await read({ after })).data.length, 1);
  await age('30 days 1 hour');
  t.equal((await read({ after })).data.length, 0);
});

/** What somebody does at a moment. Transactions and subjects are numbered; a read has a limit. */
const step = fc.oneof(
  fc.record({ does: fc.constant('begin' as const), transaction: fc.nat(2) }),
  fc.record({ does: fc.constant('write' as const), transaction: fc.nat(2), subject: fc.nat(2) }),
  fc.record({ does: fc.constantFrom('COMMIT' as const, 'ROLLBACK' as const), transaction: fc.nat(2) }),
  fc.record({ does: fc.constant('read' as const), limit: fc.integer({ min: 1, max: 3 }) }),
);

t.test(
  'however commits and reads interleave, each change is listed once, and those of a subject in order',
  async (t) => {
    let run = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      run += 1;
      const open = new Map<number, { writes: string[] } & Awaited<ReturnType<typeof openTransaction>>>();
      const committed = new Map<string, number>();
      const listed: Change[] = [];
      let place = await end();
      const transactionOf = async (number: number) => {
        const transaction = open.get(number) ?? { writes: [], ...(await openTransaction()) };
        open.set(number, transaction);
        return transaction;
      };
      const finish = async (number: number, how: 'COMMIT' | 'ROLLBACK') => {
        const transaction = open.get(number);
        open.delete(number);
        await transaction?.finish(how);
        if (how === 'ROLLBACK') return;
        for (const eventId of transaction?.writes ?? []) committed.set(eventId, (committed.get(eventId) ?? 0) + 1);
      };
      for (const done of steps) {
        if (done.does === 'read') {
          const page = await read({ after: place, limit: done.limit });
          listed.push(...page.data);
          place = page.nextAfter;
        } else if (done.does === 'begin') {
          await (await transactionOf(done.transaction)).begin();
        } else if (done.does === 'write') {
          const eventId = `run-${run}-${done.subject}`;
          const { write, writes } = await transactionOf(done.transaction);
          const isLocked = [...open].some(
            ([other, { writes }]) => other !== done.transaction && writes.includes(eventId),
          );
          if (isLocked) continue;
          writes.push(eventId);
          const own = writes.filter((written) => written === eventId).length;
          await write(eventId, (committed.get(eventId) ?? 0) + own);
        } else await finish(done.transaction, done.does);
      }
      for (const number of [...open.keys()]) await finish(number, 'COMMIT');
      listed.push(...(await readAll(place)).data);
      const found = new Map<string, string[]>();
      for (const { data } of listed) {
        const { eventId = '', name = '' } = data.event ?? {};
        found.set(eventId, [...(found.get(eventId) ?? []), name]);
      }
      const expected = [...committed].map(([eventId, changes]): [string, string[]] => [
        eventId,
        Array.from({ length: changes }, (_, at) => String(at + 1)),
      ]);
      if (JSON.stringify([...found].sort()) !== JSON.stringify(expected.sort())) {
        throw new Error(`listed ${JSON.stringify([...found])} of ${JSON.stringify(expected)}`);
      }
    });
    const result = await fc.check(property, { numRuns: 25 });
    t.equal(result.failed, false, fc.defaultReportMessage(result) ?? 'each once and in order');
  },
);
