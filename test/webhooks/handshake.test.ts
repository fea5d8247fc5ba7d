import { createHash, createHmac } from 'node:crypto';
import t from 'tap';
import { startReceiver } from '../support/receiver.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

type Shown = { url: string; format: string; status: string; secret?: string };

const shop = await openShop(t, { config: { webhookAllowPrivate: true } });
const owner = await shop.withScope('webhooks:write');
const receiver = await startReceiver(t);
const put = (webhookId: string, body: object) => owner.request<Shown>('PUT', `/v1/webhooks/${webhookId}`, body);
const tebex = (path: string) => ({ url: `${receiver.url}${path}`, format: 'tebex', types: ['basket.completed'] });

/** Answers the handshake as it should be. */
const agrees = ({ text }: { text: string }) => {
  const { id } = JSON.parse(text) as { id: string };
  return { status: 200, body: JSON.stringify({ id }) };
};

t.test('an endpoint in Tebex’s format is registered once it has answered a handshake with its id', async (t) => {
  receiver.answer = agrees;
  const { status, body } = await put('shop', tebex('/first'));
  t.match({ status, body }, { status: 200, body: { format: 'tebex', status: 'enabled', secret: /^whsec_/ } });
  const [asked] = receiver.received;
  t.match(JSON.parse(asked?.text ?? ''), {
    type: 'validation.webhook',
    id: /^dlv_/,
    date: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/,
    subject: {},
  });
  t.equal(asked?.path, '/hooks/first');

  await put('shop', { ...tebex('/first'), types: ['*'] });
  t.equal(receiver.received.length, 1, 'it is not asked again for the same address');
  await put('shop', tebex('/second'));
  t.equal(receiver.received.at(-1)?.path, '/hooks/second', 'it is for another');
  await put('shop', { ...tebex('/second'), format: 'standard' });
  t.equal(receiver.received.length, 2, 'the standard format has no handshake');
  await put('shop', tebex('/second'));
  t.equal(receiver.received.length, 3, 'it is asked when the format becomes Tebex’s');
});

t.test('the handshake of a webhook whose secret is known is signed with it', async (t) => {
  receiver.answer = agrees;
  const { secret = '' } = (await put('signed', { url: receiver.url })).body;
  await put('signed', tebex('/'));
  const asked = receiver.received.at(-1);
  const hash = createHash('sha256')
    .update(asked?.text ?? '')
    .digest('hex');
  t.equal(asked?.headers['x-signature'], createHmac('sha256', secret).update(hash).digest('hex'));
});

t.test('whoever does not answer the handshake so within three seconds is not registered', async (t) => {
  const answers: Record<string, typeof receiver.answer> = {
    'with another id': () => ({ status: 200, body: '{"id":"another"}' }),
    'without an id': () => ({ status: 200, body: '{}' }),
    'with null': () => ({ status: 200, body: 'null' }),
    'with text': () => ({ status: 200, body: 'ok' }),
    'with nothing': () => ({ status: 200 }),
    'with its id and 201': (request) => ({ ...agrees(request), status: 201 }),
    'with its id and 500': (request) => ({ ...agrees(request), status: 500 }),
    elsewhere: (request) => ({ ...agrees(request), status: 307, headers: { location: `${receiver.url}/elsewhere` } }),
    'with too much': (request) => ({ status: 200, body: agrees(request).body.padEnd(65_537) }),
    'not at all': () => 'never',
  };
  const expected = { status: 422, code: 'webhook_validation_failed' } as const;
  await put('unwilling', { url: `${receiver.url}/unwilling` });
  for (const [how, answer] of Object.entries(answers)) {
    receiver.answer = answer;
    const startedMs = performance.now();
    await assertRefused(t, shop, how, expected, () => put('nobody', tebex('/unwilling')));
    t.ok(performance.now() - startedMs < 4500, `${how}: in time`);
  }
  receiver.answer = answers['with text'] ?? agrees;
  await assertRefused(t, shop, 'a change', expected, () => put('unwilling', tebex('/unwilling')));
  const { body } = await owner.request<Shown>('GET', '/v1/webhooks/unwilling');
  t.match(body, { format: 'standard', url: `${receiver.url}/unwilling` }, 'what was there stays');
  t.notOk(receiver.received.some(({ path }) => path === '/hooks/elsewhere'));
  const nobody = { url: 'http://127.0.0.1:1/', format: 'tebex' };
  await assertRefused(t, shop, 'nobody is there', expected, () => put('nobody', nobody));
});
