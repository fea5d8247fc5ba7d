import t from 'tap';
import { createBasket, type ShownProblem } from '../support/journey.ts';
import { browserHeaders, visit } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t);
const unvouched = await shop.withScope('baskets:write');
const registered = { customer: { id: 'cus-7', email: 'anna@b.example' } };
const confirmUrl = /^https:\/\/tickets\.roxy\.example\/basket\/confirm\?/;

async function setShop(settings: object): Promise<void> {
  const { status, text } = await shop.owner.request('PUT', '/v1/shops/roxy', { ...shopSettings, ...settings });
  if (status !== 200) throw new Error(text);
}
t.afterEach(() => setShop({}));

type Row = { what: string; settings?: object; body: object; backEnd?: typeof unvouched; page: boolean };
const rule: Row[] = [
  { what: 'would log its customer in', body: registered, page: true },
  { what: 'has no registered customer', body: { customer: { email: 'anna@b.example' } }, page: false },
  { what: 'was made by somebody who may not log in', body: registered, backEnd: unvouched, page: false },
  {
    what: 'is of a shop that never logs in by link',
    settings: { customer: { login: 'signIn' } },
    body: registered,
    page: false,
  },
  { what: 'asks for a redirect', body: { ...registered, linkMode: 'redirect' }, page: false },
  { what: 'asks for the page', body: { linkMode: 'page' }, page: true },
  {
    what: 'is of a shop that asks for redirects',
    settings: { link: { mode: 'redirect' } },
    body: registered,
    page: false,
  },
  { what: 'is of a shop that asks for the page', settings: { link: { mode: 'page' } }, body: {}, page: true },
  {
    what: 'asks for a redirect in a shop that asks for the page',
    settings: { link: { mode: 'page' } },
    body: { linkMode: 'redirect' },
    page: false,
  },
];

for (const { what, settings = {}, body, backEnd, page } of rule) {
  t.test(`a link that ${what} ${page ? 'shows the page' : 'redirects'}`, async (t) => {
    await setShop(settings);
    const { startBasketUrl } = await createBasket(shop, body, backEnd);
    const { status, headers } = await visit(startBasketUrl);
    t.equal(status, page ? 200 : 303);
    if (page) t.match(headers['content-type'], /^text\/html/);
    else t.match(headers.location, confirmUrl);
  });
}

t.test('a browser that says nothing of its request gets the page unless a redirect was asked for', async (t) => {
  const byDefault = await createBasket(shop);
  const asked = await createBasket(shop, { linkMode: 'redirect' });
  t.equal((await visit(byDefault.startBasketUrl, { accept: 'text/html' })).status, 200);
  t.equal((await visit(asked.startBasketUrl, { accept: 'text/html' })).status, 303);
});

t.test('a prefetch and a preview bot get the page, whatever was asked for', async (t) => {
  const { startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
  for (const headers of [
    { ...browserHeaders, 'sec-purpose': 'prefetch' },
    { ...browserHeaders, 'user-agent': 'Slackbot-LinkExpanding 1.0' },
  ]) {
    const { status, text } = await visit(startBasketUrl, headers);
    t.equal(status, 200);
    t.match(text, /<form method="post">/);
  }
});

t.test('the page names the account masked, and neither its address, its id nor the basket’s', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop, registered);
  const { text } = await visit(startBasketUrl);
  t.match(text, /a…@b\.example/);
  for (const secret of ['anna@b.example', 'cus-7', id]) t.notOk(text.includes(secret), secret);
});

t.test('HEAD gets the headers of the page and never a token', async (t) => {
  for (const linkMode of ['page', 'redirect']) {
    const { startBasketUrl } = await createBasket(shop, { linkMode });
    const page = await visit(startBasketUrl, { ...browserHeaders, 'sec-purpose': 'prefetch' });
    const head = await visit(startBasketUrl, browserHeaders, 'HEAD');
    t.equal(head.status, 200);
    t.equal(head.text, '');
    const comparable = ({ headers: { date, 'x-request-id': _, ...headers } }: typeof head) => headers;
    t.same(comparable(head), comparable(page), linkMode);
  }
});

t.test('the button of the page leads to the shop with a token, however the link is answered', async (t) => {
  for (const linkMode of ['page', 'redirect', null]) {
    const { startBasketUrl } = await createBasket(shop, { ...registered, linkMode });
    const pressed = await visit(startBasketUrl, { 'sec-fetch-site': 'same-origin' }, 'POST');
    t.equal(pressed.status, 303);
    t.match(pressed.headers.location, confirmUrl);
    const again = await visit(startBasketUrl, { 'sec-fetch-site': 'same-origin' }, 'POST');
    t.equal(again.status, 303, 'a double click or Back');
    t.not(again.headers.location, pressed.headers.location, 'has a token of its own');
  }
});

