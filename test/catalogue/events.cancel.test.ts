import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, createBasket, letExpire, readBasket } from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { owner, backEnd } = shop;
const items = [{ itemId: 'stalls', quantity: 1 }];

/** How many outbox rows of each type there are about a subject. */
async function announced(subjectId: string): Promise<string[]> {
  const { rows } = await shop.service.pool.query<{ type: string }>(
    'SELECT type FROM outbox WHERE subject_id = $1 ORDER BY sequence',
    [subjectId],
  );
  return rows.map(({ type }) => type);
}

t.test('an event has a name, perhaps a start, and is scheduled unless said', async (t) => {
  const { status, body } = await owner.request<Record<string, unknown>>('PUT', '/v1/events/new', { name: 'New' });
  t.equal(status, 200);
  const { createdAt, updatedAt, ...shown } = body;
  t.same(shown, { eventId: 'new', name: 'New', startsAt: null, status: 'scheduled' });
  const patched = await owner.request('PATCH', '/v1/events/new', {
    startsAt: '2027-01-01T20:00:00+01:00',
    status: 'suspended',
  });
  t.match(patched.body, { name: 'New', startsAt: '2027-01-01T19:00:00.000Z', status: 'suspended' });
  t.match((await owner.request('PATCH', '/v1/events/new', { startsAt: null, status: null })).body, {
    startsAt: null,
    status: 'scheduled',
  });
  t.match((await owner.request('GET', '/v1/events/new')).body, { eventId: 'new', createdAt });
  for (const body of [
    {},
    { name: '' },
    { name: 'x', status: 'postponed' },
    { name: 'x', startsAt: 'soon' },
    { name: 'x', startsAt: '2016-12-31T23:59:60Z' },
    { name: 'x', startsAt: '0000-01-01T00:00:00Z' },
    { name: 'x', eventId: 'y' },
    { name: 'x', evil: 1 },
  ]) {
    await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, () =>
      owner.request('PUT', '/v1/events/new', body),
    );
  }
  for (const [method, suffix, body] of [
    ['GET', '', undefined],
    ['PATCH', '', { name: 'x' }],
    ['POST', '/cancel', {}],
  ] as const) {
    await assertRefused(t, shop, `${method} of nothing`, { status: 404, code: 'not_found' }, () =>
      owner.request(method, `/v1/events/unknown${suffix}`, body),
    );
  }
});

t.test('a suspended event sells nothing, keeps its baskets, and sells again', async (t) => {
  const { id } = await createBasket(shop);
  await owner.request('PATCH', '/v1/events/evt-1', { status: 'suspended' });
  const refused = await assertRefused(t, shop, 'suspended', { status: 422, code: 'event_suspended' }, () =>
    backEnd.request('POST', '/v1/baskets', { items }),
  );
  t.match(refused.body, { errors: [{ itemId: 'stalls' }] });
  t.match(await readBasket(shop, id), { status: 'open', version: 1 });
  await owner.request('PATCH', '/v1/events/evt-1', { status: 'scheduled' });
  await createBasket(shop);
});

