import t from 'tap';
import { browserTests, headingOf, openDemoShop, openElsewhere, press, takePicture } from '../support/browser.ts';
import { readBasket } from '../support/journey.ts';
import { until } from '../support/until.ts';

const browserTest = browserTests(t);
const button = 'Continue to Roxy';

browserTest('a link on another site and the button behind it can be followed by keyboard alone', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket();
  const mail = await openElsewhere(t, `<p><a href="${basket.startBasketUrl}?utm_source=mail">Your tickets</a></p>`);
  const complaints: string[] = [];
  context.on('console', (message) => complaints.push(message.text()));
  const page = await context.newPage();

  await page.goto(mail);
  await page.keyboard.press('Tab');
  const [opened] = await Promise.all([page.waitForRequest(/\/b\//), page.keyboard.press('Enter')]);
  t.equal(await opened.headerValue('sec-fetch-site'), 'cross-site', 'the browser sees two sites');
  t.equal(await headingOf(page), 'Your basket at Roxy');
  t.match(await page.getByRole('main').textContent(), 'You will continue as a…@customer.example.');
  t.equal((await readBasket(shop, basket.id)).status, 'open', 'looking at it changes nothing');
  await takePicture(page, 'continue-page');

  await page.keyboard.press('Tab');
  const [pressed] = await Promise.all([
    page.waitForRequest((request) => request.method() === 'POST'),
    page.keyboard.press('Enter'),
  ]);
  await page.waitForURL(`${shop.front}/basket`);
  t.equal(await pressed.headerValue('origin'), new URL(basket.startBasketUrl).origin);
  t.equal(await headingOf(page), 'Your basket');
  t.match(await page.getByRole('banner').textContent(), 'Signed in as cus-7');
  t.equal((await readBasket(shop, basket.id)).status, 'activated');
  t.same(complaints, [], 'the browser found nothing to complain of');
});

// Chromium holds every redirect that follows the button to the page's form-action.
for (const [name, path] of Object.entries({ confirmUrl: '/basket/confirm', basketUrl: '/basket' })) {
  browserTest(`the button leads to the basket also where the ${name} has an origin of its own`, async (t, context) => {
    const shop = await openDemoShop(t);
    const moved = `${shop.front.replace('localhost', '127.0.0.1')}${path}`;
    t.equal((await shop.changeFrontend({ [name]: moved })).status, 200);
    const { startBasketUrl } = await shop.createBasket();
    const page = await context.newPage();

    await page.goto(startBasketUrl);
    await press(page, button);
    const basketUrl = name === 'basketUrl' ? moved : `${shop.front}/basket`;
    await page.waitForURL(basketUrl);
    t.equal(await headingOf(page), 'Your basket');
  });
}

browserTest(
  'a button that is pressed too late leads to the problem page, on its own origin too',
  async (t, context) => {
    const shop = await openDemoShop(t);
    const errorUrl = `${shop.front.replace('localhost', '127.0.0.1')}/basket/problem`;
    t.equal((await shop.changeFrontend({ errorUrl })).status, 200);
    const basket = await shop.createBasket();
    const page = await context.newPage();

    await page.goto(basket.startBasketUrl);
    t.equal((await shop.backEnd.request('POST', `/v1/baskets/${basket.id}/cancel`)).status, 200);
    await press(page, button);
    await page.waitForURL(`${errorUrl}?error=basket_cancelled&basket_id=${basket.id}`);
    t.equal(await headingOf(page), 'This basket was cancelled');
  },
);

for (const linkMode of ['page', 'redirect']) {
  browserTest(`a link in ${linkMode} mode shows nothing in a frame of another site`, async (t, context) => {
    const shop = await openDemoShop(t);
    const basket = await shop.createBasket({ linkMode });
    const elsewhere = await openElsewhere(t, `<iframe src="${basket.startBasketUrl}"></iframe>`);
    const page = await context.newPage();

    const [complaint] = await Promise.all([page.waitForEvent('console'), page.goto(elsewhere)]);
    t.match(complaint.text(), 'frame-ancestors');
    t.equal(await page.frameLocator('iframe').getByRole('button').count(), 0);
    t.equal((await readBasket(shop, basket.id)).status, 'open');
  });
}

browserTest('a form of another site cannot press the button', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket();
  const form = `<form method="post" action="${basket.startBasketUrl}"><button>Win a prize</button></form>`;
  const elsewhere = await openElsewhere(t, form);
  const page = await context.newPage();

  await page.goto(elsewhere);
  await press(page, 'Win a prize');
  await page.waitForURL(basket.startBasketUrl);
  t.equal(await headingOf(page), 'Something went wrong');
  t.equal((await readBasket(shop, basket.id)).status, 'open');
});

browserTest('a double click on the button activates the basket once', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket();
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  await page.getByRole('button', { name: button }).dblclick();
  // The second click may break off the navigation of the first, which Playwright's own wait takes for a failure.
  await until('the basket page is there', 15_000, async () => page.url() === `${shop.front}/basket`);
  t.equal(await headingOf(page), 'Your basket');
  t.equal(await shop.activationsOf(basket.id), 1);
});

browserTest('Back and the button again lead to the same basket, activated once', async (t, context) => {
  const shop = await openDemoShop(t);
  const basket = await shop.createBasket();
  const page = await context.newPage();

  await page.goto(basket.startBasketUrl);
  await press(page, button);
  await page.waitForURL(`${shop.front}/basket`);
  // A page out of the back-forward cache is there at once and never loads.
  await page.goBack({ waitUntil: 'commit' });
  await press(page, button);
  await page.waitForURL(`${shop.front}/basket`);
  t.equal(await shop.activationsOf(basket.id), 1);

  await press(page, 'Pay');
  await page.waitForURL(`${shop.front}/pay`);
  t.equal((await readBasket(shop, basket.id)).status, 'checkout', 'the session of the second press works');
});

browserTest(
  'the address of a confirmation works once: its browser keeps the basket, another gets none',
  async (t, context) => {
    const shop = await openDemoShop(t);
    const basket = await shop.createBasket();
    const page = await context.newPage();

    await page.goto(basket.startBasketUrl);
    const [confirmation] = await Promise.all([page.waitForRequest(/\/basket\/confirm\?token=/), press(page, button)]);
    await page.waitForURL(`${shop.front}/basket`);

    await page.goto(confirmation.url());
    t.equal(page.url(), `${shop.front}/basket`);
    t.equal(await headingOf(page), 'Your basket');

    // Without its cookie this is another browser.
    await context.clearCookies();
    await page.goto(confirmation.url());
    t.equal(page.url(), `${shop.front}/basket/problem?error=confirmation_used&basket_id=${basket.id}`);
    t.equal(await shop.activationsOf(basket.id), 1);
  },
);
