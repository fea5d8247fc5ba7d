import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { loadConfig } from '../../src/config.ts';
import { freePort, startPostgres, startRedis } from '../../src/dev/services.ts';
import { migrate } from '../../src/platform/migrations.ts';
import { startService } from '../../src/server.ts';
import { dashboardPanels, withRateOver } from '../support/dashboard.ts';
import { checkout, complete, createBasket, openBasket, putItem } from '../support/journey.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { api, jwtSecret, visit } from '../support/service.ts';
import { openShopAt } from '../support/shop.ts';

/*
 * npm run docs:dashboard
 *
 * Draws docs/images/dashboard.png: a service at work for a minute and a half, with Prometheus' own graphs of the dashboard's
 * queries, since Grafana cannot be had from npm or Debian.
 */

/** Of these panels, the query that is last in the panel: where there are percentiles, p99. */
const drawn = [
  'Answers by status',
  'How long answers take',
  'Refusals by code',
  'Start links',
  'What becomes of baskets',
  'How late stock comes back',
  'Tries to deliver',
  'Event loop',
];
const loadMs = 90_000;
const customers = 3;
/** Before each goes on: customers and service share a process here. */
const pauseMs = 300;
/** Of Prometheus' page the graphs alone, two in a row. */
const style = `
  nav, #add_graph, #graph_container > :not(.graph_wrapper), .query_form > :not(:last-child), .nav-tabs, .graph_container > .clearfix {
    display: none !important }
  #graph_container { display: grid; grid-template-columns: 1fr 1fr; gap: 0 24px }
  .graph_wrapper { min-width: 0 } .legend { font-size: 11px }
  body { padding-top: 0 !important } h2 { font-size: 22px; margin: 16px 0 4px }`;
const picture = fileURLToPath(new URL('../../docs/images/dashboard.png', import.meta.url));

const directory = await mkdtemp(join(tmpdir(), 'basketlink-dashboard-'));
const stops: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
try {
  await draw();
} finally {
  for (const stop of stops.reverse()) await stop();
}

async function draw(): Promise<void> {
  const postgres = await startPostgres({ dataDirectory: join(directory, 'postgres'), durable: false });
  stops.push(() => postgres.stop());
  const redis = await startRedis({ dataDirectory: null, persist: false });
  stops.push(() => redis.stop());
  await migrate(postgres.url);
  const port = await freePort();
  const service = await startService(
    loadConfig({
      HOST: '127.0.0.1',
      PORT: String(port),
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      DATABASE_URL: postgres.url,
      REDIS_URL: redis.url,
      JWT_SECRET: jwtSecret,
      LINK_KEYS: `l1:${jwtSecret}`,
      DATA_KEYS: `d1:${jwtSecret}`,
      RATE_LIMIT_MAX: '0',
      RATE_LIMIT_CLICKS: '0',
      WEBHOOK_ALLOW_PRIVATE: 'true',
      LOG_LEVEL: 'silent',
    }),
  );
  stops.push(() => service.stop());
  const prometheus = await startPrometheus(join(directory, 'prometheus'), [service.url]);
  stops.push(() => prometheus.stop());
  await haveCustomers(service.url);
  await photograph(prometheus.url);
}

/** Customers come, think, buy, give up and follow links that lead nowhere, and two webhooks hear of it. */
async function haveCustomers(serviceUrl: string): Promise<void> {
  const receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(request.url === '/flaps' && Math.random() < 0.3 ? 500 : 204).end();
  }).listen(0, '127.0.0.1');
  stops.push(async () => void receiver.close());
  const shop = await openShopAt(serviceUrl);
  await putItem(shop, 'standing', 1_000_000);
  await putItem(shop, 'front-row', 40);
  const hooks = await shop.withScope('webhooks:write');
  const address = receiver.address();
  for (const name of ['works', 'flaps']) {
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/${name}`;
    await hooks.request('PUT', `/v1/webhooks/${name}`, { url });
  }
  const untilMs = performance.now() + loadMs;
  const seat = (itemId: string) => ({ items: [{ itemId, quantity: 1 }] });
  const come = async (customer: number) => {
    for (let nth = 0; performance.now() < untilMs; nth += 1) {
      const luck = Math.random();
      if (luck < 0.15) await shop.backEnd.request('POST', '/v1/baskets', seat('front-row'));
      else if (luck < 0.2) await api(serviceUrl, null).request('GET', '/b/not-a-link');
      else if (luck < 0.4)
        await visit((await createBasket(shop, { ...seat('standing'), ttlSeconds: 10 })).startBasketUrl);
      else if (luck < 0.5) {
        const { id } = await createBasket(shop, seat('standing'));
        await shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`);
      } else {
        const { id } = await openBasket(shop, seat('standing'));
        const { body } = await checkout(shop, id);
        await complete(shop, id, { orderId: `order-${customer}-${nth}`, leaseId: body.leaseId });
      }
      await delay(pauseMs * Math.random() * 2);
    }
  };
  await Promise.all(Array.from({ length: customers }, (_, customer) => come(customer)));
}

async function photograph(prometheusUrl: string): Promise<void> {
  const panels = drawn.map((wanted) => {
    const panel = dashboardPanels().find(({ title }) => title === wanted);
    if (panel === undefined) throw new Error(`the dashboard has no panel ${wanted}`);
    return panel;
  });
  const query = panels.flatMap(({ queries }, at) => [
    `g${at}.expr=${encodeURIComponent(withRateOver(queries.at(-1) ?? '', '10s'))}`,
    `g${at}.tab=0&g${at}.range_input=${loadMs / 1000}s&g${at}.step_input=1`,
  ]);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1300, height: 800 }, deviceScaleFactor: 0.75 });
    // Before the graphs are drawn, which take the room that they find.
    await page.addInitScript(
      `addEventListener('DOMContentLoaded', () => document.head.insertAdjacentHTML('beforeend', ${JSON.stringify(`<style>${style}</style>`)}))`,
    );
    await page.goto(`${prometheusUrl}/classic/graph?${query.join('&')}`, { waitUntil: 'networkidle' });
    await page.evaluate(
      `${JSON.stringify(drawn)}.forEach((title, at) =>
        document.querySelectorAll('.graph_wrapper')[at].insertAdjacentHTML('afterbegin', '<h2>' + title + '</h2>'))`,
    );
    await page.screenshot({ path: picture, fullPage: true });
  } finally {
    await browser.close();
  }
}
