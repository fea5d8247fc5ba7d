import type { BrowserContext } from 'playwright-core';
import t from 'tap';
import { browserTests, openDemoShop, press } from '../support/browser.ts';
import { readBasket } from '../support/journey.ts';
import { contentsOfRedis, inspectRedis, untilRedisHasAll } from '../support/redis.ts';
import { contentsOf } from '../support/refusal.ts';
import { visit } from '../support/service.ts';

/*
 * What opens the links of a mail before anybody reads it: programs that ask for the headers, then for the page, as
 * themselves or dressed as a browser, and then a real browser that runs whatever there is to run.
 */

const browserTest = browserTests(t);

const chrome =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';
const agents = {
  'one that says nothing of itself': '',
  'one dressed as a browser': chrome,
  'one dressed as an old browser': 'Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)',
  'Microsoft Office': 'Mozilla/4.0 (compatible; ms-office; MSOffice 16)',
  Proofpoint: 'Mozilla/5.0 (compatible; Proofpoint-URLDefense/1.0)',
  Mimecast: 'Mimecast-URL-Scanner/1.0',
  Barracuda: 'BarracudaCentral/LinkProtect',
  'a headless browser': chrome.replace('Chrome/', 'HeadlessChrome/'),
  Slack: 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
  curl: 'curl/8.5.0',
};
const dresses: Record<string, string>[] = [
  {},
  { accept: 'text/html,application/xhtml+xml', 'accept-language': 'en' },
  { accept: 'text/html', 'sec-purpose': 'prefetch' },
  {
    accept: 'text/html',
    'sec-purpose': 'prefetch;prerender',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
  },
  { accept: 'text/html', purpose: 'prefetch' },
  { accept: '*/*', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
];

const mostPages = 10;

/**
 * Opens a link and everything that can be opened from there: what a page names as an address, in whatever element, is
 * fetched by a script, and then opened twice. Runs what it can, presses nothing, and gives the addresses in their order.
 */
async function detonate(context: BrowserContext, url: string): Promise<string[]> {
  const page = await context.newPage();
  const opened: string[] = [];
  const queue = [url];
  for (let next = queue.shift(); next !== undefined && opened.length < mostPages; next = queue.shift()) {
    if (opened.includes(next)) continue;
    await page.goto(next, { waitUntil: 'networkidle' });
    opened.push(next);
    await page.mouse.move(100, 100);
    await page.mouse.wheel(0, 1000);
    const found = await page.evaluate<string[]>(`
      [...document.querySelectorAll('[href], [src], [data], [action], [formaction], form')]
        .flatMap(({ href, src, data, action, formAction }) => [href, src, data, action, formAction])
        .filter((address) => typeof address === 'string' && address.startsWith('http'))
    `);
    // The page's own policy forbids its scripts to fetch: a scanner that reads it has no such policy.
    for (const address of found) await context.request.get(address);
    await page.reload();
    queue.push(page.url(), ...found);
  }
  await page.close();
  return opened;
}

browserTest(
  'a link that a mail scanner has taken apart, scripts and all, is as it was, and works once for its customer',
  async (t, context) => {
    const shop = await openDemoShop(t);
    const basket = await shop.createBasket({ linkMode: 'page' });
    const { startBasketUrl } = basket;
    const keys = inspectRedis(t, shop.service.redisKeyPrefix);
    await untilRedisHasAll(keys, shop);
    const state = async () => ({
      postgres: await contentsOf(shop.service.pool),
      redis: JSON.stringify(await contentsOfRedis(keys)),
    });
    const before = await state();

    for (const [what, agent] of Object.entries(agents)) {
      for (const dress of dresses) {
        const headers = { ...dress, ...(agent === '' ? {} : { 'user-agent': agent }) };
        const head = await visit(startBasketUrl, headers, 'HEAD');
        const page = await visit(`${startBasketUrl}?utm_source=mail`, headers);
        t.same([head.status, page.status, head.text], [200, 200, ''], `${what} ${JSON.stringify(dress)}`);
        t.equal(page.headers.location, undefined, what);
      }
    }
    const browser = context.browser();
    if (browser === null) throw new Error('the context has a browser');
    for (const userAgent of [chrome, chrome.replace('Chrome/', 'HeadlessChrome/')]) {
      const scanner = await browser.newContext({ userAgent, javaScriptEnabled: true });
      const opened = await detonate(scanner, startBasketUrl);
      t.ok(opened.includes(`${shop.front}/`), `it followed ${opened.join(' ')}`);
      t.notMatch(opened.join(' '), 'token=', 'and was never let into the shop');
      await scanner.close();
    }
    t.same(await state(), before, 'every row and every key is as it was');

    const page = await context.newPage();
    await page.goto(startBasketUrl);
    await press(page, 'Continue to Roxy');
    await page.waitForURL(`${shop.front}/basket`);
    t.equal((await readBasket(shop, basket.id)).status, 'activated');
    t.equal(await shop.activationsOf(basket.id), 1);
  },
);
