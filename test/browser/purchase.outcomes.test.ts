import t from 'tap';
import { audit } from '../support/audit.ts';
import { browserTests, headingOf, openDemoShop, press } from '../support/browser.ts';
import { readBasket } from '../support/journey.ts';

const browserTest = browserTests(t);

browserTest('a click on the link and a payment turn the held basket into one order', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  t.equal(page.url(), `${shop.front}/basket`);
  t.equal(await headingOf(page), 'Your basket');
  const shown = await page.getByRole('main').textContent();
  for (const text of ['Held for you until', 'Stalls', '2 × £25.00', 'Programme', '£66.00']) t.match(shown, text);
  t.match(await page.getByRole('banner').textContent(), 'Signed in as cus-7');
  t.same(await shop.availability('stalls'), { capacity: 100, held: 2, sold: 0, available: 98 });

  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  t.equal((await readBasket(shop, basket.id)).status, 'checkout');
  t.match(await page.getByRole('main').textContent(), '£66.00');

  await press(page, 'Pay');
  await page.waitForURL(/\/thank-you/);
  const [orderId = '', ...others] = await shop.ordersOf(basket.id);
  t.same(others, [], 'one order in Postgres');
  t.equal(page.url(), `${shop.front}/thank-you?order_id=${orderId}&customer_id=cus-7`);
  t.match(await page.getByRole('main').textContent(), orderId);
  t.same(await shop.availability('stalls'), { capacity: 100, held: 0, sold: 2, available: 98 });
});

browserTest('a payment that fails leaves the basket to be paid again', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  await press(page, 'Pay');
  await press(page, 'Let the payment fail');
  await page.waitForURL(`${shop.front}/payment-failed?basket_id=${basket.id}&customer_id=cus-7`);
  t.equal(await headingOf(page), 'The payment did not go through');
  t.same(await shop.ordersOf(basket.id), []);
  t.same(await shop.availability('stalls'), { capacity: 100, held: 2, sold: 0, available: 98 });

  await page.getByRole('link', { name: 'Go to your basket' }).click();
  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  await press(page, 'Pay');
  await page.waitForURL(/\/thank-you/);
  const [orderId, ...others] = await shop.ordersOf(basket.id);
  t.same(others, [], 'one order in Postgres');
  t.equal(new URL(page.url()).searchParams.get('order_id'), orderId);
  t.same(await shop.availability('stalls'), { capacity: 100, held: 0, sold: 2, available: 98 });
});

browserTest('the way back from the payment gives the basket back with the time that it had', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  const before = await readBasket(shop, basket.id);
  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  t.not((await readBasket(shop, basket.id)).expiresAt, before.expiresAt, 'paying has a time of its own');

  await press(page, 'Back to the basket');
  await page.waitForURL(`${shop.front}/basket`);
  t.ok(await page.getByRole('button', { name: 'Pay', exact: true }).isVisible());
  const { status, expiresAt } = await readBasket(shop, basket.id);
  t.same({ status, expiresAt }, { status: 'activated', expiresAt: before.expiresAt });
});

browserTest('Pay pressed twice, and again after Back, makes one order and ends on its page', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket({ linkMode: 'redirect' });
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  await page.getByRole('button', { name: 'Pay', exact: true }).dblclick();
  await page.waitForURL(/\/thank-you/);
  const thankYou = page.url();
  // A page out of the back-forward cache is there at once and never loads.
  await page.goBack({ waitUntil: 'commit' });
  await press(page, 'Pay');
  await page.waitForURL(thankYou);
  t.equal(await headingOf(page), 'Thank you');
  t.same(await shop.ordersOf(basket.id), [new URL(thankYou).searchParams.get('order_id')]);
  await audit(shop.service.pool);
});

browserTest(
  'leaving without buying takes the basket out of this browser and lets the hold run out',
  async (t, context) => {
    const shop = await openDemoShop(t);
    const cancelRedirectUrl = `${shop.front}/?left=1`;
    const basket = await shop.createBasket({ linkMode: 'redirect', cancelRedirectUrl });
    const page = await context.newPage();

    await page.goto(basket.startBasketUrl);
    const before = await readBasket(shop, basket.id);
    await press(page, 'Leave without buying');
    await page.waitForURL(cancelRedirectUrl);
    await page.goto(`${shop.front}/basket`);
    t.match(await page.getByRole('main').textContent(), 'There is nothing in it yet.');
    const { status, expiresAt } = await readBasket(shop, basket.id);
    t.same({ status, expiresAt }, { status: 'activated', expiresAt: before.expiresAt });
    t.same(await shop.availability('stalls'), { capacity: 100, held: 2, sold: 0, available: 98 });
  },
);
