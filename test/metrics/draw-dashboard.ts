import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
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
 * Draws docs/images/dashboard.png: all panels of the dashboard under their headings, of a service at work for a minute and
 * a half. The graphs are Prometheus' own, since Grafana cannot be had from npm or Debian.
 */

const loadMs = 90_000;
const customers = 3;
/** Before each goes on: customers and service share a process here. */
const pauseMs = 300;
/** Of Prometheus' page the graphs alone, three in a row. */
const style = `
  nav, #add_graph, #graph_container > :not(.graph_wrapper), .query_form > :not(:last-child), .nav-tabs, .graph_container > .clearfix {
    display: none !important }
  #graph_container { display: grid; grid-template-columns: repeat(3, 1fr); gap: 0 24px }
  .graph_wrapper { min-width: 0 }
  .legend { font-size: 11px; max-width: 100% } .legend .label { white-space: normal; overflow-wrap: anywhere }
  body { padding-top: 0 !important } h2 { font-size: 20px; margin: 16px 0 4px }`;
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
  await haveCustomers(service.url, redis.url);
  await photograph(prometheus.url);
}

/**
 * Customers come, think, buy, give up and follow links that lead nowhere, and webhooks hear of it, one of which fails now
 * and then. Half-way through another says that it is gone, and Redis loses everything.
 */
async function haveCustomers(serviceUrl: string, redisUrl: string): Promise<void> {
  const halfWayMs = performance.now() + loadMs / 2;
  const receiver = createServer((request, response) => {
    request.resume();
    const fails = request.url === '/flaps' && Math.random() < 0.3;
    const isGone = request.url === '/goes' && performance.now() > halfWayMs;
    response.writeHead(fails ? 500 : isGone ? 410 : 204).end();
  }).listen(0, '127.0.0.1');
  stops.push(async () => void receiver.close());
  const shop = await openShopAt(serviceUrl);
  await putItem(shop, 'standing', 1_000_000);
  await putItem(shop, 'front-row', 40);
  const hooks = await shop.withScope('webhooks:write');
  const address = receiver.address();
  for (const name of ['works', 'flaps', 'goes']) {
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
  const loseRedis = async () => {
    await delay(loadMs / 2);
    const client = new Redis(redisUrl);
    await client.flushall();
    client.disconnect();
  };
  await Promise.all([loseRedis(), ...Array.from({ length: customers }, (_, customer) => come(customer))]);
}

async function photograph(prometheusUrl: string): Promise<void> {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1600, height: 400 }, deviceScaleFactor: 0.75 });
    // Before the graphs are drawn, which take the room that they find.
    await page.addInitScript(
      `addEventListener('DOMContentLoaded', () => document.head.insertAdjacentHTML('beforeend', ${JSON.stringify(`<style>${style}</style>`)}))`,
    );
    const panels = dashboardPanels();
    const parts: string[] = [];
    // Prometheus draws no more than ten graphs on a page.
    for (const heading of new Set(panels.map((panel) => panel.heading))) {
      const below = panels.filter((panel) => panel.heading === heading);
      const graphs = below.map(
        ({ queries }, at) =>
          `g${at}.expr=${encodeURIComponent(asOneQuery(queries))}&g${at}.tab=0&g${at}.range_input=${loadMs / 1000}s&g${at}.step_input=1`,
      );
      await page.goto(`${prometheusUrl}/classic/graph?${graphs.join('&')}`, { waitUntil: 'networkidle' });
      await page.evaluate(
        `${JSON.stringify(below.map(({ title }) => title))}.forEach((title, at) =>
          document.querySelectorAll('.graph_wrapper')[at].insertAdjacentHTML('afterbegin', '<h2>' + title + '</h2>'))`,
      );
      const drawn = await page.screenshot({ fullPage: true });
      parts.push(`<h1>${heading}</h1><img src="data:image/png;base64,${drawn.toString('base64')}">`);
    }
    await page.setContent(
      `<style>body { margin: 0; font-family: sans-serif } h1 { font-size: 26px; margin: 24px 15px 0 } img { width: 100% }</style>${parts.join('')}`,
    );
    await page.screenshot({ path: picture, fullPage: true });
  } finally {
    await browser.close();
  }
}

/** What all lines of a panel come from: Prometheus' page takes one query a graph. */
function asOneQuery(queries: ReturnType<typeof dashboardPanels>[number]['queries']): string {
  const named = queries.map(({ expression, legend }) => {
    const name = legend.replaceAll(/\{\{\w+\}\}/g, '').trim();
    return `label_replace(${withRateOver(expression, '10s')}, "line", "${name}", "", "")`;
  });
  return named.join(' or ');
}
