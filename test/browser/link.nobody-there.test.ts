import t from 'tap';
import { browserTests, openDemoShop, openElsewhere, press } from '../support/browser.ts';
import { readBasket } from '../support/journey.ts';

const browserTest = browserTests(t);

// What a page can write so that the browser fetches a link before anybody clicks it.
const prefetches: Record<string, (url: string) => string> = {
  'a prefetched link': (url) => `<link rel="prefetch" href="${url}">`,
  'a link prefetched by speculation rules': (url) => speculationRules('prefetch', url),
  'a link prerendered by speculation rules': (url) => speculationRules('prerender', url),
};

function speculationRules(action: string, url: string): string {
  const rules = { [action]: [{ urls: [url], eagerness: 'immediate' }] };
  return `<script type="speculationrules">${JSON.stringify(rules)}</script>`;
}

for (const [what, prefetch] of Object.entries(prefetches)) {
  browserTest(`${what} leaves the basket as it was, and the click works afterwards`, async (t, context) => {
    const shop = await openDemoShop(t);
    const basket = await shop.createBasket({ linkMode: 'redirect' });
    const { startBasketUrl } = basket;
    const elsewhere = await openElsewhere(t, `${prefetch(startBasketUrl)}<a href="${startBasketUrl}">Your tickets</a>`);
    const page = await context.newPage();

    const [prefetched] = await Promise.all([
      context.waitForEvent('response', (response) => response.url() === startBasketUrl),
      page.goto(elsewhere),
    ]);
    t.match(await prefetched.request().headerValue('sec-purpose'), 'prefetch', 'the browser says what it does');
    t.equal(prefetched.status(), 200, 'the page, not a way into the shop');
    t.equal((await readBasket(shop, basket.id)).version, basket.version);

    await page.getByRole('link').click();
    // Chromium may answer the click with the page that it has prefetched; then there is a button to press.
    const button = page.getByRole('button', { name: 'Continue to Roxy' });
    await button.or(page.getByRole('button', { name: 'Leave without buying' })).waitFor();
    if (await button.isVisible()) await button.click();
    await page.waitForURL(`${shop.front}/basket`);
    t.equal((await readBasket(shop, basket.id)).status, 'activated');
  });
}

browserTest('a browser without a person that opens the page leaves the basket to the customer', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket();

  const scanner = await context.newPage();
  await scanner.goto(basket.startBasketUrl, { waitUntil: 'networkidle' });
  t.equal(scanner.url(), basket.startBasketUrl);
  await scanner.close();
  t.equal((await readBasket(shop, basket.id)).version, basket.version);

  const page = await context.newPage();
  await page.goto(basket.startBasketUrl);
  await press(page, 'Continue to Roxy');
  await page.waitForURL(`${shop.front}/basket`);
  t.equal((await readBasket(shop, basket.id)).status, 'activated');
});
