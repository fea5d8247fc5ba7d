import t from 'tap';
import { createBasketlinkClient } from '../../src/client/index.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const baseUrl = shop.service.url;
const token = await mintToken({ shop: shop.shopId, scope: 'baskets:read baskets:write' });
const body = { items: [{ itemId: 'stalls', quantity: 2 }] };
const held = async () => (await shop.availability('stalls')) as { held: number };

/** The real service behind something that spoils the first answers, after the service has given them. */
function behind(...spoil: ((answer: Response) => Response | never)[]) {
  const keys: (string | null)[] = [];
  return {
    keys,
    fetch: async (request: Request) => {
      keys.push(request.headers.get('idempotency-key'));
      const answer = await fetch(request);
      const change = spoil.shift();
      return change ? change(answer) : answer;
    },
  };
}

const lost = (): never => {
  throw new TypeError('the connection was lost');
};
const saying =
  (status: number, headers: Record<string, string> = {}) =>
  () =>
    new Response('', { status, headers });

t.test('a creation whose answers were lost is sent again with its key, and made once', async (t) => {
  const before = await held();
  const network = behind(lost, saying(503), saying(429, { 'retry-after': '0' }));
  const client = createBasketlinkClient({ baseUrl, token, tries: 4, fetch: network.fetch });
  const { data, response } = await client.POST('/v1/baskets', { body });
  t.equal(response.status, 201);
  t.match(data, { status: 'open', totals: { due: 6000 } });
  t.equal(response.headers.get('idempotent-replayed'), 'true');
  t.equal(network.keys.length, 4);
  t.equal(new Set(network.keys).size, 1);
  t.match(await held(), { held: before.held + 2 });
});

t.test('two calls have two keys, and one that the caller gives is kept', async (t) => {
  const network = behind();
  const client = createBasketlinkClient({ baseUrl, token, fetch: network.fetch });
  await client.POST('/v1/baskets', { body });
  await client.POST('/v1/baskets', { body });
  await client.POST('/v1/baskets', { body, params: { header: { 'Idempotency-Key': 'booking-991' } } });
  t.equal(new Set(network.keys).size, 3);
  t.equal(network.keys[2], 'booking-991');
});

t.test('a refusal is a problem with its code and the id of the request, and is not asked for again', async (t) => {
  const network = behind();
  const client = createBasketlinkClient({ baseUrl, token: async () => token, fetch: network.fetch });
  const tooMuch = { items: [{ itemId: 'stalls', quantity: 9 }] };
  const { data, error, response } = await client.POST('/v1/baskets', { body: tooMuch });
  t.equal(data, undefined);
  t.match(error, { status: 422, code: 'quantity_limit', requestId: response.headers.get('x-request-id') });
  t.equal(network.keys.length, 1);
});

t.test('what cannot be reached, or is not the service, is a problem after as many tries as were allowed', async (t) => {
  const silent = behind(lost, lost);
  const client = createBasketlinkClient({ baseUrl, token, tries: 2, fetch: silent.fetch });
  t.match(await client.GET('/v1/baskets'), { error: { code: 'unreachable', status: 503 } });
  t.equal(silent.keys.length, 2);

  const proxy = behind(saying(502, { 'content-type': 'text/html' }));
  const behindProxy = createBasketlinkClient({ baseUrl, token, fetch: proxy.fetch });
  t.match(await behindProxy.GET('/v1/baskets'), { error: { code: 'unusable_answer', status: 502 } });

  const busy = behind(saying(429, { 'retry-after': '3600' }));
  const impatient = createBasketlinkClient({ baseUrl, token, fetch: busy.fetch });
  t.equal((await impatient.GET('/v1/baskets')).response.status, 429, 'an hour is not waited for');
});

t.test('a call is made as somebody else where it says so, and ends when its caller gives it up', async (t) => {
  const client = createBasketlinkClient({ baseUrl, token });
  const nobody = await client.GET('/v1/baskets', { headers: { authorization: 'Bearer nobody' } });
  t.match(nobody.error, { code: 'unauthorized' });
  await t.rejects(client.GET('/v1/baskets', { signal: AbortSignal.abort(new Error('given up')) }), /given up/);
});
