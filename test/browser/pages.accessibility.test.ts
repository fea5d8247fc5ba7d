import t, { type Test } from 'tap';
import { coloursOfTexts, contrast, luminance } from '../support/accessibility.ts';
import { browserTests, openDemoShop, press } from '../support/browser.ts';

const browserTest = browserTests(t);

// No part of it can be broken at a space.
const longName = `Stehplatz${'donaudampfschifffahrtsgesellschaft'.repeat(3)}`;

/** The addresses of the pages that a start link can show, with a name in the basket that is hard to fit. */
async function openPages(t: Test) {
  const shop = await openDemoShop(t);
  const renamed = await shop.owner.request('PATCH', '/v1/items/stalls', { name: longName });
  t.equal(renamed.status, 200, renamed.text);
  const { startBasketUrl } = await shop.createBasket();
  const soldOut = await shop.createBasket({ items: [{ itemId: 'stalls', quantity: 1 }], reserve: 'activation' });
  const { available } = (await shop.availability('stalls')) as { available: number };
  const adjustment = { delta: -available, reason: 'the test' };
  t.equal((await shop.owner.request('POST', '/v1/items/stalls/adjustments', adjustment)).status, 200);
  return {
    shop,
    urls: { continue: startBasketUrl, soldOut: soldOut.startBasketUrl, problem: `${startBasketUrl}x` },
  };
}

browserTest(
  'every page has one main heading and a language, and the button that leads on has a name',
  async (t, context) => {
    const { urls } = await openPages(t);
    const page = await context.newPage();
    for (const [name, url] of Object.entries(urls)) {
      await page.goto(url);
      t.equal(await page.getByRole('heading', { level: 1 }).count(), 1, name);
      t.equal(await page.getByRole('main').count(), 1, name);
      t.match(await page.locator('html').getAttribute('lang'), /^en/, name);
      t.not(await page.title(), '', name);
      t.equal(await page.getByRole('button').count(), name === 'continue' ? 1 : 0, name);
    }
    await page.goto(urls.continue);
    t.ok(await page.getByRole('button', { name: 'Continue to Roxy', exact: true }).isVisible());
  },
);

browserTest(
  'every page fits a phone of 320 pixels without scrolling sideways, whatever the names',
  async (t, context) => {
    const { urls } = await openPages(t);
    const page = await context.newPage();
    await page.setViewportSize({ width: 320, height: 568 });
    for (const [name, url] of Object.entries(urls)) {
      await page.goto(url);
      t.equal(await page.evaluate<number>('document.documentElement.scrollWidth'), 320, name);
    }
  },
);

for (const colorScheme of ['light', 'dark'] as const) {
  browserTest(`all text of every page can be read in ${colorScheme} mode`, async (t, context) => {
    const { urls } = await openPages(t);
    const page = await context.newPage();
    await page.emulateMedia({ colorScheme });
    for (const [name, url] of Object.entries(urls)) {
      await page.goto(url);
      const texts = await coloursOfTexts(page);
      t.ok(texts.length > 3, `${name}: there are texts`);
      for (const { text, colour, ground } of texts) {
        // WCAG 2.2, 1.4.3: at least 4.5 for text that is not large.
        t.ok(contrast(colour, ground) >= 4.5, `${name}: "${text}" is ${colour} on ${ground}`);
      }
      const isDark = luminance(texts[0]?.ground ?? '') < 0.5;
      t.equal(isDark, colorScheme === 'dark', `${name}: the ground behind the first text`);
    }
  });
}

browserTest(
  'the pages have no script, and lead into the shop where scripts are switched off',
  async (t, context) => {
    const { shop, urls } = await openPages(t);
    const page = await context.newPage();
    for (const [name, url] of Object.entries(urls)) {
      await page.goto(url);
      t.equal(await page.locator('script').count(), 0, name);
    }
    await page.goto(urls.continue);
    await press(page, 'Continue to Roxy');
    await page.waitForURL(`${shop.front}/basket`);
  },
  { javaScriptEnabled: false },
);
