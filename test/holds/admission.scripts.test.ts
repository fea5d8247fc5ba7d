import t, { type Test } from 'tap';
import { type Admission, openAdmission, partitions, type SettledHold } from '../../src/holds/admission.ts';
import {
  closedRedisUrl,
  contentsOfRedis,
  countedRow,
  inspectRedis,
  linkUntil,
  openTestRedis,
  partitionKeys,
  type RedisKeys,
} from '../support/redis.ts';
import { until } from '../support/until.ts';

const shopId = 'roxy';
const { deadlines: deadlinesKey, holds: holdsKey, stock: stockKey } = partitionKeys;
const inAMinute = () => new Date(Date.now() + 60_000);

function hold(basketId: string, takes: Record<string, number>) {
  return {
    shopId,
    basketId,
    takes: Object.entries(takes).map(([stockId, quantity]) => ({ stockId, quantity })),
  };
}

/** An admission with a row of two and a row of one unit, on keys of its own. */
async function open(t: Test) {
  const { connection, keyPrefix, errors } = openTestRedis(t);
  const keys = inspectRedis(t, keyPrefix);
  await until('Redis answers', 5000, () => connection.ping());
  const admission = openAdmission(connection);
  t.ok(await admission.reset(1));
  admission.adopt(1);
  await admission.load([row('item:a', 2), row('item:b', 1)]);
  t.ok(await admission.mark(1));
  return { admission, connection, keys, errors };
}

const row = (stockId: string, capacity: number | null, held = 0, sold = 0) => ({
  shopId,
  stockId,
  capacity,
  held,
  sold,
});

/** Both rows, each as `<capacity> <held> <admitted> <sold>`. */
async function counted(keys: RedisKeys): Promise<Record<string, string | null>> {
  return { a: await countedRow(keys, 'item:a'), b: await countedRow(keys, 'item:b') };
}

async function deadlineMs(keys: RedisKeys, basketId: string): Promise<number | null> {
  const score = await keys.zscore(deadlinesKey, `${shopId}/${basketId}`);
  return score === null ? null : Number(score);
}

