import t from 'tap';
import { changesOf, readMetrics, type Sample } from '../support/metrics.ts';
import { api, mintToken, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { sendRaw } from '../support/socket.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t);
const { url } = shop.service;
const requests = 'basketlink_http_requests_total';
const durations = 'basketlink_http_request_duration_seconds_count';

/** What was counted of a metric since, but for those who asked for the metrics. */
async function changesSince(before: readonly Sample[], name: string): Promise<Record<string, number>> {
  const changes = changesOf(name, before, (await readMetrics(url)).samples);
  return Object.fromEntries(Object.entries(changes).filter(([labels]) => !labels.includes('/metrics')));
}

/** Waits until so much was counted: what an answer says is counted a moment after it has left. */
async function untilCounted(before: readonly Sample[], name: string, wanted: Record<string, number>): Promise<void> {
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((one, other) => one + other, 0);
  await until('all requests are counted', 5000, async () => sum(await changesSince(before, name)) >= sum(wanted));
}

t.test('each request is counted once, under the pattern of its route, and so is how long it took', async (t) => {
  const { samples: before } = await readMetrics(url);
  const body = { items: [{ itemId: 'stalls', quantity: 1 }] };
  const created = [
    await shop.backEnd.request<{ id: string; startBasketUrl: string }>('POST', '/v1/baskets', body),
    await shop.backEnd.request<{ id: string; startBasketUrl: string }>('POST', '/v1/baskets', body),
  ];
  for (const { body } of created) {
    await shop.backEnd.request('GET', `/v1/baskets/${body.id}`);
    await visit(body.startBasketUrl);
  }
  await shop.backEnd.request('POST', '/v1/baskets', { items: [{ itemId: 'stalls', quantity: 1, colour: 'red' }] });
  await shop.backEnd.request('GET', '/v1/baskets/bkt_unknown');
  await api(url, null).request('GET', '/v1/baskets/bkt_unknown');
  await api(url, null).request('DELETE', '/b/not-a-token');
  await api(url, null).request('GET', '/b/not-a-token');

  const counted = {
    'POST /v1/baskets 201': 2,
    'POST /v1/baskets 400': 1,
    'GET /v1/baskets/:id 200': 2,
    'GET /v1/baskets/:id 404': 1,
    'GET /v1/baskets/:id 401': 1,
    'GET /b/:token 303': 2,
    'GET /b/:token 403': 1,
    'DELETE /b/:token 405': 1,
  };
  await untilCounted(before, requests, counted);
  t.strictSame(sorted(await changesSince(before, requests)), sorted(counted));
  const timed = { 'POST /v1/baskets': 3, 'GET /v1/baskets/:id': 4, 'GET /b/:token': 3, 'DELETE /b/:token': 1 };
  t.strictSame(sorted(await changesSince(before, durations)), sorted(timed));
  t.strictSame(
    sorted(await changesSince(before, 'basketlink_refusals_total')),
    sorted({
      '/v1/baskets invalid_request': 1,
      '/v1/baskets/:id not_found': 1,
      '/v1/baskets/:id unauthorized': 1,
      '/b/:token link_invalid': 1,
      '/b/:token method_not_allowed': 1,
    }),
  );
});

t.test('the refusals inside a batch are counted, and those that a customer sees as a redirection', async (t) => {
  const { samples: before } = await readMetrics(url);
  const entry = (quantity: number, itemId = 'stalls') => ({ items: [{ itemId, quantity }] });
  const batch = await shop.backEnd.request<{ results: { basket?: { id: string; startBasketUrl: string } }[] }>(
    'POST',
    '/v1/baskets/batch',
    { baskets: [entry(1), entry(9), entry(9), entry(1, 'unknown')] },
  );
  const basket = batch.body.results[0]?.basket;
  await shop.backEnd.request('POST', `/v1/baskets/${basket?.id}/cancel`);
  const opened = await visit(basket?.startBasketUrl ?? '');
  t.match(opened, { status: 303, headers: { location: /error=basket_cancelled/ } });
  const counted = {
    '/v1/baskets/batch quantity_limit': 2,
    '/v1/baskets/batch unknown_item': 1,
    '/b/:token basket_cancelled': 1,
  };
  await untilCounted(before, 'basketlink_refusals_total', counted);
  t.strictSame(sorted(await changesSince(before, 'basketlink_refusals_total')), sorted(counted));
});

t.test('however many paths and methods somebody makes up, they are one series', async (t) => {
  const strange = async (nth: number) => {
    await api(url, null).request('GET', `/${nth}/wp-login.php?token=${nth}`);
    await api(url, null).request('POST', `/v1/nothing-${nth}`, {});
  };
  await strange(0);
  await sendRaw(url, 'PROPFIND / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const seriesOf = ({ samples }: { samples: Sample[] }) =>
    samples.map(({ name, labels }) => JSON.stringify([name, labels]));
  const before = await until('what is unknown is counted', 5000, async () => {
    const metrics = await readMetrics(url);
    const unknown = metrics.samples.filter(({ labels, name }) => name === requests && labels.route === 'unknown');
    return unknown.length === 3 && metrics;
  });
  for (let nth = 1; nth <= 50; nth += 1) await strange(nth);
  await sendRaw(url, 'MKCALENDAR / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await untilCounted(before.samples, requests, { unknown: 101 });
  t.strictSame(await changesSince(before.samples, requests), {
    'GET unknown 404': 50,
    'POST unknown 404': 50,
    'other unknown 404': 1,
  });
  t.strictSame(seriesOf(await readMetrics(url)), seriesOf(before));
});

t.test('requests that are being answered are counted, and not any more when their client has gone', async (t) => {
  const inFlight = async () => {
    const { samples } = await readMetrics(url);
    // Whoever asks is one of them.
    return (samples.find(({ name }) => name === 'basketlink_http_requests_in_flight')?.value ?? Number.NaN) - 1;
  };
  await until('nobody is there', 5000, async () => (await inFlight()) === 0);
  const { pool } = shop.service;
  const client = await pool.connect();
  await client.query('BEGIN');
  await client.query(`SELECT FROM stock WHERE shop_id = 'roxy' FOR UPDATE`);
  const aborting = new AbortController();
  const body = JSON.stringify({ items: [{ itemId: 'stalls', quantity: 1 }] });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${await tokenOfBackEnd()}` };
  const given = fetch(new URL('/v1/baskets', url), { method: 'POST', body, headers, signal: aborting.signal });
  const aborted = t.rejects(given);
  await until('the request waits for the lock', 5000, async () => (await inFlight()) === 1);
  aborting.abort();
  await aborted;
  await until('the request is gone', 5000, async () => (await inFlight()) === 0);
  await client.query('ROLLBACK');
  client.release();
});

function tokenOfBackEnd(): Promise<string> {
  return mintToken({ shop: shop.shopId, scope: 'baskets:write' });
}

function sorted(counts: Record<string, number>): [string, number][] {
  return Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
}
