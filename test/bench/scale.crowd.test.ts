import t from 'tap';
import { addCrowd, someOf } from '../../bench/scale/crowd.ts';
import { renderScale } from '../../bench/scale/report.ts';
import { sizesOf } from '../../bench/scale/sizes.ts';
import { itemIds, sameIds } from '../../bench/scenarios/catalogue.ts';
import { asPostgres } from '../../bench/servers.ts';
import { audit } from '../support/audit.ts';
import { createBasket } from '../support/journey.ts';
import { asTester } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const figures = {
  ...{ requestsPerSecond: 4000, p50Ms: 1, p99Ms: 2 },
  cpuMs: { server: 0.2, postgres: 0.1, redis: null },
};

t.test('a crowd is of baskets as the API would have made them, and is measured', async (t) => {
  const shop = await openShop(t);
  const items = itemIds.map((itemId) => ({ itemId, name: itemId, price: 100, capacity: 1_000_000 }));
  t.equal((await shop.owner.request('PUT', '/v1/items', { items })).status, 200);
  const { id } = await createBasket(shop, { items: sameIds.map((itemId) => ({ itemId, quantity: 1 })) });
  const count = 1500;
  const { ids, sizes } = await asPostgres(asTester(shop.service.config.databaseUrl), async (database) => {
    await addCrowd(database, id, count, () => {});
    return { ids: await someOf(database, count), sizes: await sizesOf(database, count) };
  });
  await audit(shop.service.pool);
  t.equal(new Set(ids).size, count);
  for (const basketId of ids.slice(0, 5)) {
    const link = await shop.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${basketId}/link`);
    t.equal(link.status, 200);
    t.equal((await fetch(link.body.startBasketUrl)).status, 200, 'its link can be opened');
  }
  t.equal((await shop.backEnd.request('POST', `/v1/baskets/${ids.at(-1)}/cancel`)).status, 200);
  await audit(shop.service.pool);

  t.ok(sizes.every(({ bytesPerBasket }) => bytesPerBasket >= 0 && bytesPerBasket < 10_000));
  const report = renderScale(
    { machine: [['processor', 'a fast one']], how: '' },
    {
      ...{ few: 1000, many: 1_000_000, redisBytesPerBasket: 600, rebuildMs: 15_000, sizes },
      loads: [{ name: 'click', few: figures, many: figures, ratio: { median: 0.95, lowest: 0.9, highest: 1 } }],
    },
  );
  t.match(report, /^\| click \| 0\.95 \| 0\.90–1\.00 \| ≥ 0\.95 \| met \|$/m);
  t.match(report, /^\| click \| 1,000,000 \| 4,000 \|/m);
  t.match(report, /^\| bytes a basket \| 600 \| ≤ 500 \| missed by 20 % \|$/m);
  t.match(report, /^\| seconds to build it anew \| 15\.0 \| ≤ 20 \| met \|$/m);
  t.match(report, /^\| \*\*baskets\*\* \| \d{4} \| {2}\|$/m);
  t.match(report, /^\| outbox_by_change \| {2}\| \d+ \|$/m);
});
