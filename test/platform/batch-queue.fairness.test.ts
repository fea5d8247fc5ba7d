import { setTimeout as delay } from 'node:timers/promises';
import { Registry } from 'prom-client';
import t from 'tap';
import { openBatchQueue } from '../../src/platform/batch-queue.ts';
import { queueMetrics } from '../../src/platform/metrics.ts';
import { until } from '../support/until.ts';

type Job = { name: string; shop: string; keys?: string[] };

/** A queue of batches of three, whose work waits until it is let go, and answers with the names of the jobs. */
function openQueue(more: { maxInFlight?: number; maxWaiting?: number } = {}) {
  const begun: string[][] = [];
  const letGo: ((error?: Error) => void)[] = [];
  const put = openBatchQueue({
    work: (batch: readonly Job[]) => {
      const names = batch.map(({ name }) => name);
      begun.push(names);
      return new Promise<string[]>((resolve, reject) => {
        letGo.push((error) => (error ? reject(error) : resolve(names)));
      });
    },
    shopOf: ({ shop }) => shop,
    keysOf: ({ keys }) => keys ?? [],
    maxBatch: 3,
    maxInFlight: 1,
    maxWaiting: 100,
    metrics: queueMetrics(new Registry())('test'),
    ...more,
  });
  /** Ends the batch that was begun first, and waits until the next has begun. */
  async function endOne(error?: Error): Promise<void> {
    letGo.shift()?.(error);
    await new Promise(setImmediate);
  }
  return { put, begun, endOne };
}

t.test('a lone job is done at once, what arrives meanwhile together, and each gets its own outcome', async (t) => {
  const { put, begun, endOne } = openQueue();
  const answers = ['a', 'b', 'c', 'd', 'e'].map((name) => put({ name, shop: 'roxy' }));
  t.same(begun, [['a']]);
  for (let i = 0; i < 3; i += 1) await endOne();
  t.same(begun, [['a'], ['b', 'c', 'd'], ['e']]);
  t.same(await Promise.all(answers), ['a', 'b', 'c', 'd', 'e']);
});

t.test('a batch that takes long is not waited for, but no more are in flight than may be', async (t) => {
  const { put, begun, endOne } = openQueue({ maxInFlight: 2 });
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) void put({ name, shop: 'roxy' });
  t.same(begun, [['a']]);
  await until('a second has begun', 5000, async () => begun.length === 2);
  await delay(200);
  t.same(begun, [['a'], ['b', 'c', 'd']]);
  await endOne();
  t.same(begun, [['a'], ['b', 'c', 'd'], ['e', 'f']]);
});

t.test('a shop with a crowd leaves the others their turn in every batch', async (t) => {
  const { put, begun, endOne } = openQueue();
  for (const name of ['crowd 1', 'crowd 2', 'crowd 3', 'crowd 4', 'crowd 5', 'crowd 6']) {
    void put({ name, shop: 'roxy' });
  }
  void put({ name: 'savoy 1', shop: 'savoy' });
  void put({ name: 'savoy 2', shop: 'savoy' });
  void put({ name: 'lyric 1', shop: 'lyric' });
  for (let i = 0; i < 3; i += 1) await endOne();
  t.same(begun, [
    ['crowd 1'],
    ['crowd 2', 'savoy 1', 'lyric 1'],
    ['crowd 3', 'savoy 2', 'crowd 4'],
    ['crowd 5', 'crowd 6'],
  ]);
});

t.test('a shop whose turn did not come in a full batch is the first of the next', async (t) => {
  const { put, begun, endOne } = openQueue();
  for (const shop of ['a', 'b', 'c', 'd', 'e']) for (const n of [1, 2]) void put({ name: `${shop}${n}`, shop });
  for (let i = 0; i < 3; i += 1) await endOne();
  t.same(begun, [['a1'], ['a2', 'b1', 'c1'], ['d1', 'e1', 'b2'], ['c2', 'd2', 'e2']]);
});

t.test('jobs that share a key are never in one batch, and keep their order', async (t) => {
  const { put, begun, endOne } = openQueue();
  void put({ name: 'first', shop: 'roxy' });
  void put({ name: 'x1', shop: 'roxy', keys: ['x', 'y'] });
  void put({ name: 'x2', shop: 'roxy', keys: ['x'] });
  void put({ name: 'y1', shop: 'roxy', keys: ['y'] });
  void put({ name: 'x3', shop: 'roxy', keys: ['x'] });
  void put({ name: 'free', shop: 'roxy' });
  for (let i = 0; i < 4; i += 1) await endOne();
  t.same(begun, [['first'], ['x1', 'free'], ['x2', 'y1'], ['x3']]);
});

t.test('what does not fit into the queue is told so, one shop from half of it on', async (t) => {
  const { put } = openQueue({ maxWaiting: 4 });
  void put({ name: 'in flight', shop: 'roxy' });
  for (const name of ['a', 'b']) void put({ name, shop: 'roxy' });
  t.equal(await put({ name: 'c', shop: 'roxy' }), 'overloaded');
  for (const name of ['a', 'b']) void put({ name, shop: 'savoy' });
  t.equal(await put({ name: 'a', shop: 'lyric' }), 'overloaded');
});

t.test('a batch that fails is tried job by job, so that only the one at fault fails', async (t) => {
  const put = openBatchQueue({
    work: async (batch: readonly Job[]) => {
      if (batch.some(({ name }) => name === 'bad')) throw new Error('cannot be taken');
      return batch.map(({ name }) => name);
    },
    shopOf: ({ shop }) => shop,
    keysOf: () => [],
    maxBatch: 3,
    maxInFlight: 1,
    maxWaiting: 100,
    metrics: queueMetrics(new Registry())('test'),
  });
  const answers = await Promise.allSettled(['a', 'b', 'bad', 'c'].map((name) => put({ name, shop: 'roxy' })));
  t.same(
    answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : String(answer.reason))),
    ['a', 'b', 'Error: cannot be taken', 'c'],
  );
});

t.test('a batch that Postgres is not there for is not tried again', async (t) => {
  const { put, begun, endOne } = openQueue();
  const answers = Promise.allSettled(['a', 'b', 'c'].map((name) => put({ name, shop: 'roxy' })));
  await endOne();
  await endOne(new Error('Connection terminated unexpectedly'));
  t.same(
    (await answers).map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  t.same(begun, [['a'], ['b', 'c']]);
});
