import t from 'tap';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t, {
  settings: {
    allowedRedirectOrigins: [
      'https://good.com',
      'https://xn--pple-43d.com',
      'https://port.com:8443',
      'http://localhost:5173',
    ],
  },
});
const names = ['successRedirectUrl', 'failureRedirectUrl', 'cancelRedirectUrl'] as const;
const create = (urls: object) =>
  shop.backEnd.request<Record<(typeof names)[number], string>>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    ...urls,
  });

const refused = {
  'another host that begins alike': 'https://good.com.evil.com/',
  'the host as a path': 'https://evil.com/good.com',
  'the host as a query': 'https://evil.com/?https://good.com',
  'a host that ends alike': 'https://notgood.com/',
  'the dot as any character': 'https://goodXcom/',
  'a subdomain': 'https://www.good.com/',
  'another port': 'https://good.com:8443/',
  'the standard port of one allowed with another': 'https://port.com/',
  'the host as a user name': 'https://good.com@evil.com',
  'a user name': 'https://user@good.com/',
  'a user name and password': 'https://user:pass@good.com/',
  'an empty user name': 'https://@good.com/',
  'a backslash before the at': 'https://good.com\\@evil.com',
  'a backslash in the host': 'https://good.com\\.evil.com/',
  'backslashes for slashes': 'https:\\\\good.com/',
  'a tab in the scheme': 'ht\ttps://good.com/',
  'a newline in the scheme': 'ht\ntps://good.com/',
  'a newline in the host': 'https://good\n.com/',
  'a carriage return in the path': 'https://good.com/\rSet-Cookie:x',
  'a leading space': ' https://good.com/',
  'a trailing space': 'https://good.com/ ',
  'a space in the path': 'https://good.com/a b',
  'a control character': 'https://good.com/\u0001',
  'a delete character': 'https://good.com/\u007f',
  'a fragment': 'https://good.com/#part',
  'an empty fragment': 'https://good.com/#',
  'a trailing dot': 'https://good.com./',
  'one slash': 'https:/good.com/',
  'three slashes': 'https:///good.com/',
  'no scheme': '//good.com/',
  'no host': 'https://',
  'a path': '/done',
  'a look-alike': 'https://gооd.com/',
  'plain http': 'http://good.com/',
  'plain http in capitals': 'HTTP://good.com/',
  javascript: 'javascript:alert(1)',
  'javascript with the origin': 'javascript://good.com/%0aalert(1)',
  data: 'data:text/html,https://good.com',
  file: 'file:///etc/passwd',
  blob: 'blob:https://good.com/1',
  'view-source': 'view-source:https://good.com/',
  'another loopback port': 'http://localhost:3000/',
  'https on loopback, which is another origin': 'https://localhost:5173/',
  'loopback by another name': 'http://127.0.0.1:5173/',
  'an IPv6 address': 'https://[::1]/',
  'loopback as IPv4 in IPv6': 'https://[::ffff:127.0.0.1]/',
  'a unique local address': 'https://[fd00::1]/',
  'a link-local address with a zone': 'https://[fe80::1%25eth0]/',
  'loopback behind NAT64': 'https://[64:ff9b::7f00:1]/',
  'loopback in 6to4': 'https://[2002:7f00:1::]/',
  'the metadata service over IPv6': 'https://[fd00:ec2::254]/',
  'a private address': 'https://192.168.0.1/',
  'another private address': 'https://10.1.2.3/',
  'a third private address': 'https://172.16.0.1/',
  'a shared address': 'https://100.64.0.1/',
  'an address as one number': 'https://2130706433/',
  'an address in hexadecimal': 'https://0x7f.1/',
  'the metadata service': 'https://169.254.169.254/latest',
  'the metadata service of another cloud': 'https://100.100.100.200/',
  'the metadata service by its name': 'https://metadata.google.internal/',
  'a host with the allowed one behind an encoded slash': 'https://evil.com%2f.good.com/',
  'the allowed host with an encoded at': 'https://good.com%40evil.com/',
  'our order_id': 'https://good.com/?order_id=1',
  'our customer_id': 'https://good.com/?a=1&customer_id=2',
  'our basket_id, encoded': 'https://good.com/?basket%5Fid=2',
};

t.test(
  'a redirect URL that is not on an allowed origin, or reads two ways, is refused wherever it is given',
  async (t) => {
    const cases = Object.entries(refused).map(([what, url]) => ({ what, url, name: 'successRedirectUrl' }));
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
