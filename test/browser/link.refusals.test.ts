import t from 'tap';
import { browserTests, headingOf, openDemoShop, press, takePicture } from '../support/browser.ts';
import { letExpire, readBasket } from '../support/journey.ts';

const browserTest = browserTests(t);

browserTest('a link whose time is over leads to the shop’s problem page, which says so', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect', ttlSeconds: 10 });
  await letExpire(shop, basket.id);
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  t.equal(page.url(), `${shop.front}/basket/problem?error=basket_expired&basket_id=${basket.id}`);
  t.equal(await headingOf(page), 'Your basket has run out of time');
});

browserTest('the link of another customer is refused and leaves whoever is signed in alone', async (t, context) => {
  const shop = await openDemoShop(t);
  const own = await shop.createBasket({ linkMode: 'redirect' });
  const foreign = await shop.createBasket({ linkMode: 'redirect', customer: { id: 'cus-8' } });
  const page = await context.newPage();

  await page.goto(own.startBasketUrl);
  await page.goto(foreign.startBasketUrl);
  t.equal(page.url(), `${shop.front}/basket/problem?error=customer_mismatch&basket_id=${foreign.id}`);
  t.equal(await headingOf(page), 'This basket is for another customer');
  t.match(await page.getByRole('banner').textContent(), 'Signed in as cus-7');
  t.equal((await readBasket(shop, foreign.id)).status, 'open');

  await page.goto(`${shop.front}/basket`);
  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  t.equal((await readBasket(shop, own.id)).status, 'checkout', 'the session of the own basket still works');
});

browserTest('a link is refused at the box office, and works for the customer afterwards', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const page = await context.newPage();

  await page.goto(shop.front);
  await press(page, 'Work at the box office');
  await page.getByRole('button', { name: 'Leave the box office' }).waitFor();
  await page.goto(basket.startBasketUrl);
  t.equal(page.url(), `${shop.front}/basket/problem?error=customer_context_only&basket_id=${basket.id}`);
  t.equal(await headingOf(page), 'Not at the box office');
  t.equal((await readBasket(shop, basket.id)).status, 'open');

  await page.goto(shop.front);
  await press(page, 'Leave the box office');
  await page.getByRole('button', { name: 'Work at the box office' }).waitFor();
  await page.goto(basket.startBasketUrl);
  t.equal(page.url(), `${shop.front}/basket`);
  t.equal((await readBasket(shop, basket.id)).status, 'activated');
});

browserTest('the link to a cancelled event leads to the shop’s problem page, which says so', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const cancelled = await shop.owner.request('POST', '/v1/events/midsummer/cancel');
  t.equal(cancelled.status, 200, cancelled.text);
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  t.equal(page.url(), `${shop.front}/basket/problem?error=event_cancelled&basket_id=${basket.id}`);
  t.equal(await headingOf(page), 'This event is cancelled');
});

browserTest(
  'the link of a sold-out show says so kindly in the customer’s language, and leads into the shop when there is one again',
  async (t, context) => {
    const shop = await openDemoShop(t);
    const adjust = (delta: number) =>
      shop.owner.request('POST', '/v1/items/stalls/adjustments', { delta, reason: 'the test' });
    t.equal((await adjust(-100)).status, 200);
    const page = await context.newPage();
    const mail = (locale: string) =>
      shop.createBasket({ items: [{ itemId: 'stalls', quantity: 1 }], reserve: 'activation', locale });
    for (const [locale, words] of [
      ['de', /^Leider ist im Moment nicht alles davon verfügbar/],
      ['fr', /^Désolé, tout n’est pas disponible/],
      ['nl', /^Helaas is op dit moment niet alles beschikbaar/],
      ['es', /^Lo sentimos, ahora mismo no está todo disponible/],
      ['en-GB', /^Sorry, not all of this is available/],
    ] as const) {
      const { startBasketUrl } = await mail(locale);
      t.equal((await page.goto(startBasketUrl))?.status(), 200, locale);
      t.equal(await page.locator('html').getAttribute('lang'), locale);
      t.match(await page.getByRole('paragraph').first().textContent(), words);
      t.equal(await page.getByRole('button').count(), 0, 'there is nothing to press');
    }
    await takePicture(page, 'sold-out-page');

    t.equal((await adjust(1)).status, 200);
    await page.reload();
    await press(page, 'Continue to Roxy');
    await page.waitForURL(`${shop.front}/basket`);
    t.match(await shop.availability('stalls'), { held: 1, available: 0 });
  },
);

browserTest('a link that was changed on its way proves nothing and ends on a page of our own', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const page = await context.newPage();

  const changed = basket.startBasketUrl.replace(/.(?=.{9}$)/, (character) => (character === 'A' ? 'B' : 'A'));
  const response = await page.goto(changed);
  t.equal(response?.status(), 403);
  t.equal(page.url(), changed);
  t.equal(await headingOf(page), 'This link does not work');
  t.notMatch(await page.content(), shop.front, 'nor does it tell where the shop is');
  t.equal((await readBasket(shop, basket.id)).status, 'open');
  await takePicture(page, 'problem-page');
});
