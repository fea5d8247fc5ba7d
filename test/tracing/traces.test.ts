import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import t from 'tap';
import { type Exported, startCollector } from '../support/collector.ts';
import { activate, type Created, createBasket, letBeSwept, pressLink } from '../support/journey.ts';
import { startReceiver } from '../support/receiver.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const hex = (bytes: number) => randomBytes(bytes).toString('hex');
const isPostgres = ({ attributes }: Exported) => attributes['db.system.name'] === 'postgresql';
const isRedis = ({ attributes }: Exported) => attributes['db.system.name'] === 'redis';

t.test(
  'a creation is one trace from the caller to Postgres and Redis, and on to whoever hears of it by webhook',
  async (t) => {
    const collector = await startCollector(t);
    const receiver = await startReceiver(t);
    const shop = await openShop(t, { config: { otlpEndpoint: collector.url, webhookAllowPrivate: true } });
    const hooks = await shop.withScope('webhooks:write');
    t.equal((await hooks.request('PUT', '/v1/webhooks/hook-1', { url: receiver.url })).status, 200);
    const [traceId, callerSpanId] = [hex(16), hex(8)];
    const items = [{ itemId: 'stalls', quantity: 1 }];
    const traced = { traceparent: `00-${traceId}-${callerSpanId}-01` };
    const created = await shop.backEnd.request<Created>('POST', '/v1/baskets', { items }, traced);
    t.equal(created.status, 201);
    const message = await until(
      'the webhook is sent',
      10_000,
      async () => receiver.received.find(({ basketId }) => basketId === created.body.id) ?? null,
    );
    await letBeSwept(shop, created.body.id);
    const expired = await until(
      'its expiry is sent',
      10_000,
      async () => receiver.received.find(({ type }) => type === 'basket.expired') ?? null,
    );
    t.notMatch(expired.headers.traceparent, traceId, 'what the service does by itself is not of the trace');
    await shop.service.stop();

    t.same([...collector.paths], ['POST /v1/traces']);
    const ofTrace = collector.spans.filter((span) => span.traceId === traceId);
    const request = ofTrace.find(({ name }) => name === 'POST /v1/baskets');
    t.match(request, {
      parentSpanId: callerSpanId,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v1/baskets',
        'http.response.status_code': 201,
        'basketlink.shop_id': 'roxy',
        'basketlink.request_id': created.headers.get('x-request-id'),
      },
    });
    const parents = new Map(ofTrace.map(({ spanId, parentSpanId }) => [spanId, parentSpanId]));
    const leadsToRequest = (spanId: string | undefined): boolean =>
      spanId !== undefined && (spanId === request?.spanId || leadsToRequest(parents.get(spanId)));
    for (const [what, isSought] of Object.entries({ isPostgres, isRedis })) {
      const found = ofTrace.filter(isSought);
      t.not(found.length, 0, what);
      for (const { name, spanId } of found) t.ok(leadsToRequest(spanId), name);
    }
    const statements = ofTrace.filter(isPostgres).map(({ attributes }) => String(attributes['db.query.text']));
    t.ok(statements.includes('COMMIT'));
    t.ok(
      statements.some((text) => text.includes('$1')),
      'statements with the places of their parameters',
    );

    const [, deliveryTrace, deliverySpan] = String(message.headers.traceparent).split('-');
    t.equal(deliveryTrace, traceId);
    const delivery = ofTrace.find(({ spanId }) => spanId === deliverySpan);
    t.match(delivery, { name: 'webhook delivery', attributes: { 'server.address': '127.0.0.1' } });
    t.ok(leadsToRequest(delivery?.spanId), 'a try to deliver');

    // What runs in the background asks Postgres and Redis all the time, and belongs to no request.
    const known = new Set(collector.spans.map(({ spanId }) => spanId));
    const orphans = collector.spans.filter(
      ({ spanId, parentSpanId }) => spanId !== request?.spanId && parentSpanId !== '' && !known.has(parentSpanId),
    );
    t.same(orphans, []);
    const roots = new Set(collector.spans.filter(({ parentSpanId }) => parentSpanId === '').map(({ name }) => name));
    for (const name of roots) t.match(name, /^(PUT|POST|GET) \/v1\/|^webhook delivery$/);
  },
);