t.test('a cancellation ends every live basket of the event, once, gives its stock back, and is final', async (t) => {
  await owner.request('PUT', '/v1/events/tonight', { name: 'Tonight' });
  await owner.request('PUT', '/v1/items/tonight', { name: 'Tonight', price: 1, capacity: 100, eventId: 'tonight' });
  const body = { items: [{ itemId: 'tonight', quantity: 2 }] };
  const open = await createBasket(shop, body);
  const mixed = await createBasket(shop, { items: [...items, ...body.items] });
  const activated = await createBasket(shop, body);
  await activate(shop, activated.startBasketUrl);
  const paying = await createBasket(shop, body);
  await activate(shop, paying.startBasketUrl);
  t.equal((await shop.payments.request('POST', `/v1/baskets/${paying.id}/checkout`)).status, 200);
  const paid = await createBasket(shop, body);
  await activate(shop, paid.startBasketUrl);
  await shop.payments.request('POST', `/v1/baskets/${paid.id}/complete`, { orderId: 'order-1' });
  const cancelled = await createBasket(shop, body);
  await backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const other = await createBasket(shop);
  const untouched = [paid, cancelled, other];
  const before = await Promise.all(untouched.map(({ id }) => readBasket(shop, id)));

  const answer = await owner.request('POST', '/v1/events/tonight/cancel');
  t.match(answer, { status: 200, body: { eventId: 'tonight', status: 'cancelled' } });
  for (const [basket, changes] of [
    [open, 1],
    [mixed, 1],
    [activated, 2],
    [paying, 3],
  ] as const) {
    t.match(await readBasket(shop, basket.id), {
      status: 'cancelled',
      statusReason: 'event_cancelled',
      version: changes + 1,
    });
    t.equal((await announced(basket.id)).at(-1), 'basket.cancelled');
    t.equal((await announced(basket.id)).length, changes + 1);
  }
  const unread = ({ serverTime, ...basket }: Record<string, unknown>) => basket;
  t.same(
    (await Promise.all(untouched.map(({ id }) => readBasket(shop, id)))).map(unread),
    before.map(unread),
    'what had ended, and what is of another event, stays as it is',
  );
  t.same(await announced('event:tonight'), ['event.cancelled']);
  t.match(await shop.availability('tonight'), { sold: 2, available: 98 });

  const settled = await contentsOf(shop.service.pool);
  for (const [method, path, body] of [
    ['POST', '/v1/events/tonight/cancel', {}],
    ['PUT', '/v1/events/tonight', { name: 'Tonight', status: 'cancelled' }],
  ] as const) {
    t.match(await owner.request(method, path, body), { status: 200, body: { status: 'cancelled' } }, 'again');
  }
  t.same(await announced('event:tonight'), ['event.cancelled'], 'it goes out once');
  t.equal((await contentsOf(shop.service.pool)).baskets, settled.baskets);

  for (const [method, body] of [
    ['PATCH', { status: 'scheduled' }],
    ['PATCH', { status: 'suspended' }],
    ['PUT', { name: 'Tonight after all' }],
  ] as const) {
    await assertRefused(t, shop, 'taken back', { status: 409, code: 'event_cancelled' }, () =>
      owner.request(method, '/v1/events/tonight', body),
    );
  }
  const refused = await assertRefused(t, shop, 'sold', { status: 422, code: 'event_cancelled' }, () =>
    backEnd.request('POST', '/v1/baskets', { items: [...items, ...body.items] }),
  );
  t.same((refused.body as { errors: unknown }).errors, [{ itemId: 'tonight' }]);
  await audit(shop.service.pool);
});

t.test('a cancellation with a key is made once, and answered again as it was', async (t) => {
  const { body: put } = await owner.request<object>('PUT', '/v1/events/keyed', { name: 'Keyed' });
  const cancel = (key: string, body: object = {}) =>
    owner.request('POST', '/v1/events/keyed/cancel', body, { 'idempotency-key': key });
  const first = await cancel('cancel-1');
  t.match(first, { status: 200, body: { ...put, status: 'cancelled', updatedAt: /./ } }, first.text);
  t.equal(first.headers.get('idempotent-replayed'), null);
  await owner.request('PATCH', '/v1/events/keyed', { name: 'Renamed since' });
  const again = await cancel('cancel-1');
  t.same([again.status, again.text], [200, first.text]);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  t.match((await cancel('cancel-2')).body, { name: 'Renamed since' }, 'another key is another call');
  await assertRefused(t, shop, 'a bad key', { status: 400, code: 'invalid_idempotency_key' }, () => cancel(''));
});

t.test('a basket that had expired before its event was cancelled stays expired, swept or not', async (t) => {
  await owner.request('PUT', '/v1/events/late', { name: 'Late' });
  await owner.request('PUT', '/v1/items/late', { name: 'Late', price: 1, capacity: 2, eventId: 'late' });
  const { id } = await createBasket(shop, { items: [{ itemId: 'late', quantity: 2 }] });
  await letExpire(shop, id);
  const { body: expired, headers } = await backEnd.request<Record<string, unknown>>('GET', `/v1/baskets/${id}`);
  t.match(expired, { status: 'expired', statusReason: 'timeout', version: 2 });
  await owner.request('POST', '/v1/events/late/cancel');
  const later = await backEnd.request<Record<string, unknown>>('GET', `/v1/baskets/${id}`);
  t.same({ ...later.body, serverTime: expired.serverTime }, expired);
  t.equal(later.headers.get('etag'), headers.get('etag'));
});

t.test('an event is cancelled by its status as it is by its own call', async (t) => {
  for (const [method, eventId] of [
    ['PUT', 'by-put'],
    ['PATCH', 'by-patch'],
  ] as const) {
    await owner.request('PUT', `/v1/events/${eventId}`, { name: eventId });
    await owner.request('PUT', `/v1/items/${eventId}`, { name: eventId, price: 1, capacity: 1, eventId });
    const { id } = await createBasket(shop, { items: [{ itemId: eventId, quantity: 1 }] });
    await owner.request(method, `/v1/events/${eventId}`, { name: eventId, status: 'cancelled' });
    t.match(await readBasket(shop, id), { status: 'cancelled', statusReason: 'event_cancelled' }, method);
    t.same(await announced(`event:${eventId}`), ['event.cancelled'], method);
    t.match(await shop.availability(eventId), { held: 0, available: 1 }, method);
  }
});
