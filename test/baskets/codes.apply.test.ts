import t from 'tap';
import { audit } from '../support/audit.ts';
import { checkout, complete, createBasket, openBasket, putItem, type ShownProblem } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

type Shown = ShownProblem & {
  id: string;
  version: number;
  expiresAt: string;
  items: { lineId: string; itemId: string; subtotal: number; discount: number; tax: number; total: number }[];
  totals: { subtotal: number; discount: number; tax: number; total: number; due: number };
  discountCodes: string[];
  creatorCode: string | null;
};

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
const { pool } = shop.service;
const hour = 3_600_000;
const inHours = (hours: number) => new Date(Date.now() + hours * hour).toISOString();
const items = [{ itemId: 'stalls', quantity: 2 }];
const percent = (value: number, more: object = {}) => ({ type: 'percent', value, ...more });
const fixed = (value: number, more: object = {}) => ({ type: 'fixed', value, ...more });

async function put(code: string, body: object, kind = 'discount') {
  const answer = await shop.owner.request<ShownProblem>('PUT', `/v1/${kind}-codes/${code}`, body);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.body;
}
const create = (body: object) => shop.backEnd.request<Shown>('POST', '/v1/baskets', { items, ...body });
const created = async (body: object = {}) => (await createBasket(shop, { items, ...body })) as unknown as Shown;
const read = async (id: string) => (await shop.backEnd.request<Shown>('GET', `/v1/baskets/${id}`)).body;
const apply = (id: string, code: string, type = 'discount') =>
  shop.backEnd.request<Shown>('POST', `/v1/baskets/${id}/codes`, { type, code });
const remove = (id: string, code: string, type = 'discount') =>
  shop.backEnd.request<Shown>('DELETE', `/v1/baskets/${id}/codes/${type}/${code}`);
const change = (id: string, lineId: string, quantity: number) =>
  shop.backEnd.request<Shown>('PATCH', `/v1/baskets/${id}/lines/${lineId}`, { quantity });

await put('Tenth', percent(1000));
await put('TENNER', fixed(1000));
await putItem(shop, 'mug', 1000, { price: 999 });
t.afterEach(() => audit(pool));

t.test('a code is what the shop last said of it, with its uses, whatever the case', async (t) => {
  const whole = {
    ...fixed(500, { itemIds: ['mug'], minimumSpend: 1000, maxUses: 10, maxUsesPerCustomer: 2 }),
    ...{ validFrom: '2026-01-01T00:00:00.000Z', validTo: '2099-01-01T00:00:00.000Z' },
  };
  t.match(await put('Shown', whole), {
    code: 'Shown',
    ...whole,
    availability: { capacity: 10, held: 0, sold: 0, available: 10 },
  });
  const bare = await shop.owner.request('GET', '/v1/discount-codes/TENTH');
  t.match(bare.body, {
    ...{ code: 'Tenth', type: 'percent', value: 1000, itemIds: null, minimumSpend: 0 },
    ...{ maxUses: null, maxUsesPerCustomer: null, validFrom: null, validTo: null },
    availability: { capacity: null, available: null },
  });
  await put('SHOWN', percent(1));
  t.match((await shop.owner.request('GET', '/v1/discount-codes/shown')).body, { code: 'SHOWN', type: 'percent' });
  t.match(await put('acme', { walletRef: 'wallet-1', sharePercent: 12.5 }, 'creator'), {
    ...{ code: 'acme', walletRef: 'wallet-1', sharePercent: 12.5 },
  });
});

t.test('a code that contradicts itself is refused, and one that is not there cannot be read or deleted', async (t) => {
  const refused: [object, string][] = [
    [percent(10_001), '/value'],
    [fixed(1, { validFrom: inHours(2), validTo: inHours(1) }), '/validTo'],
    [fixed(0), '/value'],
    [fixed(1.5), '/value'],
    [{ type: 'half', value: 1 }, '/type'],
    [{ type: 'fixed' }, '/value'],
    [fixed(1, { itemIds: [] }), '/itemIds'],
    [fixed(1, { evil: 1 }), '/evil'],
  ];
  for (const [body, pointer] of refused) {
    const what = JSON.stringify(body);
    const answer = await assertRefused(t, shop, what, { status: 400, code: 'invalid_request' }, () =>
      shop.owner.request('PUT', '/v1/discount-codes/BAD', body),
    );
    t.match((answer.body as ShownProblem).errors, [{ pointer }], what);
  }
  for (const kind of ['discount', 'access', 'creator']) {
    for (const method of ['GET', 'DELETE']) {
      const { status } = await shop.owner.request(method, `/v1/${kind}-codes/BAD`);
      t.equal(status, 404, `${method} ${kind}`);
    }
  }
});

