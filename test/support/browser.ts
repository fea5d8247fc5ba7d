import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { setUpDemoShop } from '../../src/dev/demo-data.ts';
import { startDemoShop } from '../../src/dev/demo-shop/server.ts';
import { createBasket } from './journey.ts';
import { mintToken } from './service.ts';
import { openShop } from './shop.ts';

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const skip = existsSync(executablePath) ? false : `there is no Chromium at ${executablePath}`;

/** How long to wait for a page or an element before the test fails. */
const patienceMs = 20_000;

const switches = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Gives the function that declares a file's browser tests; where there is no Chromium they are skipped. They share one
 * browser, and each has a context of its own, with no cookies and an empty cache.
 */
export function browserTests(t: Test) {
  let browser: Promise<Browser> | undefined;
  t.teardown(async () => (await browser)?.close());
  return (
    guarantee: string,
    body: (t: Test, context: BrowserContext) => Promise<void>,
    options: BrowserContextOptions = {},
  ) =>
    t.test(guarantee, { skip }, async (t) => {
      browser ??= chromium.launch({
        executablePath,
        args: switches,
        // Customers' browsers bring the page back as it was when they press Back; Playwright's do not unless told.
        ignoreDefaultArgs: ['--disable-back-forward-cache'],
      });
      const context = await (await browser).newContext(options);
      context.setDefaultTimeout(patienceMs);
      try {
        await body(t, context);
      } finally {
        // Before the teardowns: a server that stops waits for every connection that the browser opened in advance.
        await context.close();
      }
    });
}

/**
 * A service with the demo shop's catalogue, and the demo shop in front of it at `front`. To the browser they are two
 * sites, as in real life: the links are on 127.0.0.1, the shop on localhost.
 */
export async function openDemoShop(t: Test) {
  const shop = await openShop(t);
  const { shopId, service } = shop;
  const demo = await startDemoShop({
    port: 0,
    host: '127.0.0.1',
    apiUrl: service.url,
    shopId,
    redeemToken: await mintToken({ shop: shopId, scope: 'confirmations:redeem' }),
    ordersToken: await mintToken({ shop: shopId, scope: 'orders:write baskets:read' }),
    catalogueToken: await mintToken({ shop: shopId, scope: 'catalogue:read' }),
  });
  t.teardown(() => demo.stop());
  const front = `http://localhost:${new URL(demo.url).port}`;
  await setUpDemoShop(service.url, await mintToken({ shop: shopId, scope: 'shop:write' }), shopId, front);
  return {
    ...shop,
    front,
    /** Creates a basket as a partner does: two in the stalls and a programme, 66.00 with tax, for the customer cus-7. */
    createBasket: (fields: object = {}) =>
      createBasket(shop, {
        items: [
          { itemId: 'stalls', quantity: 2 },
          { itemId: 'programme', quantity: 1 },
        ],
        customer: { id: 'cus-7', email: 'anna@customer.example' },
        successRedirectUrl: `${front}/thank-you`,
        failureRedirectUrl: `${front}/payment-failed`,
        ...fields,
      }),
    /** Moves some of the shop's pages to other addresses. */
    changeFrontend: (frontend: object) => shop.owner.request('PATCH', `/v1/shops/${shopId}`, { frontend }),
    /** The ids of the orders that Postgres has of a basket. */
    async ordersOf(basketId: string): Promise<string[]> {
      const { rows } = await service.pool.query<{ order_id: string }>(
        'SELECT order_id FROM orders WHERE shop_id = $1 AND basket_id = $2',
        [shopId, basketId],
      );
      return rows.map((row) => row.order_id);
    },
    /** How often a basket was activated for the first time, which is what the world is told about. */
    async activationsOf(basketId: string): Promise<number> {
      const { rowCount } = await service.pool.query(
        `SELECT FROM outbox WHERE shop_id = $1 AND subject_id = $2 AND type = 'basket.activated'`,
        [shopId, basketId],
      );
      return rowCount ?? 0;
    },
  };
}

/** Serves a page of a third site, such as a webmail or somebody who means harm, and gives its URL. */
export async function openElsewhere(t: Test, body: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><title>Elsewhere</title><h1>Elsewhere</h1>${body}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  // Browsers take every name under localhost for this machine, and each for a site of its own.
  return `http://elsewhere.localhost:${(server.address() as AddressInfo).port}/`;
}

/** Presses the button with exactly this name. */
export async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}

/** The text of the page's one main heading. */
export function headingOf(page: Page): Promise<string | null> {
  return page.getByRole('heading', { level: 1 }).textContent();
}

/** Makes a picture for the README and the docs again, when it is asked for with UPDATE_PICTURES=1. */
export async function takePicture(page: Page, name: string): Promise<void> {
  if (process.env.UPDATE_PICTURES !== '1') return;
  const path = fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url));
  // A low window, so that the picture is as high as what is on the page.
  await page.setViewportSize({ width: 800, height: 100 });
  await page.screenshot({ path, fullPage: true });
}
