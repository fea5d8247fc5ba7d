import t, { type Test } from 'tap';
import { audit } from '../support/audit.ts';
import { checkout, complete, letBeSwept, openBasket, readBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const edit = async (method: string, basketId: string, path: string, body?: object) => {
  const { status, text } = await shop.backEnd.request(method, `/v1/baskets/${basketId}/${path}`, body);
  if (status !== 200) throw new Error(text);
};
const add = (basketId: string, line: object) => edit('POST', basketId, 'lines', line);

/** A basket of two stalls that was being paid and has been left again, with the lease of that payment. */
async function leftCheckout(): Promise<{ id: string; leaseId: string }> {
  const { id } = await openBasket(shop, { items: [{ itemId: 'stalls', quantity: 2 }] });
  const { leaseId } = (await checkout(shop, id)).body;
  await shop.payments.request('DELETE', `/v1/baskets/${id}/checkout`);
  return { id, leaseId };
}
const pay = (id: string, leaseId: string) => complete(shop, id, { orderId: `order-${id}`, leaseId });

const unchanged: Record<string, (id: string) => Promise<unknown>> = {
  'nothing was changed': async () => {},
  'what was changed was changed back': async (id) => {
    await edit('PATCH', id, 'lines/1', { quantity: 3 });
    await edit('PATCH', id, 'lines/1', { quantity: 2 });
  },
  'the same was taken out and added again': async (id) => {
    await edit('DELETE', id, 'lines/1');
    await add(id, { itemId: 'stalls', quantity: 2 });
  },
  'what concerns neither lines nor price was changed': async (id) => {
    await shop.backEnd.request('PATCH', `/v1/baskets/${id}`, { reference: 'r-1' });
    await edit('POST', id, 'extend');
  },
  'another payment was begun': (id) => checkout(shop, id),
};

/** The refusal goes out as `basket.completion_refused`, and changes nothing that the basket shows. */
async function assertSuperseded(t: Test, id: string, leaseId: string): Promise<void> {
  const { serverTime, ...same } = await readBasket(shop, id);
  t.match(await pay(id, leaseId), { status: 409, body: { code: 'lease_superseded' } });
  t.match(await readBasket(shop, id), same);
}

for (const [what, change] of Object.entries(unchanged)) {
  t.test(`a payment of an earlier lease is accepted when ${what}`, async (t) => {
    const { id, leaseId } = await leftCheckout();
    await change(id);
    t.match(await pay(id, leaseId), { status: 200, body: { basket: { status: 'completed', totals: { due: 6000 } } } });
  });
}

const changed: Record<string, (id: string) => Promise<unknown>> = {
  'there are more of them': (id) => edit('PATCH', id, 'lines/1', { quantity: 3 }),
  'there are fewer of them': (id) => edit('PATCH', id, 'lines/1', { quantity: 1 }),
  'nothing is left': (id) => edit('DELETE', id, 'lines/1'),
  'there is another': (id) => add(id, { itemId: 'stalls', quantity: 1, custom: { row: 'B' } }),
  'the same money buys something else': async (id) => {
    await edit('DELETE', id, 'lines/1');
    await add(id, { itemId: 'stalls', quantity: 2, custom: { row: 'B' } });
  },
  'the same things cost something else': async (id) => {
    await edit('DELETE', id, 'lines/1');
    await shop.owner.request('PATCH', '/v1/items/stalls', { price: 2400 });
    await add(id, { itemId: 'stalls', quantity: 2 });
    await shop.owner.request('PATCH', '/v1/items/stalls', { price: 2500 });
  },
  'another payment was begun for other lines': async (id) => {
    await edit('PATCH', id, 'lines/1', { quantity: 3 });
    await checkout(shop, id);
  },
};

for (const [what, change] of Object.entries(changed)) {
  t.test(`a payment of an earlier lease is refused, and changes nothing, when ${what}`, async (t) => {
    const { id, leaseId } = await leftCheckout();
    await change(id);
    await assertSuperseded(t, id, leaseId);
  });
}

t.test('the present lease, and none, are accepted whatever was changed before', async (t) => {
  for (const named of [true, false]) {
    const { id } = await leftCheckout();
    await edit('PATCH', id, 'lines/1', { quantity: 3 });
    const { leaseId } = (await checkout(shop, id)).body;
    const body = { orderId: `order-${id}`, ...(named ? { leaseId } : {}) };
    t.match(await complete(shop, id, body), { status: 200, body: { basket: { totals: { due: 9000 } } } });
    t.equal((await complete(shop, id, { ...body, leaseId: 'lse_other' })).status, 200, 'the same order again');
  }
});

t.test('a lease that the basket never had is no lease', async (t) => {
  const { id } = await leftCheckout();
  const other = await leftCheckout();
  for (const leaseId of [other.leaseId, 'lse_unknown', '']) {
    await assertSuperseded(t, id, leaseId);
  }
});

t.test('money that arrives late is judged by its lease, too', async (t) => {
  const { id } = await openBasket(shop);
  const { leaseId } = (await checkout(shop, id)).body;
  await letBeSwept(shop, id);
  t.match(await pay(id, leaseId), { status: 200, body: { basket: { late: true } } }, 'nothing was changed');

  const edited = await leftCheckout();
  await edit('PATCH', edited.id, 'lines/1', { quantity: 1 });
  await letBeSwept(shop, edited.id);
  await assertSuperseded(t, edited.id, edited.leaseId);
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(shop.service.pool));
});