t.test('what is done for a body that comes after its head belongs to the trace of its request', async (t) => {
  const collector = await startCollector(t);
  const shop = await openShop(t, { config: { otlpEndpoint: collector.url } });
  const key = await shop.owner.request<{ apiKey: string }>('POST', `/v1/shops/${shop.shopId}/api-keys`, {
    name: 'k',
    scopes: ['baskets:write'],
  });
  const traceId = hex(16);
  const body = JSON.stringify({ items: [{ itemId: 'stalls', quantity: 1 }] });
  const sent = request(`${shop.service.url}/v1/baskets`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key.body.apiKey}`,
      'content-type': 'application/json',
      'content-length': body.length,
      traceparent: `00-${traceId}-${hex(8)}-01`,
      expect: '100-continue',
    },
  });
  sent.flushHeaders();
  await once(sent, 'continue');
  // One that came later and is answered: by now the other waits for its body.
  t.equal((await shop.as(key.body.apiKey).request('GET', '/v1/items')).status, 200);
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  t.equal(answer.statusCode, 201);
  answer.resume();
  await shop.service.stop();
  const statements = collector.spans.filter((span) => span.traceId === traceId && isPostgres(span));
  t.ok(
    statements.some(({ attributes }) => attributes['db.query.text'] === 'COMMIT'),
    `${statements.length} statements are there`,
  );
});

t.test('requests that are committed together are linked with the one span of it', async (t) => {
  const collector = await startCollector(t);
  const shop = await openShop(t, { config: { otlpEndpoint: collector.url } });
  const count = 20;
  await Promise.all(Array.from({ length: count }, () => createBasket(shop)));
  await shop.service.stop();

  const requests = collector.spans.filter(({ name }) => name === 'POST /v1/baskets');
  t.equal(requests.length, count);
  t.equal(new Set(requests.map(({ traceId }) => traceId)).size, count, 'each has a trace of its own');
  const batches = collector.spans.filter(({ name }) => name === 'batch');
  t.ok(
    batches.some(({ attributes }) => Number(attributes['basketlink.batch.size']) > 1),
    'some were committed together',
  );
  const seen = (of: Exported) => ({ traceId: of.traceId, spanId: of.spanId });
  for (const request of requests) {
    const own = batches.filter(({ parentSpanId }) => parentSpanId === request.spanId);
    const linked = batches.filter((batch) => request.links.some(({ spanId }) => spanId === batch.spanId));
    t.equal(own.length + linked.length, 1, 'one batch');
    for (const batch of linked)
      t.has(
        batch.links.find(({ spanId }) => spanId === request.spanId),
        seen(request),
      );
    for (const batch of own) {
      const commits = collector.spans.filter(({ parentSpanId }) => parentSpanId === batch.spanId);
      t.ok(commits.some(({ attributes }) => attributes['db.query.text'] === 'COMMIT'));
    }
  }
});

t.test('no trace holds a secret, whatever succeeds or fails', async (t) => {
  const collector = await startCollector(t);
  const receiver = await startReceiver(t);
  const shop = await openShop(t, { config: { otlpEndpoint: collector.url, webhookAllowPrivate: true } });
  const { url } = shop.service;
  const hooks = await shop.withScope('webhooks:write');
  const hookPath = `hook-path-${hex(8)}`;
  const hook = await hooks.request<{ secret: string }>('PUT', '/v1/webhooks/hook-1', {
    url: `${receiver.url}/${hookPath}`,
  });
  const code = `CODE${hex(8).toUpperCase()}`;
  const card = `card-${hex(12)}`;
  const email = `mail-${hex(8)}@customer.example`;
  const idempotencyKey = `key-${hex(8)}`;
  await shop.owner.request('PUT', `/v1/discount-codes/${code}`, { type: 'percent', value: 1000 });
  await shop.owner.request('PUT', `/v1/gift-cards/${card}`, { balance: 100_000, currency: 'GBP' });
  const key = await shop.owner.request<{ apiKey: string }>('POST', `/v1/shops/${shop.shopId}/api-keys`, {
    name: 'k',
    scopes: ['baskets:read'],
  });
  t.equal(key.status, 201);
  const body = {
    items: [{ itemId: 'stalls', quantity: 1 }],
    customer: { id: 'cus-1', email },
    discountCodes: [code],
    giftCards: [card],
    generateBasketUrl: true,
  };
  const created = await shop.backEnd.request<Created>('POST', '/v1/baskets', body, {
    'idempotency-key': idempotencyKey,
  });
  t.equal(created.status, 201);
  const { startBasketUrl } = created.body;
  const confirmation = await pressLink(startBasketUrl);
  const { session } = await activate(shop, startBasketUrl);
  const bearer = shop.as(session.token);
  t.equal((await bearer.request('GET', `/v1/baskets/${created.body.id}`)).status, 200);
  // What fails: an unknown code in the path, a query of somebody's own, a path that is none, and a token in it.
  await bearer.request('POST', `/v1/baskets/${created.body.id}/codes`, { type: 'giftCard', code: `wrong-${card}` });
  await bearer.request('DELETE', `/v1/baskets/${created.body.id}/codes/discount/X${code}`);
  await shop.backEnd.request('GET', `/v1/baskets?reference=${idempotencyKey}&email=${email}`);
  await fetch(`${url}/b/wrong${new URL(startBasketUrl).pathname.slice(3)}?signature=${confirmation}`, {
    redirect: 'manual',
  });
  await fetch(`${url}/nowhere/${confirmation}?token=${confirmation}`);
  const message = await until('webhooks are sent', 10_000, async () => receiver.received.at(-1) ?? null);
  await shop.service.stop();

  t.match(collector.text, created.headers.get('x-request-id') ?? 'none', 'what was called is there');
  const secrets = {
    ...{ code, card, email, idempotencyKey, confirmation, hookPath },
    link: new URL(startBasketUrl).pathname.slice(3),
    session: session.token,
    apiKey: key.body.apiKey,
    'webhook secret': hook.body.secret,
    signature: String(message.headers['webhook-signature']),
  };
  for (const [what, secret] of Object.entries(secrets)) {
    t.ok(secret.length >= 12, `${what} is one`);
    for (const spelling of [secret, encodeURIComponent(secret)]) t.notOk(collector.text.includes(spelling), what);
  }
});
