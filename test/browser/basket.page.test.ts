import type { Page } from 'playwright-core';
import t from 'tap';
import { coloursOfTexts, contrast } from '../support/accessibility.ts';
import { audit } from '../support/audit.ts';
import { browserTests, headingOf, openDemoShop, press, takePicture } from '../support/browser.ts';
import { letBeSwept, letExpire, putItem, readBasket } from '../support/journey.ts';
import { until } from '../support/until.ts';

const browserTest = browserTests(t);
const shop = await openDemoShop(t);
const moreTime = 'I need more time';
let customers = 0;

/** Opens a basket of its own customer by its link, and gives it. */
async function openBasketIn(page: Page, fields: object = {}) {
  customers += 1;
  const customer = { id: `cus-${customers}`, email: 'anna@customer.example' };
  const basket = await shop.createBasket({ linkMode: 'redirect', customer, ...fields });
  await page.context().clearCookies();
  await page.goto(basket.startBasketUrl);
  return basket;
}
const main = (page: Page) => page.getByRole('main').textContent();
async function apply(page: Page, code: string, label = 'Discount code') {
  await page.getByRole('textbox', { name: label }).fill(code);
  await Promise.all([page.waitForNavigation(), press(page, `Apply ${label}`)]);
}

browserTest(
  'a minute before the end the customer is told, by a live region, and gets more time by keyboard alone',
  async (t, context) => {
    const page = await context.newPage();
    await page.clock.install();
    const { id } = await openBasketIn(page);
    const { expiresAt } = await readBasket(shop, id);
    const [warning, timer] = [page.getByRole('status'), page.getByRole('timer')];
    t.match(await timer.textContent(), /^(10:00|9:5\d) left$/);
    t.equal(await warning.textContent(), '', 'nothing is said before its time');
    await page.clock.fastForward(545_000);
    await until('the warning', 5000, async () => (await warning.textContent()) !== '');
    t.match(await warning.textContent(), 'Press “I need more time” to keep them longer.');
    const [, seconds = 0] = ((await timer.textContent()) ?? '').split(/\D/).map(Number);
    // WCAG 2.2, 2.2.1: at least twenty seconds to ask for more by a simple action, at least ten times.
    t.ok(seconds >= 20 && seconds < 60, `${seconds} s are left to answer`);
    await takePicture(page, 'demo-warning');

    const focused = () => page.evaluate<string>('document.activeElement.textContent');
    await page.evaluate('document.activeElement.blur()');
    for (let tabs = 0; tabs < 20 && (await focused()) !== moreTime; tabs += 1) await page.keyboard.press('Tab');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    const extended = await readBasket(shop, id);
    t.equal(Date.parse(extended.expiresAt) - Date.parse(expiresAt), 120_000);
    t.match(extended, { extensionsLeft: 9 });
    t.equal(await warning.textContent(), '');

    await letExpire(shop, id);
    await page.clock.fastForward(800_000);
    await page.getByRole('heading', { name: 'Your basket has run out of time' }).waitFor();
  },
);

browserTest(
  'without scripts the page says until when it is held, and the button gives more time',
  async (t, context) => {
    const page = await context.newPage();
    const { id } = await openBasketIn(page);
    t.match(await main(page), /Held for you until \d\d:\d\d/);
    await press(page, moreTime);
    await page.waitForURL(`${shop.front}/basket`);
    t.match(await readBasket(shop, id), { extensionsLeft: 9 });
  },
  { javaScriptEnabled: false },
);

