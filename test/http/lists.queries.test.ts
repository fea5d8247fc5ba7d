import t from 'tap';
import { createBasket, putItem } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

/* Every list of openapi.yaml: what says which part of it is wanted, and what says so wrongly. */

type Page = { data: unknown[]; nextCursor: string | null };
type Operation = { parameters?: { name: string; in: string }[] };

const everyScope = 'shop:write catalogue:read webhooks:write baskets:read baskets:write';
const shop = await openShop(t);
const { body: document } = await api(shop.service.url, null).request<{
  paths: Record<string, Record<string, Operation>>;
}>('GET', '/openapi.json');
const withParameter = (wanted: string) =>
  Object.entries(document.paths)
    .filter(([, { get }]) => get?.parameters?.some(({ name }) => name === wanted))
    .map(([path]) => path);
const lists = withParameter('limit');
const caller = await shop.withScope(everyScope);
const list = (path: string, query: string, client = caller, shopId = 'roxy') =>
  client.request<Page>('GET', `${path.replace('{shopId}', shopId).replace('{webhookId}', 'hook-0')}?${query}`);

for (let n = 0; n < 3; n += 1) {
  await createBasket(shop);
  await putItem(shop, `item-${n}`, 1);
  await shop.owner.request('POST', '/v1/shops/roxy/api-keys', { name: `key-${n}`, scopes: ['baskets:read'] });
  await caller.request('PUT', `/v1/webhooks/hook-${n}`, { url: 'https://receiver.example/' });
  await caller.request('POST', '/v1/webhooks/hook-0/test');
}

t.test('a list has a limit of 1 to 100, and no parameter but those that it names, each once', async (t) => {
  t.ok(lists.length >= 3, 'there are lists');
  const refused = [
    ...['0', '-1', '101', '1e9', '1e1', 'abc', '', '1.5', '%201', '0x10', '١', '99999999999999999999'].map(
      (limit) => `limit=${limit}`,
    ),
    'limit=1&limit=2',
    'limit[]=1',
    'sort=price;drop',
    'sort=id%22',
    'order=asc',
    'offset=1',
    'cursor=a&cursor=b',
    '__proto__=1',
    'constructor=1',
    '%00=1',
  ];
  for (const path of lists) {
    for (const query of refused) {
      await assertRefused(t, shop, `${path}?${query}`, { status: 400, code: 'invalid_request' }, () =>
        list(path, query),
      );
    }
    for (const limit of [1, 2, 100]) {
      const { status, body } = await list(path, `limit=${limit}`);
      t.match({ status, read: body.data.length <= limit }, { status: 200, read: true }, `${path}?limit=${limit}`);
    }
  }
});

t.test('a cursor goes on in the list, shop and spelling that it was made for, and nowhere else', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  t.equal((await platform.request('PUT', '/v1/shops/other', shopSettings)).status, 200);
  const other = shop.as(await mintToken({ shop: 'other', scope: everyScope }));
  await other.request('PUT', '/v1/webhooks/hook-0', { url: 'https://receiver.example/' });
  const cursors = new Map<string, string>();
  const lists = withParameter('cursor');
  for (const path of lists) {
    const { nextCursor } = (await list(path, 'limit=1')).body;
    if (nextCursor === null) throw new Error(`${path} has no second page`);
    cursors.set(path, nextCursor);
  }
  for (const [path, cursor] of cursors) {
    const at = Math.floor(cursor.length / 2);
    const wrong = {
      cut: cursor.slice(0, -1),
      longer: `${cursor}A`,
      padded: `${cursor}%3D`,
      'with one character changed': `${cursor.slice(0, at)}${cursor[at] === 'A' ? 'B' : 'A'}${cursor.slice(at + 1)}`,
      'in small letters': cursor.toLowerCase(),
      empty: '',
      'that is SQL': encodeURIComponent("' OR 1=1 --"),
      'with NUL': '%00',
      'of nothing but letters': 'A'.repeat(2000),
    };
    for (const [what, text] of Object.entries(wrong)) {
      await assertRefused(t, shop, `${path}, a cursor ${what}`, { status: 400, code: 'invalid_cursor' }, () =>
        list(path, `cursor=${text}`),
      );
    }
    for (const elsewhere of lists.filter((name) => name !== path)) {
      const what = `a cursor of ${path} at ${elsewhere}`;
      await assertRefused(t, shop, what, { status: 400, code: 'invalid_cursor' }, () =>
        list(elsewhere, `cursor=${cursor}`),
      );
    }
    await assertRefused(t, shop, `${path}, by another shop`, { status: 400, code: 'invalid_cursor' }, () =>
      list(path, `cursor=${cursor}`, other, 'other'),
    );
    t.equal((await list(path, `limit=2&cursor=${cursor}`)).status, 200, `${path}, where it belongs`);
  }
});