t.test('codes count in the order in which they are given, tax comes after them, and totals are sums', async (t) => {
  const first = await created({ discountCodes: ['tenth', 'TENNER', 'Tenth'], creatorCode: null });
  t.match(first, {
    discountCodes: ['Tenth', 'TENNER'],
    totals: { subtotal: 5000, discount: 1500, tax: 700, total: 4200, due: 4200 },
  });
  t.match(await created({ discountCodes: ['TENNER', 'TENTH'] }), { totals: { discount: 1400, total: 4320 } });
  const applied = await created();
  t.match(await apply(applied.id, 'TENNER'), { status: 200, body: { totals: { discount: 1000 } } });
  t.match(await apply(applied.id, 'tenth'), {
    status: 200,
    body: { discountCodes: ['TENNER', 'Tenth'], totals: { discount: 1400, total: 4320 } },
  });
  t.match(await remove(applied.id, 'TENNER'), { status: 200, body: { totals: { discount: 500, total: 5400 } } });
  t.match(await read(applied.id), { discountCodes: ['Tenth'], version: 4, items: [{ discount: 500, tax: 900 }] });
  t.match(await read(first.id), { version: 1, totals: { discount: 1500 } });
});

t.test('a code that is applied again changes nothing, and none gives more time', async (t) => {
  const { id, expiresAt } = await created({ ttlSeconds: 100 });
  const { body: once } = await apply(id, 'TENTH');
  t.match(once, { version: 2, expiresAt });
  const { body: again } = await apply(id, 'tenth');
  t.match(again, { version: 2, discountCodes: ['Tenth'], totals: { discount: 500 } });
  t.match((await shop.owner.request('GET', '/v1/discount-codes/TENTH')).status, 200);
  t.match(await remove(id, 'TENTH'), { status: 200, body: { version: 3, expiresAt, totals: { discount: 0 } } });
});

t.test('edits price everything anew; what no longer reaches its minimum takes nothing off, and stays', async (t) => {
  await put('FROM50', fixed(1000, { itemIds: ['stalls'], minimumSpend: 5000 }));
  const { id } = await created({ discountCodes: ['FROM50'], items: [...items, { itemId: 'mug', quantity: 1 }] });
  t.match(await read(id), { items: [{ discount: 1000 }, { discount: 0 }], totals: { discount: 1000 } });
  t.match(await change(id, '1', 1), { body: { discountCodes: ['FROM50'], totals: { discount: 0, total: 3999 } } });
  t.match(await change(id, '1', 3), { body: { discountCodes: ['FROM50'], totals: { discount: 1000 } } });
  t.match(await shop.backEnd.request<Shown>('DELETE', `/v1/baskets/${id}/lines/1`), {
    body: { discountCodes: ['FROM50'], totals: { discount: 0, total: 999 } },
  });
});

t.test('a fixed amount over several lines is shared without losing any of it', async (t) => {
  const lines = ['A', 'B', 'C'].map((row) => ({ itemId: 'mug', quantity: 1, custom: { row } }));
  const basket = await created({ items: lines, discountCodes: ['TENNER'] });
  t.match(
    basket.items.map(({ discount }) => discount),
    [334, 333, 333],
  );
  t.equal(basket.totals.discount, 1000);
});

t.test('what was applied does not change under the customer when the shop changes or deletes the code', async (t) => {
  await put('CHANGES', percent(2000, { maxUses: 5 }));
  const { id } = await created({ discountCodes: ['CHANGES'] });
  await put('CHANGES', percent(100, { maxUses: 5 }));
  t.match(await change(id, '1', 4), { body: { totals: { subtotal: 10_000, discount: 2000 } } });
  t.equal((await shop.owner.request('DELETE', '/v1/discount-codes/CHANGES')).status, 204);
  t.match(await change(id, '1', 2), { body: { discountCodes: ['CHANGES'], totals: { discount: 1000 } } });
  const other = await created();
  t.match(await apply(other.id, 'CHANGES'), { status: 422, body: { code: 'code_unknown' } });
  const refused = await shop.owner.request<ShownProblem>('PUT', '/v1/discount-codes/CHANGES', fixed(1, { maxUses: 0 }));
  t.match(refused, {
    status: 422,
    body: { code: 'capacity_below_committed', errors: [{ code: 'CHANGES', requested: 0, held: 1, sold: 0 }] },
  });
  t.equal((await remove(id, 'CHANGES')).status, 200);
  t.equal((await shop.owner.request('PUT', '/v1/discount-codes/CHANGES', fixed(1, { maxUses: 0 }))).status, 200);
});

t.test('a creator code is shown, changes no price, and takes the place of the one before', async (t) => {
  await put('ACME', { walletRef: 'wallet-1', sharePercent: 5 }, 'creator');
  await put('Other', { walletRef: 'wallet-2', sharePercent: 5 }, 'creator');
  const basket = await created({ creatorCode: 'Acme' });
  t.match(basket, { creatorCode: 'ACME', totals: { discount: 0 } });
  t.match(await apply(basket.id, 'OTHER', 'creator'), { status: 200, body: { creatorCode: 'Other' } });
  t.match(await apply(basket.id, 'TENTH'), { body: { creatorCode: 'Other', discountCodes: ['Tenth'] } });
  t.match(await remove(basket.id, 'other', 'creator'), { body: { creatorCode: null, discountCodes: ['Tenth'] } });
  t.equal((await remove(basket.id, 'other', 'creator')).status, 404);
  t.equal((await remove(basket.id, 'TENTH', 'voucher')).status, 404, 'there is no such type');
});