browserTest(
  'lines can be changed and taken out, but not those that were chosen for the customer',
  async (t, context) => {
    const page = await context.newPage();
    const items = [
      { itemId: 'stalls', quantity: 2 },
      { itemId: 'circle-child', quantity: 1 },
      { itemId: 'programme', quantity: 1, modifiable: false },
    ];
    const { id } = await openBasketIn(page, { items });
    await takePicture(page, 'demo-basket');
    t.match(await main(page), 'Programme 1, chosen for you: cannot be changed');
    t.equal(await page.getByLabel('Programme').count(), 0);
    await page.getByLabel('Stalls', { exact: true }).fill('3');
    await Promise.all([page.waitForNavigation(), press(page, 'Change the number of Stalls')]);
    t.match(await main(page), '3 × £25.00');
    await Promise.all([page.waitForNavigation(), press(page, 'Remove Dress circle, child')]);
    t.notMatch(await main(page), 'Dress circle, child');
    t.match(await readBasket(shop, id), { items: [{ quantity: 3 }, { itemId: 'programme' }] });

    for (const [quantity, heading] of [
      ['9', 'That is too many'],
      ['8', 'Somebody was faster'],
    ] as const) {
      await page.goto(`${shop.front}/basket`);
      await page.getByLabel('Stalls', { exact: true }).fill(quantity);
      const { available } = (await shop.availability('stalls')) as { available: number };
      const adjust = (delta: number) =>
        shop.owner.request('POST', '/v1/items/stalls/adjustments', { delta, reason: 'the test' });
      t.equal((await adjust(-available)).status, 200);
      await Promise.all([page.waitForNavigation(), press(page, 'Change the number of Stalls')]);
      t.equal((await adjust(available)).status, 200);
      t.equal(await headingOf(page), heading);
    }
    await page.getByRole('link', { name: 'Go to your basket' }).click();
    await page.getByText('3 × £25.00').waitFor();
    await audit(shop.service.pool);
  },
);

browserTest(
  'a discount code takes something off until it is taken away, a gift card pays, and what is neither says so',
  async (t, context) => {
    const page = await context.newPage();
    await openBasketIn(page);
    await apply(page, ' midsummer10 ');
    t.match(await main(page), '-£5.60');
    t.match(await main(page), '£59.40');
    await Promise.all([page.waitForNavigation(), press(page, 'Remove MIDSUMMER10')]);
    t.match(await main(page), '£66.00');
    await apply(page, 'roxy 2026 gift', 'Gift card');
    t.match(await main(page), '-£20.00');
    t.match(await main(page), '£46.00');
    await Promise.all([page.waitForNavigation(), press(page, 'Remove Gift card …GIFT')]);
    t.notMatch(await main(page), '£46.00');
    await apply(page, 'WINTER');
    t.equal(await headingOf(page), 'We do not know this code');
  },
);

browserTest(
  'what is sold with an access code only is locked until the customer enters the code, which then stays with it',
  async (t, context) => {
    const page = await context.newPage();
    const { id } = await openBasketIn(page);
    const add = page.getByRole('button', { name: 'Add Backstage tour' });
    const locked = 'Backstage tour £15.00 each Locked: enter your code first.';
    t.match(await main(page), locked);
    t.equal(await add.count(), 0);
    await apply(page, 'MIDSUMMER10', 'Access code');
    t.equal(await headingOf(page), 'We do not know this code');

    await page.getByRole('link', { name: 'Go to your basket' }).click();
    await apply(page, 'stagedoor', 'Access code');
    t.notMatch(await main(page), locked);
    await Promise.all([page.waitForNavigation(), add.click()]);
    t.match(await main(page), '1 × £15.00');
    t.match(await readBasket(shop, id), { totals: { due: 8400 }, accessCodes: ['STAGEDOOR'] });
    await apply(page, 'MIDSUMMER10');
    await takePicture(page, 'demo-codes');

    await Promise.all([page.waitForNavigation(), press(page, 'Remove STAGEDOOR')]);
    t.equal(await headingOf(page), 'This needs an access code');
    await page.goto(`${shop.front}/basket`);
    for (const name of ['Backstage tour', 'STAGEDOOR']) {
      await Promise.all([page.waitForNavigation(), press(page, `Remove ${name}`)]);
    }
    t.match(await main(page), locked);
    await audit(shop.service.pool);
  },
);

