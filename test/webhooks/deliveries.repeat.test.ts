import t from 'tap';
import { newId } from '../../src/platform/ids.ts';
import { createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

type ShownDelivery = {
  deliveryId: string;
  type: string;
  basketId: string | null;
  eventId: string | null;
  sequence: number;
  status: string;
  attempts: { at: string; responseStatus: number | null; durationMs: number; error: string | null }[];
  nextTryAt: string | null;
};
type Page = { data: ShownDelivery[]; nextCursor: string | null };
type Retried = { retried: number; more: boolean };

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
const { pool } = shop.service;
const owner = await shop.withScope('webhooks:write');
// Nobody is there: what the relay makes of it does not matter here.
const url = 'https://receiver.example/';
const disabled = { status: 409, code: 'webhook_disabled' } as const;
const missing = { status: 404, code: 'not_found' } as const;

async function put(webhookId: string, types: string[] = ['*'], client = owner): Promise<void> {
  const { status, text } = await client.request('PUT', `/v1/webhooks/${webhookId}`, { url, types });
  if (status !== 200) throw new Error(text);
}
const list = async (webhookId: string, query = '') =>
  (await owner.request<Page>('GET', `/v1/webhooks/${webhookId}/deliveries?${query}`)).body;
const retrySince = (webhookId: string, since: string, client = owner) =>
  client.request<Retried>('POST', `/v1/webhooks/${webhookId}/retry`, { since });
const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

/** Disables a webhook as from so many days ago. */
const disable = (webhookId: string, days: number) =>
  pool.query(
    `UPDATE webhooks SET disabled_at = now() - $2 * interval '1 day', disabled_reason = 'failing' WHERE webhook_id = $1`,
    [webhookId, days],
  );

/** A delivery that has come to a status, and is not tried again before long. */
async function keepDelivery(
  webhookId: string,
  {
    subjectId,
    sequence = 1,
    type = 'basket.created',
    status,
    attempts = [] as object[],
  }: {
    subjectId: string;
    sequence?: number;
    type?: string;
    status: 'pending' | 'delivered' | 'failed';
    attempts?: object[];
  },
): Promise<string> {
  const deliveryId = newId('dlv');
  await pool.query(
    `INSERT INTO deliveries (shop_id, webhook_number, delivery_id, subject_id, sequence, type, change_number, status,
       attempts, attempt_count, next_try_at)
     SELECT shop_id, webhook_number, $2, $3, $4, $5, 1, $6, $7, 3, now() + interval '1 hour'
     FROM webhooks WHERE webhook_id = $1`,
    [webhookId, deliveryId, subjectId, sequence, type, status, JSON.stringify(attempts)],
  );
  return deliveryId;
}

/** A change that happened so many days ago. */
async function changeDaysAgo(days: number, body: object = {}, client = shop.backEnd): Promise<string> {
  const { id } = await createBasket(shop, body, client);
  await pool.query(`UPDATE outbox SET created_at = now() - $2 * interval '1 day' WHERE subject_id = $1`, [id, days]);
  return id;
}

t.test('a test is a delivery of its own, each time, and is not sent to a webhook that is disabled', async (t) => {
  await put('tested');
  await put('other');
  for (const sequence of [1, 2]) {
    const sent = await owner.request<ShownDelivery>('POST', '/v1/webhooks/tested/test');
    t.match(sent, {
      status: 202,
      body: {
        ...{ deliveryId: /^dlv_/, type: 'webhook.test', basketId: null, eventId: null, sequence },
        ...{ status: 'pending', attempts: [], nextTryAt: /Z$/, createdAt: /Z$/ },
      },
    });
    t.equal((await list('tested')).data[0]?.deliveryId, sent.body.deliveryId);
  }
  t.same((await list('other')).data, [], 'no other webhook is sent it');
  await disable('tested', 0);
  await assertRefused(t, shop, 'disabled', disabled, () => owner.request('POST', '/v1/webhooks/tested/test'));
});

t.test('deliveries are listed newest first with every try, page by page and by status', async (t) => {
  await put('listed', ['event.cancelled']);
  const attempts = [
    { at: '2026-01-01T00:00:00.000Z', responseStatus: 503, durationMs: 12, error: null },
    { at: '2026-01-01T00:00:05.000Z', responseStatus: null, durationMs: 15_000, error: 'no answer' },
  ];
  const made = [
    await keepDelivery('listed', { subjectId: 'bkt_1', status: 'delivered' }),
    await keepDelivery('listed', { subjectId: 'event:evt-9', type: 'event.cancelled', status: 'failed', attempts }),
    await keepDelivery('listed', { subjectId: 'bkt_1', sequence: 2, status: 'pending' }),
  ];
  const first = await list('listed', 'limit=2');
  const rest = await list('listed', `limit=2&cursor=${first.nextCursor}`);
  t.same(
    [...first.data, ...rest.data].map(({ deliveryId }) => deliveryId),
    made.toReversed(),
  );
  t.equal(rest.nextCursor, null);
  t.match(first.data, [
    { basketId: 'bkt_1', eventId: null, sequence: 2, status: 'pending', attempts: [], nextTryAt: /Z$/ },
    { basketId: null, eventId: 'evt-9', type: 'event.cancelled', status: 'failed', attempts, nextTryAt: null },
  ]);
  t.match(rest.data, [{ basketId: 'bkt_1', sequence: 1, status: 'delivered', nextTryAt: null }]);
  for (const [index, status] of ['delivered', 'failed', 'pending'].entries()) {
    const { data } = await list('listed', `status=${status}`);
    t.same(
      data.map(({ deliveryId }) => deliveryId),
      [made[index]],
      status,
    );
  }
  const page = await list('listed', 'limit=1');
  for (const elsewhere of [`other/deliveries?limit=1`, 'listed/deliveries?limit=1&status=failed']) {
    await assertRefused(t, shop, elsewhere, { status: 400, code: 'invalid_cursor' }, () =>
      owner.request('GET', `/v1/webhooks/${elsewhere}&cursor=${page.nextCursor}`),
    );
  }
  await assertRefused(t, shop, 'no status', { status: 400, code: 'invalid_request' }, () =>
    owner.request('GET', '/v1/webhooks/listed/deliveries?status=lost'),
  );
});

t.test('a delivery is sent again whatever became of it, due at once and with its id', async (t) => {
  await put('retried', ['event.cancelled']);
  const attempts = [{ at: '2026-01-01T00:00:00.000Z', responseStatus: 500, durationMs: 1, error: null }];
  for (const [nth, status] of (['failed', 'delivered', 'pending'] as const).entries()) {
    const deliveryId = await keepDelivery('retried', { subjectId: `bkt_${nth}`, status, attempts });
    const path = `/v1/webhooks/retried/deliveries/${deliveryId}/retry`;
    const sentAt = Date.now();
    const again = await owner.request<ShownDelivery>('POST', path);
    t.match(again, { status: 202, body: { deliveryId, status: 'pending', attempts, basketId: `bkt_${nth}` } }, status);
    t.ok(Math.abs(Date.parse(again.body.nextTryAt ?? '') - sentAt) < 5000, 'due now');

    await assertRefused(t, shop, 'under another webhook', missing, () =>
      owner.request('POST', path.replace('retried', 'other')),
    );
  }
  const failed = await keepDelivery('retried', { subjectId: 'bkt_9', status: 'failed' });
  await disable('retried', 0);
  const retry = (deliveryId: string) => () =>
    owner.request('POST', `/v1/webhooks/retried/deliveries/${deliveryId}/retry`);
  await assertRefused(t, shop, 'disabled', disabled, retry(failed));
  await assertRefused(t, shop, 'unknown', missing, retry(newId('dlv')));
});

t.test(
  'all that was not delivered since a moment is sent again: failed or never sent, and nothing twice',
  async (t) => {
    const webhookId = 'away';
    await put(webhookId, ['basket.created']);
    await disable(webhookId, 10);
    const lost = {
      'never sent, of its last three days': await changeDaysAgo(2),
      'never sent, while it was disabled': await changeDaysAgo(8),
      failed: await changeDaysAgo(6),
      'failed before it was disabled': await changeDaysAgo(12),
    };
    for (const what of ['failed', 'failed before it was disabled'] as const) {
      await keepDelivery(webhookId, { subjectId: lost[what], status: 'failed' });
    }
    const delivered = await changeDaysAgo(1);
    await keepDelivery(webhookId, { subjectId: delivered, status: 'delivered' });
    await changeDaysAgo(13);
    await changeDaysAgo(31);
    const changed = await changeDaysAgo(9);
    await pool.query(`UPDATE outbox SET type = 'basket.updated' WHERE subject_id = $1`, [changed]);

    await assertRefused(t, shop, 'disabled', disabled, () => retrySince(webhookId, daysAgo(20)));
    await put(webhookId, ['basket.created']);
    t.match(await retrySince(webhookId, daysAgo(0)), { status: 202, body: { retried: 0, more: false } });
    t.match((await retrySince(webhookId, daysAgo(7))).body, { retried: 2 }, 'since then');
    t.match((await retrySince(webhookId, daysAgo(40))).body, { retried: 2 }, 'and before');
    const { data } = await list(webhookId, 'limit=100');
    const again = data.filter(({ status, basketId }) => status === 'pending' && basketId !== delivered);
    t.same(again.map(({ basketId }) => basketId).sort(), Object.values(lost).sort());
    t.equal(data.length, 5, 'each once');
    t.match((await retrySince(webhookId, daysAgo(40))).body, { retried: 0 }, 'asked again');

    // They are taken away when they have been delivered for three days.
    await pool.query(
      `DELETE FROM deliveries USING webhooks w WHERE w.webhook_id = $1
    AND deliveries.webhook_number = w.webhook_number AND deliveries.subject_id <> ALL($2)`,
      [webhookId, [delivered, lost['never sent, of its last three days']]],
    );
    t.match((await retrySince(webhookId, daysAgo(40))).body, { retried: 0 }, 'delivered long ago');
  },
);

t.test('a partner’s webhook is sent what happened to its own baskets alone, the shop’s everything', async (t) => {
  const [acme, backEnd] = await Promise.all(
    ['webhooks:write', 'baskets:write'].map((scope) => shop.withScope(scope, 'acme')),
  );
  if (!acme || !backEnd) throw new Error('no clients');
  const made = { acme: await changeDaysAgo(0.5, {}, backEnd), shop: await changeDaysAgo(0.5) };
  await put('late', ['basket.created'], acme);
  await put('late', ['basket.created']);
  for (const [client, expected] of [
    [acme, [made.acme]],
    [owner, [made.acme, made.shop]],
  ] as const) {
    await retrySince('late', daysAgo(1), client);
    const { body } = await client.request<Page>('GET', '/v1/webhooks/late/deliveries?limit=100');
    const baskets = body.data.map(({ basketId }) => basketId).filter((id) => Object.values(made).includes(id ?? ''));
    t.same(baskets.sort(), [...expected].sort());
  }
});