t.test('a code that cannot be used is refused with its place, at creation as later, and nothing changes', async (t) => {
  await put('LATE', percent(1000, { validTo: inHours(-1) }));
  await put('EARLY', percent(1000, { validFrom: inHours(1) }));
  await put('MUGS', percent(1000, { itemIds: ['mug'] }));
  await put('RICH', percent(1000, { minimumSpend: 5001 }));
  await put('EACH', percent(1000, { maxUsesPerCustomer: 1 }));
  await put('NONE', percent(1000, { maxUses: 0 }));
  const refusals = {
    NOTHING: 'code_unknown',
    'not a code': 'code_unknown',
    ß: 'code_unknown',
    LATE: 'code_expired',
    EARLY: 'code_not_applicable',
    MUGS: 'code_not_applicable',
    RICH: 'code_not_applicable',
    EACH: 'code_not_applicable',
    NONE: 'code_exhausted',
  } as const;
  for (const [code, refused] of Object.entries(refusals)) {
    const { id } = await created({ discountCodes: ['TENTH'] });
    const expected = { status: 422, code: refused };
    const later = await assertRefused(t, shop, `${code} later`, expected, () => apply(id, code));
    t.match((later.body as ShownProblem).errors, [{ pointer: '/code' }], code);
    const given = { discountCodes: ['TENTH', code] };
    const atOnce = await assertRefused(t, shop, `${code} at once`, expected, () => create(given));
    t.match((atOnce.body as ShownProblem).errors, [{ pointer: '/discountCodes/1' }], code);
    t.notMatch(atOnce.text, new RegExp(code), 'codes are not repeated');
  }
  const expected = { status: 422, code: 'code_unknown' } as const;
  const creator = await assertRefused(t, shop, 'a creator', expected, () => create({ creatorCode: 'TENTH' }));
  t.match((creator.body as ShownProblem).errors, [{ pointer: '/creatorCode' }]);
});

t.test('codes of a basket that is being paid, or has ended, stay as they are', async (t) => {
  const { id } = await openBasket(shop, { items, discountCodes: ['TENTH'] });
  t.match(await checkout(shop, id), { status: 200, body: { amountDue: 5400 } });
  const inCheckout = { status: 409, code: 'basket_in_checkout' } as const;
  await assertRefused(t, shop, 'another', inCheckout, () => apply(id, 'TENNER'));
  await assertRefused(t, shop, 'without', inCheckout, () => remove(id, 'TENTH'));
  t.match(await complete(shop, id, { orderId: 'order-full', amount: 6000 }), {
    status: 422,
    body: { code: 'amount_mismatch', due: 5400 },
  });
  t.equal((await complete(shop, id, { orderId: 'order-codes', amount: 5400 })).status, 200);
  const ended = { status: 409, code: 'basket_not_live' } as const;
  await assertRefused(t, shop, 'another', ended, () => apply(id, 'TENNER'));
  await assertRefused(t, shop, 'without', ended, () => remove(id, 'TENTH'));
});

t.test('money for what a basket cost before a code changed it is refused', async (t) => {
  const { id } = await openBasket(shop, { items });
  const { leaseId } = (await checkout(shop, id)).body;
  await shop.payments.request('DELETE', `/v1/baskets/${id}/checkout`);
  t.equal((await apply(id, 'TENTH')).status, 200);
  t.match(await complete(shop, id, { orderId: 'order-stale', leaseId }), {
    status: 409,
    body: { code: 'lease_superseded' },
  });
  t.equal((await remove(id, 'TENTH')).status, 200);
  t.equal((await complete(shop, id, { orderId: 'order-stale', leaseId, amount: 6000 })).status, 200);
});

t.test(
  'codes of one basket that are applied at once all count, and If-Match keeps out who decided earlier',
  async (t) => {
    const { id } = await created();
    const codes = ['ONE', 'TWO', 'THREE', 'FOUR', 'FIVE'];
    for (const code of codes) await put(code, fixed(100));
    const answers = await Promise.all(codes.map((code) => apply(id, code)));
    t.same(new Set(answers.map(({ status }) => status)), new Set([200]));
    const { discountCodes, totals, version } = await read(id);
    t.same([...discountCodes].sort(), [...codes].sort());
    t.match({ totals, version }, { totals: { discount: 500 }, version: 6 });
    const stale = await shop.backEnd.request<ShownProblem>(
      ...(['POST', `/v1/baskets/${id}/codes`, { type: 'discount', code: 'TENTH' }] as const),
      { 'if-match': '"5"' },
    );
    t.match(stale, { status: 412, body: { code: 'version_conflict' } });
  },
);

t.test('a basket has no more codes than it can show', async (t) => {
  const { id } = await created();
  for (let nth = 1; nth <= 21; nth += 1) {
    await put(`MANY-${nth}`, fixed(1));
    const { status } = await apply(id, `MANY-${nth}`);
    t.equal(status, nth <= 20 ? 200 : 422, `the ${nth}th`);
  }
});