browserTest('money that arrives too late buys what is still to be had, and else nothing', async (t, context) => {
  const page = await context.newPage();
  for (const isGone of [false, true]) {
    const { id } = await openBasketIn(page, { items: [{ itemId: 'circle-adult', quantity: 30 }] });
    await press(page, 'Pay');
    await page.waitForURL(`${shop.front}/pay`);
    if (!isGone) await takePicture(page, 'demo-payment');
    await press(page, 'Let the money arrive too late');
    await page.waitForURL(`${shop.front}/pay/late`);
    await Promise.all([page.waitForNavigation(), press(page, 'Has it arrived?')]);
    t.equal(await headingOf(page), 'Your payment is on its way');
    t.equal((await readBasket(shop, id)).status, 'checkout');
    if (isGone) {
      await letBeSwept(shop, id);
      await shop.createBasket({ items: [{ itemId: 'circle-child', quantity: 30 }] });
    } else await letExpire(shop, id);
    await Promise.all([page.waitForNavigation(), press(page, 'Has it arrived?')]);
    t.equal(await headingOf(page), isGone ? 'The tickets are gone' : 'Thank you');
    t.match(await readBasket(shop, id), isGone ? { status: 'expired' } : { status: 'completed', late: true });
    if (!isGone) await shop.payments.request('POST', `/v1/baskets/${id}/refund`);
  }
  await audit(shop.service.pool);
});

browserTest('a basket that has run out of time can be had again, as far as anything is left', async (t, context) => {
  const page = await context.newPage();
  await putItem(shop, 'box', 2);
  const box = (quantity: number) => ({ itemId: 'box', quantity });
  const { id } = await openBasketIn(page, { items: [box(2), { itemId: 'programme', quantity: 1 }] });
  await letBeSwept(shop, id);
  await shop.createBasket({ items: [box(1)] });
  await page.goto(`${shop.front}/basket`);
  t.equal(await headingOf(page), 'Your basket has run out of time');
  await Promise.all([page.waitForNavigation(), press(page, 'Try to get the same again')]);
  t.equal(await headingOf(page), 'Not all of it is left');
  t.match(await main(page), 'box: 1 instead of 2');
  await page.getByRole('link', { name: 'Go to your basket' }).click();
  t.match(await main(page), '1 × £1.00');
  t.match(await readBasket(shop, id), { status: 'expired' });
  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  await audit(shop.service.pool);
});

for (const colorScheme of ['light', 'dark'] as const) {
  browserTest(
    `each of the shop’s pages can be read, named and fits a phone in ${colorScheme} mode`,
    async (t, context) => {
      const page = await context.newPage();
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: 320, height: 568 });
      const check = async (name: string) => {
        t.equal(await page.getByRole('heading', { level: 1 }).count(), 1, `${name}: one main heading`);
        t.equal(await page.evaluate<number>('document.documentElement.scrollWidth'), 320, `${name}: fits`);
        for (const { text, colour, ground } of await coloursOfTexts(page)) {
          t.ok(contrast(colour, ground) >= 4.5, `${name}: "${text}" is ${colour} on ${ground}`);
        }
        const unnamed = await page.evaluate<string[]>(`
        [...document.querySelectorAll('main input:not([type=hidden]), main button')]
          .filter((control) => !(control.labels?.[0]?.textContent || control.textContent).trim())
          .map((control) => control.outerHTML)`);
        t.same(unnamed, [], `${name}: every control has a name`);
        // WCAG 2.2, 2.5.8: nothing that is pressed is smaller than 24 by 24 pixels.
        const small = await page.evaluate<string[]>(`
        [...document.querySelectorAll('main button, main input:not([type=hidden]), main a')]
          .filter((control) => Math.min(control.offsetWidth, control.offsetHeight) < 24)
          .map((control) => control.outerHTML)`);
        t.same(small, [], `${name}: nothing is too small to be pressed`);
      };
      await page.clock.install();
      await openBasketIn(page);
      await check('basket');
      await apply(page, 'STAGEDOOR', 'Access code');
      await page.clock.fastForward(550_000);
      await page.getByText('Press “I need more time”').waitFor();
      await check('basket, with a code and the warning');
      await press(page, 'Pay');
      await page.waitForURL(`${shop.front}/pay`);
      await check('payment');
      await press(page, 'Let the money arrive too late');
      await page.waitForURL(`${shop.front}/pay/late`);
      await check('late payment');
      await page.goto(`${shop.front}/pay`);
      await press(page, 'Pay');
      await page.waitForURL(/thank-you/);
      await check('thank you');
      const { id } = await openBasketIn(page);
      await letExpire(shop, id);
      for (const path of ['/', '/basket', '/basket/problem?error=basket_expired', '/payment-failed', '/nothing']) {
        await page.goto(`${shop.front}${path}`);
        await check(path);
      }
    },
  );
}
