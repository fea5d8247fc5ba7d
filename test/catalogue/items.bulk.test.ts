import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
type Page = { data: { itemId: string; name: string; availability: object }[]; nextCursor: string | null };
const bulk = (items: unknown) => shop.owner.request<{ items: Page['data'] }>('PUT', '/v1/items', { items });
const itemOf = (at: number) => ({
  itemId: `bulk-${at}`,
  name: `Number ${at}`,
  price: at,
  capacity: at,
  eventId: 'evt-1',
});
const thousand = Array.from({ length: 1000 }, (_, at) => itemOf(at));

t.test('a thousand items are put at once, answered in their order, and listed page by page, each once', async (t) => {
  await shop.owner.request('PUT', '/v1/items/bulk-7', { name: 'There before', price: 1 });
  const { status, body } = await bulk(thousand);
  t.equal(status, 200);
  t.same(
    body.items.map(({ itemId }) => itemId),
    thousand.map(({ itemId }) => itemId),
  );
  t.match(body.items[7], { name: 'Number 7', price: 7, availability: { capacity: 7, held: 0, available: 7 } });

  const listed: string[] = [];
  let cursor = '';
  do {
    const page = await shop.owner.request<Page>('GET', `/v1/items?eventId=evt-1&limit=100${cursor}`);
    t.equal(page.status, 200);
    listed.push(...page.body.data.map(({ itemId }) => itemId));
    cursor = page.body.nextCursor === null ? '' : `&cursor=${page.body.nextCursor}`;
  } while (cursor !== '');
  t.same([...listed].sort(), [...thousand.map(({ itemId }) => itemId), 'stalls'].sort());
  t.equal(listed.length, 1001);
});

t.test('when one item of a bulk cannot be put, none is', async (t) => {
  await shop.owner.request('PUT', '/v1/items/held', { name: 'Held', price: 1, capacity: 5 });
  await createBasket(shop, { items: [{ itemId: 'held', quantity: 3 }] });
  const good = { itemId: 'good', name: 'Good', price: 1 };
  const cases = [
    { bad: { ...good, itemId: 'bad', price: -1 }, status: 400, code: 'invalid_request', pointer: '/items/1/price' },
    { bad: { ...good, itemId: 'b d' }, status: 400, code: 'invalid_request', pointer: '/items/1/itemId' },
    { bad: { name: 'No id', price: 1 }, status: 400, code: 'invalid_request', pointer: '/items/1/itemId' },
    { bad: { ...good, name: 'Twice' }, status: 400, code: 'invalid_request', pointer: '/items' },
    { bad: { ...good, itemId: 'bad', taxRate: 0.00001 }, status: 400, code: 'invalid_request', pointer: '/taxRate' },
    { bad: { ...good, itemId: 'bad', eventId: 'nowhere' }, status: 422, code: 'unknown_event' },
    { bad: { ...good, itemId: 'bad', poolId: 'nowhere' }, status: 422, code: 'unknown_pool' },
    { bad: { ...good, itemId: 'held', capacity: 2 }, status: 422, code: 'capacity_below_committed' },
  ] as const;
  for (const { bad, status, code, ...rest } of cases) {
    const what = JSON.stringify(bad);
    const answer = await assertRefused(t, shop, what, { status, code }, () => bulk([good, bad]));
    if ('pointer' in rest) t.match(answer.body, { errors: [{ pointer: rest.pointer }] }, what);
  }
});

t.test('a bulk is of 1 to 1,000 items', async (t) => {
  for (const items of [[], [...thousand, itemOf(1000)], {}, null]) {
    await assertRefused(
      t,
      shop,
      `a bulk of ${JSON.stringify(items)?.length}`,
      { status: 400, code: 'invalid_request' },
      () => bulk(items),
    );
  }
});

t.test('a list is newest first, of one shop, with 1 to 100 items a page, 20 unless said', async (t) => {
  for (const itemId of ['old', 'newer', 'newest']) {
    await shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 1 });
  }
  const list = (query: string) => shop.owner.request<Page>('GET', `/v1/items${query}`);
  const [first] = [await list('?limit=3')];
  t.same(
    first.body.data.map(({ itemId }) => itemId),
    ['newest', 'newer', 'old'],
  );
  t.equal((await list('')).body.data.length, 20);
  t.equal((await list('?limit=100')).body.data.length, 100);
  t.same((await list('?eventId=no-such-event')).body, { data: [], nextCursor: null });
  const refused = [
    'limit=0',
    'limit=-1',
    'limit=101',
    'limit=1e9',
    'limit=1.5',
    'limit=abc',
    'limit=',
    'limit=1&limit=2',
  ];
  for (const query of [...refused, 'sort=price', 'sort=id%22', 'eventId=a%20b', 'eventId=', 'offset=1']) {
    await assertRefused(t, shop, query, { status: 400, code: 'invalid_request' }, () => list(`?${query}`));
  }
});

t.test('a cursor goes on in exactly the list that it came from', async (t) => {
  const list = (query: string, client = shop.owner) => client.request<Page>('GET', `/v1/items?limit=2${query}`);
  const { nextCursor } = (await list('&eventId=evt-1')).body;
  if (nextCursor === null) throw new Error('there is no next page');
  t.equal((await list(`&eventId=evt-1&cursor=${nextCursor}`)).status, 200);
  t.equal((await shop.owner.request('GET', `/v1/items?limit=50&eventId=evt-1&cursor=${nextCursor}`)).status, 200);
  const flipped = nextCursor.slice(0, -1) + (nextCursor.endsWith('A') ? 'B' : 'A');
  const neighbour = shop.as(await mintToken({ shop: 'neighbour', scope: 'catalogue:read' }));
  const baskets = await shop.backEnd.request('GET', `/v1/baskets?cursor=${nextCursor}`);
  t.match(baskets, { status: 400, body: { code: 'invalid_cursor' } }, 'in another list');
  const cases: Record<string, () => ReturnType<typeof list>> = {
    'without its filter': () => list(`&cursor=${nextCursor}`),
    'with another filter': () => list(`&eventId=evt-2&cursor=${nextCursor}`),
    'by another shop': () => list(`&eventId=evt-1&cursor=${nextCursor}`, neighbour),
    changed: () => list(`&eventId=evt-1&cursor=${flipped}`),
    cut: () => list(`&eventId=evt-1&cursor=${nextCursor.slice(0, -4)}`),
    padded: () => list(`&eventId=evt-1&cursor=${nextCursor}%3D`),
    empty: () => list('&eventId=evt-1&cursor='),
    'made up': () => list(`&eventId=evt-1&cursor=${Buffer.from('[["items"],[]]').toString('base64url')}`),
  };
  for (const [what, send] of Object.entries(cases)) {
    await assertRefused(t, shop, what, { status: 400, code: 'invalid_cursor' }, send);
  }
});