async function redisNowMs(keys: RedisKeys): Promise<number> {
  const [seconds, microseconds] = (await keys.time()) as [string | number, string | number];
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

t.test('an admission takes all of its lines, for 30 seconds until it is settled', async (t) => {
  const { admission, keys } = await open(t);
  t.same(await admission.admit(hold('bkt_1', { 'item:a': 2, 'item:b': 1 })), { outcome: 'admitted' });
  t.same(await counted(keys), { a: '2 0 2 0', b: '1 0 1 0' });
  const provisional = (await deadlineMs(keys, 'bkt_1')) ?? 0;
  const left = provisional - (await redisNowMs(keys));
  t.ok(left > 25_000 && left <= 30_000, `${left} ms are left`);
  t.match(await admission.holdsBeside(shopId), [
    { ...hold('bkt_1', { 'item:a': 2, 'item:b': 1 }), state: 'admitted', version: 0 },
  ]);
});

t.test('an admission of which one line is short takes none of them', async (t) => {
  const { admission, keys } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:b': 1 }));
  const before = await contentsOfRedis(keys);
  await admission.admit(hold('bkt_2', { 'item:a': 1, 'item:b': 1 }));
  t.same(await contentsOfRedis(keys), before);
});

t.test('a short row is called sold out only when Postgres has said so too', async (t) => {
  const { admission } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:a': 1, 'item:b': 1 }));
  const next = hold('bkt_2', { 'item:a': 2, 'item:b': 1 });
  t.same(await admission.admit(next), { outcome: 'doubtful' });
  admission.proveSoldOut('another-shop', new Map([['item:b', 0]]));
  admission.proveSoldOut(shopId, new Map([['item:a', 1]]));
  t.same(await admission.admit(next), { outcome: 'doubtful' }, 'of another shop, or not all sold');
  admission.proveSoldOut(shopId, new Map([['item:b', 0]]));
  t.same(await admission.admit(next), {
    outcome: 'sold_out',
    available: new Map([
      ['item:a', 1],
      ['item:b', 0],
    ]),
  });
});

t.test('of a crowd that is refused one a second asks Postgres, whether the last has come back or not', async (t) => {
  const { admission } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:b': 1 }));
  const crowd = async () => {
    const next = Array.from({ length: 20 }, (_, at) => admission.admit(hold(`bkt_${at + 2}`, { 'item:b': 1 })));
    return (await Promise.all(next)).filter(({ outcome }) => outcome === 'doubtful').length;
  };
  t.equal(await crowd(), 20, 'until Postgres has said so');
  const secondLater = () => {
    const sinceMs = performance.now();
    return until('a second has passed', 3000, async () => performance.now() - sinceMs > 1000);
  };
  admission.proveSoldOut(shopId, new Map([['item:b', 0]]));
  for (let second = 0; second < 3; second += 1) {
    t.equal(await crowd(), 0);
    await secondLater();
    t.equal(await crowd(), 1);
  }
  for (let second = 0; second < 3; second += 1) await secondLater();
  t.equal(await crowd(), 20, 'a word of five seconds ago is none');
});

t.test('a row that Redis does not know is left to Postgres and nothing is written', async (t) => {
  const { admission, keys } = await open(t);
  const before = await contentsOfRedis(keys);
  t.same(await admission.admit(hold('bkt_1', { 'item:a': 1, 'item:z': 1 })), { outcome: 'doubtful' });
  t.same(await contentsOfRedis(keys), before);
});

t.test('a row without a capacity admits everything', async (t) => {
  const { admission, keys } = await open(t);
  await admission.load([row('item:c', null)]);
  t.same(await admission.admit(hold('bkt_1', { 'item:c': 1_000_000 })), { outcome: 'admitted' });
  t.equal(await countedRow(keys, 'item:c'), 'unlimited 0 1000000 0');
});

t.test('a basket that is admitted twice is counted once', async (t) => {
  const { admission, keys } = await open(t);
  const basket = hold('bkt_1', { 'item:a': 1, 'item:b': 1 });
  await admission.admit(basket);
  t.same(await admission.admit(basket), { outcome: 'admitted' });
  t.same(await counted(keys), { a: '2 0 1 0', b: '1 0 1 0' });
});

t.test('of 64 admissions of the last unit at once one gets it', async (t) => {
  const { admission, keys } = await open(t);
  const outcomes = await Promise.all(
    Array.from({ length: 64 }, (_, at) => admission.admit(hold(`bkt_${at}`, { 'item:b': 1 }))),
  );
  t.equal(outcomes.filter(({ outcome }) => outcome === 'admitted').length, 1);
  t.same(await counted(keys), { a: '2 0 0 0', b: '1 0 1 0' });
});

const settled = (basketId: string, takes: Record<string, number>, version: number, deadline: Date) => ({
  ...hold(basketId, takes),
  version,
  link: linkUntil(deadline),
});

t.test('settling an admitted basket makes its admission a hold and sets its deadline', async (t) => {
  const { admission, keys } = await open(t);
  const deadline = inAMinute();
  await admission.admit(hold('bkt_1', { 'item:a': 2 }));
  t.equal(await admission.settle([settled('bkt_1', { 'item:a': 2 }, 1, deadline)]), true);
  t.same(await counted(keys), { a: '2 2 0 0', b: '1 0 0 0' });
  t.equal(await deadlineMs(keys, 'bkt_1'), deadline.getTime());
});

t.test('settling a basket that was never admitted counts it, once however often it is settled', async (t) => {
  const { admission, keys } = await open(t);
  const basket = settled('bkt_1', { 'item:a': 2, 'item:b': 1 }, 1, inAMinute());
  await admission.settle([basket]);
  await admission.settle([basket]);
  t.same(await counted(keys), { a: '2 2 0 0', b: '1 1 0 0' });
});

t.test('a basket that is settled twice in one call holds what its newest version holds', async (t) => {
  const { admission, keys } = await open(t);
  const older = settled('bkt_1', { 'item:a': 2 }, 1, inAMinute());
  const newer = settled('bkt_1', { 'item:a': 1, 'item:b': 1 }, 2, inAMinute());
  for (const holds of [
    [older, newer],
    [newer, older],
  ]) {
    t.ok(await admission.reset(1));
    await admission.load([row('item:a', 2), row('item:b', 1)]);
    await admission.settle(holds);
    t.same(await counted(keys), { a: '2 1 0 0', b: '1 1 0 0' });
    t.match(await admission.holdsBeside(shopId), [{ basketId: 'bkt_1', version: 2 }]);
  }
});

t.test('filling leaves what settling one after the other does, whether baskets are known or not', async (t) => {
  const { admission, keys } = await open(t);
  const shops = [shopId, 'odeon'];
  const rows = shops.flatMap((shopId) => ['item:a', 'item:b'].map((stockId) => ({ ...row(stockId, 5000), shopId })));
  const holds = Array.from({ length: 2500 }, (_, at) => ({
    ...settled(
      `bkt_${at}`,
      at % 3 === 0 ? { 'item:a': 1, 'item:z': 1 } : { 'item:a': 1, 'item:b': 2 },
      3,
      new Date(at),
    ),
    shopId: shops[at % 7 === 0 ? 1 : 0] ?? shopId,
  }));
  const others = holds.slice(0, 10).map((hold, at) => ({ ...hold, takes: [], version: at < 5 ? 2 : 4 }));
  const contentsAfter = async (before: SettledHold[], tell: 'fill' | 'settle') => {
    t.ok(await admission.reset(1));
    await admission.load(rows);
    await admission.settle(before);
    for (let time = 0; time < 2; time += 1) t.ok(await admission[tell](holds));
    return contentsOfRedis(keys);
  };
  for (const before of [[], others]) {
    t.same(await contentsAfter(before, 'fill'), await contentsAfter(before, 'settle'), `${before.length} were known`);
  }
});

t.test('a changed basket holds what its newest version holds, in whichever order the messages come', async (t) => {
  const { admission, keys } = await open(t);
  const [sooner, later] = [new Date(Date.now() + 50_000), inAMinute()];
  await admission.admit(hold('bkt_1', { 'item:a': 1 }));
  await admission.settle([settled('bkt_1', { 'item:a': 1, 'item:b': 1 }, 3, later)]);
  await admission.settle([settled('bkt_1', { 'item:a': 2 }, 2, sooner)]);
  await admission.settle([settled('bkt_1', { 'item:a': 1 }, 1, sooner)]);
  t.same(await counted(keys), { a: '2 1 0 0', b: '1 1 0 0' });
  t.equal(await deadlineMs(keys, 'bkt_1'), later.getTime());
});

t.test('a release gives back what is held, once, and one that is not there gives nothing', async (t) => {
  const { admission, keys } = await open(t);
  const before = await contentsOfRedis(keys);
  await admission.release([hold('bkt_1', {})]);
  t.same(await contentsOfRedis(keys), before, 'never held');
  await admission.admit(hold('bkt_1', { 'item:a': 1 }));
  await admission.settle([settled('bkt_2', { 'item:a': 1, 'item:b': 1 }, 1, inAMinute())]);
  await admission.release([hold('bkt_1', {}), hold('bkt_2', {})]);
  await admission.release([hold('bkt_2', {}), hold('bkt_1', {})]);
  t.same(await contentsOfRedis(keys), before, 'held, and released twice');
});

t.test(
  'a sale is counted as sold, once, and forgets hold and deadline, so that no release gives it back',
  async (t) => {
    const { admission, keys } = await open(t);
    await admission.admit(hold('bkt_1', { 'item:a': 1 }));
    await admission.settle([settled('bkt_2', { 'item:a': 1 }, 1, inAMinute())]);
    for (const basketId of ['bkt_1', 'bkt_2']) {
      await admission.sell([{ shopId, basketId }]);
      await admission.sell([{ shopId, basketId }]);
      await admission.release([{ shopId, basketId }]);
      t.equal(await deadlineMs(keys, basketId), null);
    }
    t.same(await counted(keys), { a: '2 0 0 2', b: '1 0 0 0' });
    t.same(await admission.holdsBeside(shopId), []);
  },
);

t.test('what is restocked is not sold any more, and no hold is touched by it', async (t) => {
  const { admission, keys } = await open(t);
  await admission.settle([settled('bkt_1', { 'item:a': 1, 'item:b': 1 }, 1, inAMinute())]);
  await admission.sell([{ shopId, basketId: 'bkt_1' }]);
  await admission.settle([settled('bkt_2', { 'item:a': 1 }, 1, inAMinute())]);
  await admission.restock(hold('bkt_1', { 'item:a': 1, 'item:unknown': 1 }));
  t.same(await counted(keys), { a: '2 1 0 0', b: '1 0 0 1' });
});

t.test('loading makes a row known with its counts, and changes only the capacity of one that is known', async (t) => {
  const { admission, keys } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:a': 1 }));
  await admission.load([row('item:a', 7, 5, 1), row('item:new', null, 3, 4)]);
  t.equal(await countedRow(keys, 'item:a'), '7 0 1 0');
  t.equal(await countedRow(keys, 'item:new'), 'unlimited 3 0 4');
});

t.test('a correction adds to what goes on meanwhile', async (t) => {
  const { admission, keys } = await open(t);
  await admission.load([row('item:c', 9, 4, 2)]);
  await admission.settle([settled('bkt_1', { 'item:c': 1 }, 1, inAMinute())]);
  await admission.correct([row('item:c', 8, -3, 1), row('item:unknown', 8, -3, 1)]);
  t.equal(await countedRow(keys, 'item:c'), '8 2 0 3');
  t.equal(await countedRow(keys, 'item:unknown'), null);
});

t.test('holds on a row that is not known are neither counted nor given back there', async (t) => {
  const { admission, keys } = await open(t);
  await admission.settle([settled('bkt_1', { 'item:z': 1, 'item:b': 1 }, 1, inAMinute())]);
  t.equal(await countedRow(keys, 'item:z'), null);
  t.equal(await countedRow(keys, 'item:b'), '1 1 0 0');
  await admission.release([hold('bkt_1', {})]);
  t.equal(await countedRow(keys, 'item:z'), null);
  t.equal(await countedRow(keys, 'item:b'), '1 0 0 0');
});

t.test('hundreds of baskets and rows of several shops are told of in one call', async (t) => {
  const { admission } = await open(t);
  const shops = ['roxy', 'savoy', 'globe'];
  const rows = shops.flatMap((shopId) =>
    Array.from({ length: 300 }, (_, at) => ({ ...row(`item:${at}`, 10), shopId })),
  );
  t.equal(await admission.load(rows), true);
  const holds = rows.map(({ shopId, stockId }, at) => ({
    ...settled(`bkt_${at}`, { [stockId]: 2 }, 1, inAMinute()),
    shopId,
  }));
  t.equal(await admission.settle(holds), true);
  const found = await admission.allRows();
  t.same(new Set(rows.map(({ shopId, stockId }) => found?.get(`${shopId}/${stockId}`)?.held)), new Set([2]));
  for (const shopId of shops) {
    const beside = (await admission.holdsBeside(shopId)) ?? [];
    t.equal(beside.filter((found) => found.shopId === shopId).length, 300);
  }
  const names = [...holds.slice(0, 3), hold('bkt_unknown', {})];
  t.same(
    (await admission.readHolds(names))?.map(({ basketId, takes }) => ({ basketId, takes })),
    holds.slice(0, 3).map(({ basketId, takes }) => ({ basketId, takes })),
  );
  const walked = new Set<string>();
  for (const partition of partitions) {
    let cursor = '0';
    do {
      const page = await admission.pageOfHolds(partition, cursor);
      for (const { shopId, basketId } of page?.holds ?? []) walked.add(`${shopId}/${basketId}`);
      cursor = page?.next ?? '0';
    } while (cursor !== '0');
  }
  t.equal(walked.size, 900);
  await admission.release(holds);
  const after = await admission.readRows(rows);
  t.same(new Set([...(after?.values() ?? [])].map(({ held }) => held)), new Set([0]));
  t.equal(after?.size, 900);
});

const link = {
  generation: 4_294_967_297,
  expiresAt: new Date('2027-03-05T19:30:00.123Z'),
  mode: 'redirect',
  mayLogIn: true,
  reservesAtActivation: true,
  eventIds: ['evt-1', 'A.b:c_2'],
} as const;
const clicked = { shopId, basketId: 'bkt_1' };

t.test('a click is told the link as it was settled last, each part of it', async (t) => {
  const { admission } = await open(t);
  const links: SettledHold['link'][] = [
    link,
    { ...link, mode: 'page' },
    { ...link, mode: null, eventIds: [] },
    { ...link, mayLogIn: false },
    { ...link, mode: null, mayLogIn: false, reservesAtActivation: false, eventIds: ['p:l.a'] },
  ];
  for (const [at, each] of links.entries()) {
    for (const takes of [{}, { 'item:a': 2, 'item:b': 1 }]) {
      await admission.settle([{ ...settled('bkt_1', takes, at, inAMinute()), link: each }]);
      t.same(await admission.click(clicked), { outcome: 'follow', link: each });
    }
  }
  await admission.settle([{ ...settled('bkt_1', {}, links.length - 2, inAMinute()), link }]);
  t.same(await admission.click(clicked), { outcome: 'follow', link: links.at(-1) }, 'no message from before counts');
});

t.test('a click on the link of a basket that is not held, or not any more, is told nothing', async (t) => {
  const { admission } = await open(t);
  const unknown = async (what: string) => t.match(await admission.click(clicked), { outcome: 'unknown' }, what);
  await unknown('never heard of');
  await admission.admit(hold('bkt_1', { 'item:a': 1 }));
  await unknown('admitted');
  await admission.settle([settled('bkt_1', { 'item:a': 1 }, 1, inAMinute())]);
  t.match(await admission.click(clicked), { outcome: 'follow' });
  t.match(await admission.click({ ...clicked, shopId: 'another-shop' }), { outcome: 'unknown' });
  await admission.release([clicked]);
  await unknown('released');
  await admission.settle([settled('bkt_1', { 'item:a': 1 }, 2, inAMinute())]);
  await admission.sell([clicked]);
  await unknown('sold');
});

t.test(
  'what a click had to ask Postgres for is told to the next, unless the basket has changed meanwhile',
  async (t) => {
    const { admission, keys } = await open(t);
    const basket = settled('bkt_1', { 'item:a': 1 }, 1, inAMinute());
    const newer = settled('bkt_1', { 'item:b': 1 }, 2, inAMinute());
    const ask = async () => {
      const answer = await admission.click(clicked);
      if (answer.outcome !== 'unknown' || answer.seen === null) throw new Error('Postgres was to be asked');
      return answer.seen;
    };
    const seen = await ask();
    t.equal(await ask(), seen, 'of many that ask at once each may say it');
    await admission.warm(basket, seen);
    t.match(await admission.click(clicked), { outcome: 'follow', link: basket.link });
    t.same(await counted(keys), { a: '2 1 0 0', b: '1 0 0 0' });
    t.equal(await deadlineMs(keys, 'bkt_1'), basket.link.expiresAt.getTime());

    await admission.release([clicked]);
    const [before] = [await ask(), await admission.release([clicked])];
    await admission.warm(basket, before);
    t.match(await admission.click(clicked), { outcome: 'unknown' }, 'it has ended');
    await admission.warm(basket, before);
    t.match(await admission.click(clicked), { outcome: 'unknown' }, 'and somebody has asked again');

    const early = await ask();
    await admission.settle([newer]);
    await admission.warm(basket, early);
    t.match(await admission.click(clicked), { outcome: 'follow', link: newer.link }, 'it has changed');
    t.same(await counted(keys), { a: '2 0 0 0', b: '1 1 0 0' });
  },
);

t.test('what is told again changes only holds that are there and older', async (t) => {
  const { admission, keys } = await open(t);
  const basket = settled('bkt_1', { 'item:a': 1 }, 2, inAMinute());
  await admission.renew([basket]);
  t.same(await admission.holdsBeside(shopId), [], 'not known');
  await admission.click(clicked);
  await admission.renew([basket]);
  t.same(await admission.holdsBeside(shopId), [], 'asked for');
  await admission.settle([settled('bkt_1', { 'item:b': 1 }, 1, inAMinute())]);
  await admission.renew([basket]);
  t.same(await counted(keys), { a: '2 1 0 0', b: '1 0 0 0' });
  await admission.renew([settled('bkt_1', { 'item:b': 1 }, 1, inAMinute())]);
  t.same(await counted(keys), { a: '2 1 0 0', b: '1 0 0 0' }, 'newer there');
});

t.test('of a basket that was asked for in vain nothing is left when its half minute is over', async (t) => {
  const { admission, keys } = await open(t);
  const before = await contentsOfRedis(keys);
  await admission.click(clicked);
  const left = ((await deadlineMs(keys, 'bkt_1')) ?? 0) - (await redisNowMs(keys));
  t.ok(left > 25_000 && left <= 30_000, `${left} ms are left`);
  t.same(await admission.holdsBeside(shopId), [], 'and it is no hold');
  await admission.release([clicked]);
  t.same(await contentsOfRedis(keys), before);
});

t.test('a click on the link of a basket with a stopped event is told nothing until that is taken back', async (t) => {
  const { admission } = await open(t);
  await admission.settle([{ ...settled('bkt_1', { 'item:a': 1 }, 1, inAMinute()), link }]);
  await admission.stopEvents([
    { shopId, eventId: 'A.b:c' },
    { shopId: 'another-shop', eventId: 'evt-1' },
  ]);
  t.match(await admission.click(clicked), { outcome: 'follow' }, 'another event');
  await admission.stopEvents([{ shopId, eventId: 'A.b:c_2' }]);
  t.same(await admission.click(clicked), { outcome: 'unknown', seen: null });
  const listed = (await admission.stoppedEvents()) ?? [];
  t.same(listed.map(({ shopId, eventId }) => `${shopId} ${eventId}`).sort(), [
    'another-shop evt-1',
    'roxy A.b:c',
    'roxy A.b:c_2',
  ]);
  await admission.stopEvents([{ shopId, eventId: 'A.b:c_2' }]);
  await admission.resumeEvents(listed);
  t.same(await admission.click(clicked), { outcome: 'unknown', seen: null }, 'stopped again since it was listed');
  await admission.resumeEvents((await admission.stoppedEvents()) ?? []);
  t.match(await admission.click(clicked), { outcome: 'follow' });
  t.equal((await admission.allRows())?.size, 2, 'and events are no stock rows');
});

t.test('only baskets whose deadline has passed by Redis’ clock are due, and no more than asked for', async (t) => {
  const { admission } = await open(t);
  await admission.settle([
    settled('bkt_late', {}, 1, new Date(1)),
    settled('bkt_later', {}, 1, new Date(2)),
    settled('bkt_ahead', {}, 1, inAMinute()),
  ]);
  t.same(await admission.due(1, 1), [{ shopId, basketId: 'bkt_late' }]);
  t.same(await admission.due(2, 10), [], 'of another partition');
  t.same(await admission.due(1, 10), [{ shopId, basketId: 'bkt_later' }]);
});

t.test('a due basket is told to one sweeper, and to another when that one has let two seconds pass', async (t) => {
  const { admission, keys } = await open(t);
  await admission.settle([settled('bkt_due', {}, 1, new Date(1))]);
  const before = await redisNowMs(keys);
  t.equal((await admission.due(1, 10)).length, 1);
  t.same(await admission.due(1, 10), []);
  const again = (await deadlineMs(keys, 'bkt_due')) ?? 0;
  t.ok(again >= before + 2000 && again <= (await redisNowMs(keys)) + 2000, `${again - before} ms later`);
});

t.test(
  'a basket that was looked at too early is looked at again at its deadline, a second from now at the soonest',
  async (t) => {
    const { admission, keys } = await open(t);
    const deadline = inAMinute();
    await admission.remind([{ shopId, basketId: 'bkt_1', deadline }]);
    t.equal(await deadlineMs(keys, 'bkt_1'), deadline.getTime());
    const before = await redisNowMs(keys);
    await admission.remind([{ shopId, basketId: 'bkt_1', deadline: new Date(0) }]);
    const again = (await deadlineMs(keys, 'bkt_1')) ?? 0;
    t.ok(again >= before + 1000 && again <= (await redisNowMs(keys)) + 1000, `${again - before} ms from now`);
  },
);

t.test('all keys of a shop share one slot of a cluster', async (t) => {
  const { admission, keys } = await open(t);
  const tagsOf = async () =>
    new Set(Object.keys(await contentsOfRedis(keys)).map((key) => /^\{[^{}]+\}/.exec(key)?.[0]));
  const before = await tagsOf();
  await admission.admit(hold('bkt_1', { 'item:a': 1 }));
  await admission.settle([settled('bkt_1', { 'item:a': 1 }, 1, inAMinute())]);
  t.same(await tagsOf(), before);
  t.equal(before.size, partitions.length);
});

/** Every call that Redis answers, with what it gives when it is not answered. */
const calls: Record<string, { call: (admission: Admission) => Promise<unknown>; unanswered: unknown }> = {
  admit: { call: (a) => a.admit(hold('bkt_new', { 'item:a': 1 })), unanswered: { outcome: 'unreachable' } },
  fill: { call: (a) => a.fill([settled('bkt_new', { 'item:b': 1 }, 2, new Date(5))]), unanswered: false },
  settle: { call: (a) => a.settle([settled('bkt_held', { 'item:b': 1 }, 2, new Date(5))]), unanswered: false },
  click: { call: (a) => a.click(hold('bkt_held', {})), unanswered: { outcome: 'unknown', seen: null } },
  warm: { call: (a) => a.warm(settled('bkt_held', { 'item:b': 1 }, 2, new Date(5)), 'cold 1'), unanswered: false },
  stopEvents: { call: (a) => a.stopEvents([{ shopId, eventId: 'evt-1' }]), unanswered: false },
  resumeEvents: { call: (a) => a.resumeEvents([{ shopId, eventId: 'evt-1', at: '1' }]), unanswered: undefined },
  stoppedEvents: { call: (a) => a.stoppedEvents(), unanswered: null },
  renew: { call: (a) => a.renew([settled('bkt_held', { 'item:b': 1 }, 2, new Date(5))]), unanswered: false },
  release: { call: (a) => a.release([hold('bkt_held', {})]), unanswered: false },
  sell: { call: (a) => a.sell([hold('bkt_held', {})]), unanswered: false },
  restock: { call: (a) => a.restock(hold('bkt_sold', { 'item:a': 1 })), unanswered: undefined },
  load: { call: (a) => a.load([row('item:a', 9)]), unanswered: false },
  correct: { call: (a) => a.correct([row('item:a', 9, 1, 1)]), unanswered: undefined },
  remind: { call: (a) => a.remind([{ shopId, basketId: 'bkt_held', deadline: new Date(5) }]), unanswered: undefined },
  mark: { call: (a) => a.mark(9), unanswered: false },
  due: { call: (a) => a.due(1, 10), unanswered: [] },
  readRows: { call: (a) => a.readRows([row('item:a', 2)]), unanswered: null },
  allRows: { call: (a) => a.allRows(), unanswered: null },
  pageOfHolds: { call: (a) => a.pageOfHolds(1, '0'), unanswered: null },
  readHolds: { call: (a) => a.readHolds([hold('bkt_held', {})]), unanswered: null },
  holdsBeside: { call: (a) => a.holdsBeside(shopId), unanswered: null },
};

for (const [name, { call, unanswered }] of Object.entries(calls)) {
  t.test(`${name} of another epoch than Redis does nothing, and whoever asked hears that it is stale`, async (t) => {
    const { admission, keys } = await open(t);
    await admission.settle([settled('bkt_held', { 'item:a': 1 }, 1, new Date(1))]);
    const before = await contentsOfRedis(keys);
    let heard = 0;
    admission.onStale(() => {
      heard += 1;
    });
    admission.adopt(2);
    t.same(await call(admission), unanswered);
    t.same(await contentsOfRedis(keys), before);
    t.equal(admission.epoch(), null);
    t.equal(heard, 1);
    t.same(await call(admission), unanswered, 'nor does it ask again');
  });

  for (const lost of [deadlinesKey, holdsKey, stockKey]) {
    t.test(`${name} does nothing in a partition whose ${lost} is lost, or of another type`, async (t) => {
      for (const instead of [null, 'of another type']) {
        const { admission, keys } = await open(t);
        await admission.settle([settled('bkt_held', { 'item:a': 1 }, 1, new Date(1))]);
        await keys.del(lost);
        if (instead !== null) await keys.set(lost, instead);
        const partition = async () =>
          Object.entries(await contentsOfRedis(keys)).filter(([key]) => key.startsWith('{bl:1}:'));
        const before = await partition();
        t.same(await call(admission), unanswered);
        t.same(await partition(), before);
        t.equal(admission.epoch(), null);
      }
    });
  }
}

t.test('an epoch that Postgres is seen at makes this one stale, unless it is the same', async (t) => {
  const { admission } = await open(t);
  admission.sawEpoch(1);
  t.equal(admission.epoch(), 1);
  admission.sawEpoch(2);
  t.equal(admission.epoch(), null);
});

t.test('a partition that is being built admits nobody, and hears of holds', async (t) => {
  const { admission, keys } = await open(t);
  t.ok(await admission.reset(2));
  admission.adopt(2);
  await admission.load([row('item:a', 2)]);
  t.same(await admission.admit(hold('bkt_1', { 'item:a': 1 })), { outcome: 'unreachable' });
  await admission.settle([settled('bkt_2', { 'item:a': 1 }, 1, inAMinute())]);
  t.equal(await countedRow(keys, 'item:a'), '2 1 0 0');
  await admission.mark(7);
  t.same(await admission.admit(hold('bkt_1', { 'item:a': 1 })), { outcome: 'admitted' });
});

t.test('a partition says which epoch it is of, whether it is complete, and who has it', async (t) => {
  const { admission, keys } = await open(t);
  t.match(await admission.identify(), [{ epoch: 1, newestEpoch: 1, ready: true, tick: 1, server: /^\w*:\w+$/ }]);
  await admission.reset(5);
  t.match(await admission.identify(), [{ epoch: 5, newestEpoch: 5, ready: false, tick: 0 }]);
  await keys.hset(partitionKeys.holds, '@epoch', '6');
  await keys.del(partitionKeys.deadlines);
  t.match((await admission.identify())?.[1], { epoch: null, newestEpoch: 6 });
});

t.test('an older epoch begins nowhere', async (t) => {
  const { admission, keys } = await open(t);
  await admission.reset(5);
  const before = await contentsOfRedis(keys);
  t.equal(await admission.reset(4), false);
  t.same(await contentsOfRedis(keys), before);
});

t.test('without Redis nothing rejects, and a creation is left to Postgres', async (t) => {
  const admission = openAdmission(openTestRedis(t, { url: closedRedisUrl }).connection);
  admission.adopt(1);
  for (const [name, { call, unanswered }] of Object.entries(calls)) t.same(await call(admission), unanswered, name);
  t.equal(await admission.identify(), null);
  t.equal(await admission.reset(2), false);
});
