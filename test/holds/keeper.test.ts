import t, { type Test } from 'tap';
import { startKeeper } from '../../src/holds/index.ts';
import { readDoubts, settleDoubts } from '../../src/holds/store.ts';
import { openStoppedShop } from '../support/stopped-shop.ts';
import { until } from '../support/until.ts';

/** A shop whose holds were compared since the last doubt. */
async function openComparedShop(t: Test) {
  const shop = await openStoppedShop(t);
  await settleDoubts(shop.pool, (await readDoubts(shop.pool)).now);
  return shop;
}

t.test('a replica that starts has done nothing without Redis, and has no holds compared', async (t) => {
  const { pool, replica } = await openComparedShop(t);
  const mine = await replica();
  const keeper = await startKeeper(mine, mine.redis);
  t.not(mine.admission.epoch(), null);
  await keeper.stop();
  t.equal((await readDoubts(pool)).doubted, false);
});

t.test('one that had to start without Redis has all holds compared when it is back', async (t) => {
  const { pool, replica } = await openComparedShop(t);
  const mine = await replica();
  let isBack = false;
  const { run } = mine.redis;
  t.intercept(mine.redis, 'run', {
    value: async (...request: Parameters<typeof run>) => (isBack ? run(...request) : { known: false }),
  });
  const keeper = await startKeeper(mine, mine.redis);
  t.teardown(keeper.stop);
  t.equal(mine.admission.epoch(), null);
  isBack = true;
  await until('holds are doubted', 10_000, async () => (await readDoubts(pool)).doubted);
});
