import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);

t.test('a read with the present version says so in a 304 without a body', async (t) => {
  const { id } = await createBasket(shop);
  const path = `/v1/baskets/${id}`;
  const read = (ifNoneMatch?: string) =>
    shop.backEnd.request('GET', path, undefined, ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch });
  const { headers } = await read();
  t.equal(headers.get('etag'), '"1"');
  for (const tags of ['"1"', 'W/"1"', '"0", "1"', '*']) {
    const answer = await read(tags);
    t.match({ status: answer.status, text: answer.text }, { status: 304, text: '' }, tags);
    t.equal(answer.headers.get('etag'), '"1"', tags);
  }
  for (const tags of ['"2"', '1', '', '"11"', 'nonsense']) t.equal((await read(tags)).status, 200, tags);
  await shop.backEnd.request('PATCH', path, { reference: 'r-1' });
  t.equal((await read('"1"')).status, 200, 'the basket has changed');
  t.equal((await read('"2"')).status, 304);
});

t.test('a change that was decided on another version is refused, and one without a condition is not', async (t) => {
  const { id } = await createBasket(shop);
  const path = `/v1/baskets/${id}`;
  await shop.backEnd.request('PATCH', path, { reference: 'r-1' });
  for (const tag of ['"1"', '"3"', 'W/"2"', '2', '""', 'nonsense', '']) {
    for (const [method, call, body] of [
      ['POST', `${path}/cancel`, {}],
      ['PATCH', path, { reference: 'r-2' }],
      ['POST', `${path}/link`, {}],
    ] as const) {
      await assertRefused(t, shop, `${method} if ${tag}`, { status: 412, code: 'version_conflict' }, () =>
        shop.backEnd.request(method, call, body, { 'if-match': tag }),
      );
    }
  }
  t.equal((await shop.backEnd.request('PATCH', path, { reference: 'r-3' }, { 'if-match': '"1", "2"' })).status, 200);
  t.equal((await shop.backEnd.request('PATCH', path, { reference: 'r-4' }, { 'if-match': '*' })).status, 200);
  t.equal((await shop.backEnd.request('POST', `${path}/cancel`, {}, { 'if-match': '"4"' })).status, 200);
});

t.test('of changes at the same time that were decided on one version, one is made', async (t) => {
  const { id } = await createBasket(shop);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      shop.backEnd.request('PATCH', `/v1/baskets/${id}`, { reference: `r-${n}` }, { 'if-match': '"1"' }),
    ),
  );
  t.same(answers.map(({ status }) => status).sort(), [200, ...Array.from({ length: 9 }, () => 412)]);
});
