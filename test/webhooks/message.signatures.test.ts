import { createHash, createHmac, randomBytes } from 'node:crypto';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import t from 'tap';
import { bodyOf, type ChangeRow, messageOf, signatureOf } from '../../src/webhooks/delivery/message.ts';
import type { ShownBasket } from '../../src/webhooks/delivery/tebex.ts';

const basket: ShownBasket = {
  id: 'bkt_01m801nqz5fvhr1vgack3h5ztj',
  currency: 'GBP',
  customer: { email: 'a@b.example', name: 'Anna', username: 'anna', usernameId: '76561198' },
  items: [
    {
      itemId: 'stalls',
      name: 'Stalls',
      quantity: 2,
      unitPrice: 1999,
      total: 3998,
      variables: { server_id: '7' },
      custom: {},
    },
  ],
  totals: { tax: 0, total: 3998, due: 2998 },
  discountCodes: ['SPRING'],
  giftCards: [{ last4: '4821', applied: 1000 }],
  revenueShare: [{ walletRef: 'w-1', amount: 50 }],
  custom: { booking: 991 },
  ipAddress: '203.0.113.7',
  country: 'GB',
  completedAt: '2026-11-22T09:30:00.123Z',
};
const render = () => basket;
const completed: ChangeRow = {
  type: 'basket.completed',
  createdAt: new Date('2026-11-22T09:30:00.123Z'),
  epoch: 1,
  sequence: 4,
  subjectId: basket.id,
  data: {},
};
const makeSecret = () => `whsec_${randomBytes(24).toString('base64')}`;

function standardMessage(secrets: string[], now = new Date(), change = completed) {
  const message = messageOf({ format: 'standard', secrets }, 'dlv_1', now, change, render);
  if (message === null) throw new Error('the standard format has a name for every type');
  return message;
}

function tebexMessage(change: ChangeRow, shown = basket, secrets = ['whsec_dGVzdA==']) {
  const message = messageOf({ format: 'tebex', secrets }, 'dlv_1', new Date(), change, () => shown);
  return message && { ...message, envelope: JSON.parse(message.body.toString()) };
}

t.test('what we sign is verified by the published package, and by the vector of the specification', async (t) => {
  // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
  t.equal(
    signatureOf(
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1_614_265_330,
      Buffer.from('{"test": 2432232314}'),
    ),
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  );
  const secret = makeSecret();
  const { body, headers } = standardMessage([secret]);
  const verified = new Webhook(secret).verify(body.toString(), headers);
  t.same(verified, bodyOf(completed, render));
  t.throws(
    () => new Webhook(makeSecret()).verify(body.toString(), headers),
    WebhookVerificationError,
    'another secret',
  );
  t.throws(() => new Webhook(secret).verify(`${body} `, headers), WebhookVerificationError, 'another body');
  t.throws(
    () => new Webhook(secret).verify(body.toString(), { ...headers, 'webhook-id': 'dlv_2' }),
    WebhookVerificationError,
    'another id',
  );
  const old = standardMessage([secret], new Date(Date.now() - 600_000));
  t.throws(() => new Webhook(secret).verify(old.body.toString(), old.headers), WebhookVerificationError, 'an old one');
});

t.test('while a secret is being replaced, both sign, the newest first', async (t) => {
  const [newest, former] = [makeSecret(), makeSecret()];
  const { body, headers } = standardMessage([newest, former]);
  for (const secret of [newest, former]) {
    t.ok(new Webhook(secret).verify(body.toString(), headers));
  }
  const [first, second, ...more] = (headers['webhook-signature'] ?? '').split(' ');
  const seconds = Number(headers['webhook-timestamp']);
  t.strictSame(
    [first, second, more],
    [signatureOf(newest, 'dlv_1', seconds, body), signatureOf(former, 'dlv_1', seconds, body), []],
  );
});

t.test('every try of a delivery has the same id and the same bytes, signed anew', async (t) => {
  const secret = makeSecret();
  const shownAt: Date[] = [];
  const tries = [new Date(Date.now() - 60_000), new Date()].map((now) =>
    messageOf({ format: 'standard', secrets: [secret] }, 'dlv_1', now, completed, (_row, at) => {
      shownAt.push(at);
      return basket;
    }),
  );
  const [first, second] = tries;
  t.same(first?.body, second?.body);
  t.equal(first?.headers['webhook-id'], second?.headers['webhook-id']);
  t.not(first?.headers['webhook-signature'], second?.headers['webhook-signature']);
  t.same(shownAt, [completed.createdAt, completed.createdAt], 'the basket is shown as of the change');
});

t.test('a body says what happened to which basket, event or webhook', async (t) => {
  const timestamp = '2026-11-22T09:30:00.123Z';
  t.strictSame(bodyOf(completed, render), {
    type: 'basket.completed',
    timestamp,
    epoch: 1,
    sequence: 4,
    data: { basket },
  });
  const event = { eventId: 'evt-1', name: 'Midsummer', startsAt: null };
  const cancelled = { ...completed, type: 'event.cancelled', sequence: 1, subjectId: 'event:evt-1', data: event };
  t.strictSame(bodyOf(cancelled, render), { type: 'event.cancelled', timestamp, data: { event } });
  const webhook = { webhookId: 'orders' };
  const tested = { ...completed, type: 'webhook.test', sequence: 1, subjectId: 'webhook:1', data: webhook };
  t.strictSame(bodyOf(tested, render), { type: 'webhook.test', timestamp, data: { webhook } });
});

