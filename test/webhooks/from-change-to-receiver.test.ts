import { Webhook } from 'standardwebhooks';
import t from 'tap';
import {
  activate,
  type Created,
  checkout,
  complete,
  createBasket,
  openBasket,
  readBasket,
} from '../support/journey.ts';
import { type Received, startReceiver } from '../support/receiver.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

/* Registered through the API, changed through the API, received and verified as anybody would. */

type Shown = { status: string; disabledReason: string | null; secret: string };
type ShownDelivery = {
  deliveryId: string;
  basketId: string | null;
  status: string;
  attempts: { at: string; responseStatus: number | null; durationMs: number; error: string | null }[];
};
type Page = { data: ShownDelivery[]; nextCursor: string | null };
type Change = { type: string; sequence: number; data: { basket?: Created; event?: { eventId: string } } };
type Feed = { data: Change[]; nextAfter: string };

const shop = await openShop(t, {
  settings: { basket: { maxLiveBasketsPerCustomer: null } },
  config: { webhookAllowPrivate: true },
});
const { backEnd } = shop;
const owner = await shop.withScope('webhooks:write');
const withinMs = 20_000;

async function put(webhookId: string, url: string, more: object = {}, client = owner): Promise<Shown> {
  const { status, body, text } = await client.request<Shown>('PUT', `/v1/webhooks/${webhookId}`, { url, ...more });
  if (status !== 200) throw new Error(text);
  return body;
}
const read = async (webhookId: string) => (await owner.request<Shown>('GET', `/v1/webhooks/${webhookId}`)).body;
const deliveriesOf = async (webhookId: string, client = owner) =>
  (await client.request<Page>('GET', `/v1/webhooks/${webhookId}/deliveries?limit=100`)).body.data;
const forget = (webhookId: string, client = owner) => client.request('DELETE', `/v1/webhooks/${webhookId}`);

/** What a message tells, once its signature was verified with each of the secrets. */
function verified({ headers, text }: Received, ...secrets: string[]): Change {
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  for (const secret of secrets) new Webhook(secret).verify(text, given);
  return JSON.parse(text) as Change;
}

t.test(
  'every change arrives signed, a basket’s in order and without a gap, a partner’s at that partner alone',
  async (t) => {
    const receiver = await startReceiver(t);
    const partners = {
      acme: {
        hooks: await shop.withScope('webhooks:write', 'acme'),
        baskets: await shop.withScope('baskets:write', 'acme'),
      },
      other: {
        hooks: await shop.withScope('webhooks:write', 'other'),
        baskets: await shop.withScope('baskets:write', 'other'),
      },
    };
    const feedFrom = (await owner.request<Feed>('GET', '/v1/changes?limit=100')).body.nextAfter;
    const secrets: Record<string, string> = {
      '/hooks/shop': (await put('mine', `${receiver.url}/shop`)).secret,
      '/hooks/acme': (await put('mine', `${receiver.url}/acme`, {}, partners.acme.hooks)).secret,
      '/hooks/other': (await put('mine', `${receiver.url}/other`, {}, partners.other.hooks)).secret,
      '/hooks/some': (await put('some', `${receiver.url}/some`, { types: ['basket.completed', 'event.cancelled'] }))
        .secret,
    };

    await shop.owner.request('PUT', '/v1/creator-codes/ACME', { walletRef: 'w-1', sharePercent: 5 });
    const shares = { creatorCode: 'ACME', revenueShare: [{ walletRef: 'w-2', amount: 50 }] };
    const own = await createBasket(shop, shares);
    const line = { itemId: 'stalls', quantity: 1, custom: { row: 'A' } };
    await backEnd.request('POST', `/v1/baskets/${own.id}/lines`, line);
    await activate(shop, own.startBasketUrl);
    await checkout(shop, own.id);
    await complete(shop, own.id, { orderId: 'order-1' });
    const theirs = await createBasket(shop, {}, partners.acme.baskets);
    await partners.acme.baskets.request('POST', `/v1/baskets/${theirs.id}/cancel`);
    await shop.owner.request('PUT', '/v1/events/evt-off', { name: 'Off' });
    await shop.owner.request('POST', '/v1/events/evt-off/cancel');

    const expected: Record<string, string[]> = {
      [own.id]: ['created', 'updated', 'activated', 'checkout_started', 'completed'].map((what) => `basket.${what}`),
      [theirs.id]: ['basket.created', 'basket.cancelled'],
    };
    await until('all is delivered', withinMs, async () => receiver.received.length >= 5 + 2 + 1 + 2 + 2);
    const messages = receiver.received.map((message) => ({
      ...message,
      change: verified(message, secrets[message.path] ?? ''),
    }));
    const at = (path: string) => messages.filter(({ path: arrivedAt }) => arrivedAt === path);
    for (const [path, basketId] of [
      ['/hooks/shop', own.id],
      ['/hooks/shop', theirs.id],
      ['/hooks/acme', theirs.id],
    ] as const) {
      const changes = at(path).filter(({ change }) => change.data.basket?.id === basketId);
      t.same(
        changes.map(({ change }) => change.type),
        expected[basketId],
        `${basketId} at ${path}`,
      );
      t.same(
        changes.map(({ change }) => change.sequence),
        changes.map((_, index) => index + 1),
        'without a gap',
      );
    }
    t.equal(at('/hooks/acme').length, 2, 'nothing else');
    t.equal(at('/hooks/other').length, 0);
    t.same(
      at('/hooks/some')
        .map(({ change }) => change.type)
        .sort(),
      ['basket.completed', 'event.cancelled'],
    );
    t.equal(new Set(messages.map(({ id }) => id)).size, messages.length, 'each has an id of its own');

    const bodies = new Set(at('/hooks/shop').map(({ text }) => text));
    const feed = await owner.request<Feed>('GET', `/v1/changes?limit=100&after=${feedFrom}`);
    t.same(new Set(feed.body.data.map((change) => JSON.stringify(change))), bodies, 'the feed has the same bodies');
    const last = at('/hooks/shop').find(({ change }) => change.type === 'basket.completed')?.change.data.basket;
    const { serverTime, ...now } = await readBasket(shop, own.id);
    t.match(last, now, 'a message shows the basket as a GET does');
    t.match(last, shares, 'and who has a share in it');

    const delivered = await until('it is noted', withinMs, async () => {
      const deliveries = await deliveriesOf('mine', partners.acme.hooks);
      return deliveries.every(({ status }) => status === 'delivered') && deliveries;
    });
    const attempts = [{ at: /Z$/, responseStatus: 204, error: null, durationMs: Number }];
    t.match(
      delivered,
      [0, 1].map(() => ({ basketId: theirs.id, attempts })),
    );
    t.same(await deliveriesOf('mine', partners.other.hooks), []);
    for (const { hooks } of Object.values(partners)) await forget('mine', hooks);
    for (const webhookId of ['mine', 'some']) await forget(webhookId);
  },
);

