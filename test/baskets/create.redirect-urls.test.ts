import t from 'tap';
import { allowedRedirectOrigins, refusedRedirectUrls } from '../support/redirect-urls.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t, { settings: { allowedRedirectOrigins } });
const names = ['successRedirectUrl', 'failureRedirectUrl', 'cancelRedirectUrl'] as const;
const create = (urls: object) =>
  shop.backEnd.request<Record<(typeof names)[number], string>>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    ...urls,
  });

t.test(
  'a redirect URL that is not on an allowed origin, or reads two ways, is refused wherever it is given',
  async (t) => {
    const cases = Object.entries(refusedRedirectUrls).map(([what, url]) => ({ what, url, name: 'successRedirectUrl' }));
    const elsewhere = names.map((name) => ({ what: 'another host', url: 'https://evil.com/', name }));
    for (const { what, url, name } of [...cases, ...elsewhere]) {
      const expected = { status: 422, code: 'redirect_not_allowed' } as const;
      const answer = await assertRefused(t, shop, `${name}: ${what}`, expected, () => create({ [name]: url }));
      t.match(answer.body, { errors: [{ pointer: `/${name}` }] });
    }
  },
);

t.test('a redirect URL is kept as WHATWG writes it', async (t) => {
  const accepted = {
    'https://good.com': 'https://good.com/',
    'HTTPS://GOOD.com:443/Done?From=Us': 'https://good.com/Done?From=Us',
    'https://ⓖood.com/': 'https://good.com/',
    'https://good。com/': 'https://good.com/',
    'https://g%6Fod.com/': 'https://good.com/',
    'https://good.com/app/../../admin': 'https://good.com/admin',
    'https://good.com/%2e%2e/%2e%2e/x': 'https://good.com/x',
    'https://good.com/%0d%0aSet-Cookie:x': 'https://good.com/%0d%0aSet-Cookie:x',
    'https://good.com/?x=%0d%0aSet-Cookie:x': 'https://good.com/?x=%0d%0aSet-Cookie:x',
    'https://good.com/ü?q=ä&order=1': 'https://good.com/%C3%BC?q=%C3%A4&order=1',
    'https://аpple.com/done': 'https://xn--pple-43d.com/done',
    'https://port.com:8443/a@b': 'https://port.com:8443/a@b',
    'http://localhost:5173/back': 'http://localhost:5173/back',
  };
  for (const [sent, kept] of Object.entries(accepted)) {
    const { status, body, text } = await create(Object.fromEntries(names.map((name) => [name, sent])));
    t.equal(status, 201, `${sent}: ${text}`);
    for (const name of names) t.equal(body[name], kept, `${name} ${sent}`);
  }
});

t.test('a redirect URL has 2,048 characters at most, as it is sent and as it is kept', async (t) => {
  const origin = 'https://good.com/';
  const longest = origin + 'a'.repeat(2048 - origin.length);
  t.equal((await create({ successRedirectUrl: longest })).body.successRedirectUrl, longest);
  await assertRefused(t, shop, 'one more', { status: 400, code: 'invalid_request' }, () =>
    create({ successRedirectUrl: `${longest}a` }),
  );
  await assertRefused(t, shop, 'longer once encoded', { status: 422, code: 'redirect_not_allowed' }, () =>
    create({ successRedirectUrl: origin + 'ü'.repeat(1000) }),
  );
});

t.test('an origin that is taken off the list takes no new baskets', async (t) => {
  const url = { cancelRedirectUrl: 'https://good.com/' };
  t.equal((await create(url)).status, 201);
  await shop.owner.request('PATCH', '/v1/shops/roxy', { allowedRedirectOrigins: ['https://port.com:8443'] });
  await assertRefused(t, shop, 'taken off', { status: 422, code: 'redirect_not_allowed' }, () => create(url));
});
