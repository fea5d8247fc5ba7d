import t from 'tap';
import { openShop } from '../support/shop.ts';

t.test(
  'hundreds of creations at once are all answered, none of them with an error of overload, and sell no more than there is',
  async (t) => {
    const shop = await openShop(t);
    await shop.owner.request('PUT', '/v1/items/rush', { name: 'Rush', price: 100, capacity: 200 });
    const answers = await Promise.all(
      Array.from({ length: 300 }, () =>
        shop.backEnd.request<{ code?: string }>('POST', '/v1/baskets', { items: [{ itemId: 'rush', quantity: 1 }] }),
      ),
    );
    const counts: Record<string, number> = {};
    for (const { status, body } of answers) {
      const answer = `${status} ${body.code ?? ''}`;
      counts[answer] = (counts[answer] ?? 0) + 1;
    }
    t.same(counts, { '201 ': 200, '409 insufficient_stock': 100 });
    t.same(await shop.availability('rush'), { capacity: 200, held: 200, sold: 0, available: 0 });
  },
);

t.test('requests with one key that arrive together make one basket and get one answer', async (t) => {
  const shop = await openShop(t);
  const body = { items: [{ itemId: 'stalls', quantity: 1 }] };
  const answers = await Promise.all(
    Array.from({ length: 64 }, () => shop.backEnd.request('POST', '/v1/baskets', body, { 'idempotency-key': 'once' })),
  );
  t.equal(new Set(answers.map(({ text }) => text)).size, 1);
  t.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length, 63);
  t.same(await shop.availability('stalls'), { capacity: 100, held: 1, sold: 0, available: 99 });
});