t.test('after a rotation the newest secret and the one before sign, and none before that', async (t) => {
  const receiver = await startReceiver(t);
  const rotate = async () => (await owner.request<Shown>('POST', '/v1/webhooks/rotated/rotate-secret')).body.secret;
  const sent = async () => {
    const before = receiver.received.length;
    const { status, text } = await owner.request('POST', '/v1/webhooks/rotated/test');
    t.equal(status, 202, text);
    return until('the test arrives', withinMs, async () => receiver.received[before] ?? null);
  };
  const first = (await put('rotated', receiver.url)).secret;
  t.match(verified(await sent(), first), { type: 'webhook.test', data: { webhook: { webhookId: 'rotated' } } });
  const second = await rotate();
  verified(await sent(), first, second);
  const third = await rotate();
  const message = await sent();
  verified(message, second, third);
  t.throws(() => verified(message, first), /signature/i);
  await shop.service.pool.query(`UPDATE webhooks SET former_secret_until = now() WHERE webhook_id = 'rotated'`);
  const afterADay = await sent();
  verified(afterADay, third);
  t.throws(() => verified(afterADay, second), /signature/i, 'a day later it signs alone');
  await forget('rotated');
});

t.test('what happened while a webhook was disabled arrives when it is asked for, each change once', async (t) => {
  const receiver = await startReceiver(t);
  receiver.answer = () => ({ status: 410 });
  await put('gone', receiver.url, { types: ['basket.created'] });
  const told = (await createBasket(shop)).id;
  const { disabledReason } = await until('410 disables it', withinMs, async () => {
    const webhook = await read('gone');
    return webhook.status === 'disabled' && webhook;
  });
  t.equal(disabledReason, 'gone');
  const missed = [await createBasket(shop), await createBasket(shop)].map(({ id }) => id);

  receiver.answer = () => ({ status: 200 });
  receiver.received.length = 0;
  t.match(await put('gone', receiver.url, { types: ['basket.created'] }), { status: 'enabled', disabledReason: null });
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const retry = () => owner.request<{ retried: number }>('POST', '/v1/webhooks/gone/retry', { since });
  const { body } = await retry();
  const later = (await createBasket(shop)).id;
  const arrived = () => receiver.received.map((message) => message.basketId);
  const wanted = [told, ...missed, later];
  await until('all have arrived', withinMs, async () => wanted.every((id) => arrived().includes(id)));
  t.equal(new Set(arrived()).size, arrived().length, 'each once');
  // What was pending when it was disabled may not have been given up yet.
  t.ok(body.retried >= missed.length);
  t.same((await retry()).body, { retried: 0, more: false });
  await forget('gone');
});

