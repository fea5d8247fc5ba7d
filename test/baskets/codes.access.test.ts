import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  complete,
  createBasket,
  letBeSwept,
  openBasket,
  putItem,
  type ShownBasket,
  type ShownProblem,
} from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

type Answer = ShownBasket & ShownProblem & { accessCodes: string[]; items: { lineId: string; itemId: string }[] };

const shop = await openShop(t);
await putItem(shop, 'secret', 100, { accessRequired: true });
await putItem(shop, 'hidden', 100, { accessRequired: true });
const line = (itemId: string) => ({ itemId, quantity: 1 });
const put = async (code: string, itemIds: string[], more: object = {}) => {
  const answer = await shop.owner.request('PUT', `/v1/access-codes/${code}`, { itemIds, ...more });
  if (answer.status !== 200) throw new Error(answer.text);
};
const create = (itemId: string, ...accessCodes: string[]) =>
  shop.backEnd.request<Answer>('POST', '/v1/baskets', { items: [line(itemId)], accessCodes });
const add = (id: string, itemId: string) =>
  shop.backEnd.request<Answer>('POST', `/v1/baskets/${id}/lines`, line(itemId));
const apply = (id: string, code: string) =>
  shop.backEnd.request<Answer>('POST', `/v1/baskets/${id}/codes`, { type: 'access', code });
const remove = (id: string, code: string) =>
  shop.backEnd.request<Answer>('DELETE', `/v1/baskets/${id}/codes/access/${code}`);
const locked = { status: 422, code: 'access_code_required' } as const;
await put('Door', ['secret']);
t.afterEach(() => audit(shop.service.pool));

t.test('an item with accessRequired is sold only in a basket with a code for it, at creation and later', async (t) => {
  const refused = await assertRefused(t, shop, 'without', locked, () => create('secret'));
  t.match((refused.body as ShownProblem).errors, [{ itemId: 'secret' }]);
  await assertRefused(t, shop, 'with a code for another item', locked, () => create('hidden', 'DOOR'));
  const created = await create('secret', 'door');
  t.match(created, { status: 201, body: { accessCodes: ['Door'] } });
  t.equal((await add(created.body.id, 'secret')).status, 200);
  await assertRefused(t, shop, 'another item', locked, () => add(created.body.id, 'hidden'));

  const { id } = await createBasket(shop);
  await assertRefused(t, shop, 'later without', locked, () => add(id, 'secret'));
  t.match(await apply(id, 'DOOR'), { status: 200, body: { accessCodes: ['Door'], version: 2 } });
  t.match(await apply(id, 'door'), { status: 200, body: { version: 2 } });
  t.equal((await add(id, 'secret')).status, 200);
});

t.test('a code that lines still need cannot be taken away', async (t) => {
  await put('SIDE', ['secret', 'stalls']);
  const { body } = await create('secret', 'DOOR', 'SIDE');
  t.match(await remove(body.id, 'DOOR'), { status: 200, body: { accessCodes: ['SIDE'] } }, 'the other one suffices');
  const refused = await assertRefused(t, shop, 'the last one', locked, () => remove(body.id, 'SIDE'));
  t.match((refused.body as ShownProblem).errors, [{ itemId: 'secret' }]);
  await shop.backEnd.request('DELETE', `/v1/baskets/${body.id}/lines/1`);
  t.match(await remove(body.id, 'SIDE'), { status: 200, body: { accessCodes: [] } });
});

t.test('its uses are held, given back, sold, and taken again late; it is refused in its time only', async (t) => {
  await put('ONCE', ['secret'], { maxUses: 1 });
  const { id } = await openBasket(shop, { items: [line('secret')], accessCodes: ['ONCE'] });
  const exhausted = { status: 422, code: 'code_exhausted' } as const;
  const second = await assertRefused(t, shop, 'a second', exhausted, () => create('secret', 'ONCE'));
  t.match((second.body as ShownProblem).errors, [{ pointer: '/accessCodes/0' }]);
  await letBeSwept(shop, id);
  const other = await create('secret', 'ONCE');
  t.equal(other.status, 201);
  await shop.backEnd.request('POST', `/v1/baskets/${other.body.id}/cancel`);
  t.match(await complete(shop, id, { orderId: 'order-once' }), { status: 200, body: { basket: { late: true } } });
  await assertRefused(t, shop, 'after the sale', exhausted, () => create('secret', 'ONCE'));

  const hour = 3_600_000;
  await put('OVER', ['secret'], { validTo: new Date(Date.now() - hour).toISOString() });
  await put('SOON', ['secret'], { validFrom: new Date(Date.now() + hour).toISOString() });
  const expired = { status: 422, code: 'code_expired' } as const;
  await assertRefused(t, shop, 'over', expired, () => create('secret', 'OVER'));
  const early = { status: 422, code: 'code_not_applicable' } as const;
  await assertRefused(t, shop, 'soon', early, () => create('secret', 'SOON'));
});