t.test('in the format of Tebex, changes have the types, statuses and fields of its payments', async (t) => {
  const message = tebexMessage(completed);
  const hash = createHash('sha256')
    .update(message?.body ?? '')
    .digest('hex');
  t.strictSame(message?.headers, {
    'content-type': 'application/json',
    'x-signature': createHmac('sha256', 'whsec_dGVzdA==').update(hash).digest('hex'),
  });
  const username = { id: '76561198', username: 'anna' };
  const gbp = (amount: number) => ({ amount, currency: 'GBP' });
  t.strictSame(message?.envelope, {
    id: 'dlv_1',
    type: 'payment.completed',
    date: '2026-11-22T09:30:00+00:00',
    subject: {
      transaction_id: 'tbx-01m801nqz5fvhr1vgack3h5ztj',
      status: { id: 1, description: 'Complete' },
      payment_sequence: 'oneoff',
      created_at: '2026-11-22T09:30:00+00:00',
      price: gbp(39.98),
      price_paid: gbp(29.98),
      payment_method: null,
      fees: { tax: gbp(0), gateway: gbp(0) },
      customer: {
        ...{ first_name: 'Anna', last_name: null, email: 'a@b.example', ip: '203.0.113.7' },
        ...{ username, marketing_consent: false, country: 'GB', postal_code: null },
      },
      products: [
        {
          ...{ id: 'stalls', name: 'Stalls', quantity: 2, base_price: gbp(19.99), paid_price: gbp(39.98) },
          ...{ variables: [{ identifier: 'server_id', option: '7' }], expires_at: null, custom: null, username },
        },
      ],
      coupons: [{ code: 'SPRING' }],
      gift_cards: [{ card_number: '4821', amount: gbp(10) }],
      recurring_payment_reference: null,
      custom: { booking: 991 },
      revenue_share: [{ wallet_ref: 'w-1', amount: 0.5, gateway_fee_percent: null }],
      decline_reason: null,
    },
  });

  const typed = (type: string) => {
    const envelope = tebexMessage({ ...completed, type })?.envelope;
    return envelope === undefined ? null : [envelope.type, envelope.subject.status?.id];
  };
  t.strictSame(typed('basket.refunded'), ['payment.refunded', 2]);
  t.strictSame(typed('basket.checkout_failed'), ['payment.declined', 18]);
  t.strictSame(typed('basket.expired'), ['basket.abandoned', 19]);
  t.strictSame(typed('basket.authenticated'), ['basket.authenticated', 19]);
  t.strictSame(typed('webhook.test'), ['validation.webhook', undefined], 'a test is what validates an endpoint');
  for (const type of ['basket.created', 'basket.updated', 'basket.cancelled', 'event.cancelled', 'webhook.disabled']) {
    t.equal(typed(type), null, `Tebex has no name for ${type}`);
  }
  t.equal(tebexMessage(completed, { ...basket, currency: 'JPY' })?.envelope.subject.price.amount, 3998);
  t.equal(tebexMessage(completed, { ...basket, currency: 'KWD' })?.envelope.subject.price.amount, 3.998);
});

t.test('a product of Tebex that is a present names who gets it, who is not among its variables', async (t) => {
  const [line] = basket.items;
  if (line === undefined) throw new Error('the basket has a line');
  const productOf = (variables: Record<string, string>, customer = basket.customer) =>
    tebexMessage(completed, { ...basket, customer, items: [{ ...line, variables }] })?.envelope.subject.products[0];
  const others = [{ identifier: 'server_id', option: '7' }];
  const recipients: [Record<string, string>, object][] = [
    [
      { gift_username_id: '12345', gift_username: 'ben' },
      { id: '12345', username: 'ben' },
    ],
    [{ gift_username_id: '12345' }, { id: '12345', username: null }],
    [{ gift_username: 'ben' }, { id: null, username: 'ben' }],
  ];
  for (const [variables, username] of recipients) {
    t.match(productOf({ ...variables, server_id: '7' }), { username, variables: others }, JSON.stringify(variables));
    t.strictSame(productOf({ ...variables, server_id: '7' }).variables, others);
    t.strictSame(productOf(variables, null).username, username, 'also from somebody who has no name');
  }
  t.strictSame(productOf({ server_id: '7' }).username, { id: '76561198', username: 'anna' });
});

t.test('Tebex’ libraries, which decode and encode a body before they hash it, come to the same bytes', async (t) => {
  const text = tebexMessage(completed, { ...basket, custom: {}, customer: null, giftCards: [] })?.body.toString() ?? '';
  t.equal(text, JSON.stringify(JSON.parse(text)), 'compact, no number that is written otherwise');
  t.match(text, /^[\x20-\x2e\x30-\x7e]+$/, 'nothing that PHP escapes');
  t.notMatch(text, /\{\}/, 'nor what it takes for a list');
});