t.test('a try that failed is told of, and the delivery arrives with the same id when it is sent again', async (t) => {
  const receiver = await startReceiver(t);
  receiver.answer = () => ({ status: 500, headers: { 'retry-after': '3600' }, body: 'not now' });
  await put('broken', receiver.url, { types: ['basket.cancelled'] });
  const { id } = await createBasket(shop);
  await backEnd.request('POST', `/v1/baskets/${id}/cancel`);
  const failed = await until('a try has failed', withinMs, async () => {
    const [delivery] = await deliveriesOf('broken');
    return delivery !== undefined && delivery.attempts.length > 0 && delivery;
  });
  t.match(failed, { basketId: id, status: 'pending', attempts: [{ responseStatus: 500, at: /Z$/ }] });
  receiver.answer = () => ({ status: 204 });
  await owner.request('POST', `/v1/webhooks/broken/deliveries/${failed.deliveryId}/retry`);
  const delivered = await until('it is delivered', withinMs, async () => {
    const [delivery] = await deliveriesOf('broken');
    return delivery?.status === 'delivered' && delivery;
  });
  t.same(
    delivered.attempts.map(({ responseStatus }) => responseStatus),
    [500, 204],
  );
  t.same(
    receiver.received.map(({ id }) => id),
    [failed.deliveryId, failed.deliveryId],
  );
  t.equal(receiver.received[0]?.text, receiver.received[1]?.text);
  await forget('broken');
});

t.test('a delivery that is asked for while it is being tried is tried again, whatever comes of that try', async (t) => {
  let fail = () => {};
  const failing = new Promise<{ status: number; headers: Record<string, string> }>((resolve) => {
    fail = () => resolve({ status: 500, headers: { 'retry-after': '3600' } });
  });
  const receiver = await startReceiver(t, () => failing);
  await put('busy', receiver.url);
  const sent = await owner.request<ShownDelivery>('POST', '/v1/webhooks/busy/test');
  await until('it is being tried', withinMs, async () => receiver.received.length === 1);
  const path = `/v1/webhooks/busy/deliveries/${sent.body.deliveryId}/retry`;
  t.equal((await owner.request('POST', path)).status, 202);
  receiver.answer = () => ({ status: 204 });
  fail();
  await until('it is delivered', withinMs, async () => (await deliveriesOf('busy'))[0]?.status === 'delivered');
  t.same(
    receiver.received.map(({ id }) => id),
    [sent.body.deliveryId, sent.body.deliveryId],
  );
  await forget('busy');
});

t.test('what was erased of a customer is sent nowhere any more, and the feed has it no more', async (t) => {
  const receiver = await startReceiver(t);
  receiver.answer = () => ({ status: 500, headers: { 'retry-after': '3600' } });
  await put('erased', receiver.url);
  const canary = 'canary-of-dora@mail.example';
  const { id } = await createBasket(shop, { customer: { id: 'dora', email: canary }, custom: { note: canary } });
  await backEnd.request('POST', `/v1/baskets/${id}/cancel`);
  const tried = () => receiver.received.filter(({ basketId }) => basketId === id);
  // What is being sent while somebody is erased has left.
  await until('no try is under way', withinMs, async () => {
    const ofBasket = (await deliveriesOf('erased')).filter((one) => one.basketId === id);
    return ofBasket.length === 2 && ofBasket.every(({ attempts }) => attempts.length > 0);
  });
  t.match(tried()[0]?.text, canary, 'it would be found');
  const feed = async () =>
    (await owner.request('GET', '/v1/changes?limit=100&types=basket.created,basket.cancelled')).text;
  t.match(await feed(), canary);

  t.equal((await shop.owner.request('POST', '/v1/customers/dora/erase')).status, 200);
  receiver.received.length = 0;
  receiver.answer = () => ({ status: 200 });
  for (const { deliveryId, basketId } of await deliveriesOf('erased')) {
    if (basketId === id) await owner.request('POST', `/v1/webhooks/erased/deliveries/${deliveryId}/retry`);
  }
  await until('both are delivered', withinMs, async () =>
    (await deliveriesOf('erased')).filter((one) => one.basketId === id).every(({ status }) => status === 'delivered'),
  );
  t.equal(tried().length, 2);
  for (const { text } of tried()) {
    t.notMatch(text, canary);
    t.match(JSON.parse(text), { data: { basket: { id, customer: { id: 'dora', email: null }, custom: {} } } });
  }
  t.notMatch(await feed(), canary);
  t.match(await feed(), id);
  await forget('erased');
});

t.test('a webhook that was deleted is sent nothing any more', async (t) => {
  const receiver = await startReceiver(t);
  receiver.answer = () => ({ status: 503, headers: { 'retry-after': '1' } });
  await put('deleted', receiver.url);
  const { id } = await openBasket(shop);
  await until('it is tried', withinMs, async () => receiver.received.length > 0);
  await forget('deleted');
  const { rows } = await shop.service.pool.query('SELECT FROM deliveries WHERE subject_id = $1', [id]);
  t.equal(rows.length, 0);
});