t.test('a POST from another site gets no token', async (t) => {
  const { startBasketUrl } = await createBasket(shop);
  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site', origin: shop.service.config.publicUrl },
    { origin: 'https://evil.example' },
    { origin: 'null' },
  ];
  for (const headers of foreign) {
    const answer = await visit(startBasketUrl, headers, 'POST');
    t.equal(answer.status, 403, JSON.stringify(headers));
    t.equal((JSON.parse(answer.text) as ShownProblem).code, 'cross_site');
    t.equal(answer.headers.location, undefined);
  }
  const own: Record<string, string>[] = [
    { 'sec-fetch-site': 'same-origin', origin: 'null' },
    { origin: shop.service.config.publicUrl },
    {},
  ];
  for (const headers of own)
    t.equal((await visit(startBasketUrl, headers, 'POST')).status, 303, JSON.stringify(headers));
});

async function passedOn(startBasketUrl: string, query: string, method: string): Promise<Record<string, string>> {
  const { headers } = await visit(`${startBasketUrl}?${query}`, method === 'GET' ? browserHeaders : {}, method);
  const { token = '', ...others } = Object.fromEntries(new URL(headers.location ?? '').searchParams);
  if (token.length < 20) throw new Error(`no token was passed: ${headers.location}`);
  return others;
}

t.test(
  'of a click’s parameters those are passed on that the shop names, and none takes the token’s place',
  async (t) => {
    const { startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
    const query =
      'utm_source=mail&utm_medium=e%26m&fbclid=x&gclid=y&msclkid=z&_gl=g&customer=eve&token=forged&utm=no&UTM_X=no';
    for (const method of ['GET', 'POST']) {
      t.same(await passedOn(startBasketUrl, query, method), {
        utm_source: 'mail',
        utm_medium: 'e&m',
        fbclid: 'x',
        gclid: 'y',
        msclkid: 'z',
        _gl: 'g',
      });
    }
    await setShop({ link: { passParams: ['ref', 'tok*'] } });
    t.same(await passedOn(startBasketUrl, `${query}&ref=1&tok_a=2`, 'GET'), { ref: '1', tok_a: '2' });
    await setShop({ link: { passParams: [] } });
    t.same(await passedOn(startBasketUrl, query, 'GET'), {});
  },
);

t.test('a line break in a parameter of the click stays a part of the address that it is passed on in', async (t) => {
  const { startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
  const answer = await visit(`${startBasketUrl}?utm_source=a%0d%0aSet-Cookie:x=1%0d%0a%0d%0a<script>`);
  t.equal(answer.status, 303);
  t.match(answer.headers.location, /utm_source=a%0D%0ASet-Cookie%3Ax%3D1%0D%0A%0D%0A%3Cscript%3E/);
  t.equal(answer.headers['set-cookie'], undefined);
});

t.test('a confirmUrl keeps the parameters that it has', async (t) => {
  const frontend = { ...shopSettings.frontend, confirmUrl: 'https://tickets.roxy.example/basket/confirm?lang=de' };
  await setShop({ frontend });
  const { startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
  t.same(await passedOn(startBasketUrl, 'utm_source=mail', 'GET'), { lang: 'de', utm_source: 'mail' });
});

t.test('every answer of a link forbids caching, indexing and framing, and redirects send no referrer', async (t) => {
  const { startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
  const cancelled = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const wrong = `${shop.service.config.publicUrl}/b/wrong`;
  const json = { accept: 'application/json' };
  const answers = {
    'the redirect': await visit(startBasketUrl),
    'the page': await visit(startBasketUrl, { ...browserHeaders, purpose: 'prefetch' }),
    HEAD: await visit(startBasketUrl, browserHeaders, 'HEAD'),
    'the button': await visit(startBasketUrl, {}, 'POST'),
    'a POST from another site': await visit(startBasketUrl, { 'sec-fetch-site': 'cross-site' }, 'POST'),
    'a refusal of a proven link': await visit(cancelled.startBasketUrl),
    'the same as a problem': await visit(cancelled.startBasketUrl, json),
    'an invalid link': await visit(wrong),
    'the same as a problem document': await visit(wrong, json),
    'a body of another type': await visit(
      startBasketUrl,
      { 'content-type': 'text/plain', 'content-length': '0' },
      'POST',
    ),
  };
  for (const [what, { status, headers }] of Object.entries(answers)) {
    t.equal(headers['cache-control'], 'no-store', what);
    t.equal(headers['x-robots-tag'], 'noindex', what);
    t.match(headers['content-security-policy'], /frame-ancestors 'none'/, what);
    t.equal(headers['referrer-policy'], status === 303 ? 'no-referrer' : 'same-origin', what);
  }
  t.match(
    answers['the page'].headers['content-security-policy'],
    /form-action 'self' https:\/\/tickets\.roxy\.example/,
  );
});
