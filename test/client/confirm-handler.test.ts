import t, { type Test } from 'tap';
import { createBasketlinkClient } from '../../src/client/index.ts';
import { type ConfirmOptions, confirmHandler } from '../../src/client/shop.ts';
import { createBasket, pressLink, readBasket } from '../support/journey.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t);
const { confirmUrl, basketUrl, errorUrl } = shopSettings.frontend;
const token = await mintToken({ shop: shop.shopId, scope: 'confirmations:redeem' });
const client = createBasketlinkClient({ baseUrl: shop.service.url, token });
const customer = { id: 'cus-7', email: 'anna@customer.example' };

/** A front end with this handler, and who was logged in by it. */
function openFrontEnd(options: Partial<ConfirmOptions> = {}) {
  const loggedIn: (string | null)[] = [];
  const confirm = confirmHandler({
    client,
    visitorOf: () => ({ customerId: null }),
    logIn: (confirmation) => {
      loggedIn.push(confirmation.customer.login === 'auto' ? confirmation.customer.id : null);
      return [
        ['set-cookie', `session=${confirmation.basket.id}`],
        ['set-cookie', 'welcome=back'],
      ];
    },
    ...options,
  });
  return {
    loggedIn,
    confirm: (token: string, init: RequestInit = {}) => confirm(new Request(`${confirmUrl}?token=${token}`, init)),
  };
}

/** No answer of the handler may leave the token behind. */
function isPrivate(t: Test, answer: Response) {
  t.equal(answer.headers.get('referrer-policy'), 'no-referrer');
  t.equal(answer.headers.get('cache-control'), 'no-store');
}

t.test('who has clicked is logged in and sent to the basket page, without the token in its address', async (t) => {
  const front = openFrontEnd();
  const { id, startBasketUrl } = await createBasket(shop, { customer });
  const answer = await front.confirm(await pressLink(startBasketUrl));
  t.equal(answer.status, 303);
  t.equal(answer.headers.get('location'), basketUrl);
  t.same(answer.headers.getSetCookie(), [`session=${id}`, 'welcome=back']);
  t.same(front.loggedIn, ['cus-7']);
  isPrivate(t, answer);
  t.match(await readBasket(shop, id), { status: 'activated' });
});

t.test('a token logs in once: the second time its bearer goes to the problem page of the shop', async (t) => {
  const front = openFrontEnd();
  const { id, startBasketUrl } = await createBasket(shop, { customer });
  const clicked = await pressLink(startBasketUrl);
  await front.confirm(clicked);
  const again = await front.confirm(clicked);
  t.equal(again.status, 303);
  t.equal(again.headers.get('location'), `${errorUrl}?error=confirmation_used&basket_id=${id}`);
  t.same(again.headers.getSetCookie(), []);
  t.equal(front.loggedIn.length, 1);
  isPrivate(t, again);
});

t.test('neither HEAD nor POST nor a prefetch uses the token up', async (t) => {
  const front = openFrontEnd();
  const { startBasketUrl } = await createBasket(shop, { customer });
  const clicked = await pressLink(startBasketUrl);
  for (const method of ['HEAD', 'POST']) {
    const answer = await front.confirm(clicked, { method });
    t.equal(answer.status, 405, method);
    isPrivate(t, answer);
  }
  for (const name of ['sec-purpose', 'purpose']) {
    const answer = await front.confirm(clicked, { headers: { [name]: 'prefetch;prerender' } });
    t.equal(answer.status, 503, name);
    isPrivate(t, answer);
  }
  t.same(front.loggedIn, []);
  t.equal((await front.confirm(clicked)).headers.get('location'), basketUrl);
});

t.test('a basket of somebody else than is signed in logs nobody in', async (t) => {
  const front = openFrontEnd({ visitorOf: () => ({ customerId: 'cus-8' }) });
  const { id, startBasketUrl } = await createBasket(shop, { customer });
  const answer = await front.confirm(await pressLink(startBasketUrl));
  t.equal(answer.headers.get('location'), `${errorUrl}?error=customer_mismatch&basket_id=${id}`);
  t.same(front.loggedIn, []);
});

t.test('a refusal without a page to go to is the shop’s to answer, or a text with a hint', async (t) => {
  const plain = await openFrontEnd().confirm('');
  t.equal(plain.status, 400);
  t.match(await plain.text(), /Open the link in your message once more, or ask for a new one\./);
  isPrivate(t, plain);

  const unreachable = createBasketlinkClient({ baseUrl: 'http://127.0.0.1:1', token, tries: 1 });
  const later = await openFrontEnd({ client: unreachable }).confirm('nonsense');
  t.equal(later.status, 503);
  t.match(await later.text(), /a little later.*unreachable/s);
  const unfit = createBasketlinkClient({ baseUrl: shop.service.url, token: 'nobody' });
  t.equal((await openFrontEnd({ client: unfit }).confirm('nonsense')).status, 503, 'it is not the customer’s fault');

  const own = openFrontEnd({ refused: ({ code }) => new Response(`Our page about ${code}`, { status: 400 }) });
  const page = await own.confirm('');
  t.match(await page.text(), /^Our page about [a-z_]+$/);
  isPrivate(t, page);
});
