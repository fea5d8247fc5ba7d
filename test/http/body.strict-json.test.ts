import t from 'tap';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];
const minimal = JSON.stringify({ items });
/** The body of a creation with this text as its `custom`: most of these no JSON library would write. */
const withCustom = (text: string) => `{"items":${JSON.stringify(items)},"custom":${text}}`;
const withQuantity = (text: string) => `{"items":[{"itemId":"stalls","quantity":${text}}]}`;
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

const shop = await openShop(t);

t.test('a body is JSON in UTF-8, unencoded and named as such, or it is not read', async (t) => {
  const create = (headers: Record<string, string>) => shop.backEnd.request('POST', '/v1/baskets', minimal, headers);
  const read = [
    { 'content-type': 'application/json' },
    { 'content-type': 'application/json; charset=utf-8' },
    { 'content-type': 'application/json;charset="UTF-8"' },
    { 'content-type': 'Application/JSON' },
    { 'content-encoding': 'identity' },
  ];
  for (const headers of read) t.equal((await create(headers)).status, 201, JSON.stringify(headers));
  const unread = [
    { 'content-type': 'text/plain' },
    { 'content-type': 'text/plain; application/json' },
    { 'content-type': 'application/json garbage' },
    { 'content-type': 'application/json, text/plain' },
    { 'content-type': 'application/jsonx' },
    { 'content-type': 'application/problem+json' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': '' },
    { 'content-type': 'application/json; charset=utf-16' },
    { 'content-type': 'application/json; charset=latin1' },
    { 'content-encoding': 'gzip' },
    { 'content-encoding': 'GZIP' },
    { 'content-encoding': 'identity, gzip' },
  ];
  for (const headers of unread) {
    const expected = { status: 415, code: 'unsupported_media_type' } as const;
    await assertRefused(t, shop, JSON.stringify(headers), expected, () => create(headers));
  }
});

t.test('what is not valid JSON, or would not be what it seems, is a 400', async (t) => {
  const cases: Record<'invalid_json' | 'invalid_request', Record<string, string>> = {
    invalid_json: {
      'an end too early': '{',
      'nothing but spaces': '  ',
      'two documents': `${minimal}${minimal}`,
      'a trailing comma': '{"items":[],}',
      'a comment': '{/**/}',
      'a number with a sign': withQuantity('+1'),
      'a number with a leading zero': withQuantity('01'),
      'a hexadecimal number': withQuantity('0x1'),
      NaN: withQuantity('NaN'),
      Infinity: withQuantity('Infinity'),
      'a bare control character': withCustom('{"x":"a\nb"}'),
      __proto__: withCustom('{"__proto__":{"admin":true}}'),
      'a null __proto__': withCustom('{"__proto__":null}'),
      '__proto__ deep inside': withCustom('{"a":[{"b":{"__proto__":1}}]}'),
      '__proto__ in escapes': withCustom('{"\\u005f\\u005fproto\\u005f\\u005f":1}'),
      '__proto__ at the top': `{"__proto__":1,"items":${JSON.stringify(items)}}`,
      'constructor.prototype': withCustom('{"constructor":{"prototype":{"admin":true}}}'),
      'constructor.prototype deep inside': withCustom('{"a":[{"constructor":{"x":1,"prototype":null}}]}'),
    },
    invalid_request: {
      null: 'null',
      'an array': '[]',
      'nothing but 30,000 nested arrays': nested(30_000),
      'a text': '"items"',
      'an empty body': '',
      'a key’s value that no double holds': withCustom('{"x":1e400}'),
      'the same below zero': withCustom('{"x":-1e400}'),
      'an exponent of six digits': withCustom('{"x":1e200000}'),
      'an integer that a double rounds': withCustom('{"x":9007199254740993}'),
      'half a surrogate pair': withCustom('{"x":"a\\ud800"}'),
      'the other half': withCustom('{"x":"\\udc00a"}'),
      'the halves the wrong way round': withCustom('{"x":"\\udc00\\ud800"}'),
      'half a surrogate pair as a key': withCustom('{"\\ud800":1}'),
      NUL: withCustom('{"x":"a\\u0000b"}'),
      'NUL in a key': withCustom('{"a\\u0000":1}'),
      '30,000 nested arrays': withCustom(`{"x":${nested(30_000)}}`),
      'nesting beyond 8 levels in custom': withCustom(`{"x":${nested(8)}}`),
      'a custom of more than 16 KiB': withCustom(JSON.stringify({ x: 'a'.repeat(16 * 1024) })),
      'a custom that is an array': withCustom('[]'),
      'a custom that is null': withCustom('null'),
      ...Object.fromEntries(
        [
          'null',
          '"2"',
          '""',
          'true',
          '[3]',
          '"0x10"',
          '1e400',
          '1.5',
          '0',
          '-1',
          '10001',
          '2147483648',
          '9007199254740993',
        ].map((text) => [`a quantity of ${text}`, withQuantity(text)]),
      ),
      ...Object.fromEntries(
        ['status', 'id', 'shopId', 'partner', 'expiresAt', 'totals', 'version'].map((name) => [
          `${name}, which is ours to say`,
          JSON.stringify({ items, [name]: 'x' }),
        ]),
      ),
    },
  };
  for (const code of ['invalid_json', 'invalid_request'] as const) {
    for (const [what, body] of Object.entries(cases[code])) {
      const startedMs = performance.now();
      await assertRefused(t, shop, what, { status: 400, code }, () =>
        shop.backEnd.request('POST', '/v1/baskets', body),
      );
      t.ok(performance.now() - startedMs < 1000, `${what} costs no second`);
    }
  }
  for (const [what, body] of Object.entries({
    '500,000 nested arrays in a bulk': `{"items":${nested(500_000)}}`,
    '500,000 numbers in a bulk': `{"items":[${'1,'.repeat(500_000)}1]}`,
    '80,000 keys in a bulk': `{${Array.from({ length: 80_000 }, (_, at) => `"k${at}":1`).join()}}`,
  })) {
    const startedMs = performance.now();
    await assertRefused(t, shop, what, { status: 400, code: 'invalid_request' }, () =>
      shop.owner.request('PUT', '/v1/items', body),
    );
    t.ok(performance.now() - startedMs < 5000, `${what} is answered in time`);
  }
  const authorization = `Bearer ${await mintToken({ shop: 'roxy', scope: 'baskets:write' })}`;
  const bytes = Buffer.from(withCustom('{"x":"\xff"}'), 'latin1');
  await assertRefused(t, shop, 'not UTF-8', { status: 400, code: 'invalid_json' }, async () => {
    const response = await fetch(`${shop.service.url}/v1/baskets`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: bytes,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: JSON.parse(text), text };
  });
});

t.test('odd keys and texts in custom are data, and come back as they were sent', async (t) => {
  const texts = {
    'names of what every object has':
      '{"toString":1,"hasOwnProperty":null,"valueOf":{},"then":"x","toJSON":"y","":2,"length":3}',
    'constructor and prototype apart': '{"constructor":null,"prototype":1}',
    'a constructor without a prototype': '{"constructor":{"name":"x"}}',
    'keys beyond letters': '{"a\\nb":1,"a b":2,"ключ":3,"😀":4,"\\u2028":5,"$ref":"#/x"}',
    'markup and templates': '{"x":["\\u202e<script>{{7*7}}\\u0024{jndi:x}=cmd()"]}',
    numbers: '{"x":[0.1,-0.5,1e-7,9007199254740991,-0.0001]}',
    'eight levels': `{"x":${nested(7)}}`,
  };
  for (const [what, text] of Object.entries(texts)) {
    const created = await shop.backEnd.request<{ id: string; custom: unknown; items: { custom: unknown }[] }>(
      'POST',
      '/v1/baskets',
      `{"items":[{"itemId":"stalls","quantity":1,"custom":${text}}],"custom":${text}}`,
    );
    t.equal(created.status, 201, what);
    const { body } = await shop.backEnd.request<typeof created.body>('GET', `/v1/baskets/${created.body.id}`);
    for (const custom of [created.body.custom, body.custom, body.items[0]?.custom]) {
      t.ok(JSON.stringify(custom) === JSON.stringify(JSON.parse(text)), what);
    }
  }
});

t.test('of a key that stands twice the last value counts, in the basket and in the replay alike', async (t) => {
  const create = (quantities: string) =>
    shop.backEnd.request<{ code?: string; items: { quantity: number }[] }>(
      'POST',
      '/v1/baskets',
      `{"items":[{"itemId":"stalls",${quantities}}]}`,
      { 'idempotency-key': 'twice' },
    );
  const first = await create('"quantity":1,"quantity":3');
  t.match(first, { status: 201, body: { items: [{ quantity: 3 }] } });
  t.match(first.body, { totals: { subtotal: 7500 } });
  const again = await create('"quantity":3');
  t.equal(again.text, first.text);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  t.match(await create('"quantity":3,"quantity":1'), { status: 422, body: { code: 'idempotency_key_reused' } });
});

t.test('a byte order mark before the JSON is skipped', async (t) => {
  t.equal((await shop.backEnd.request('POST', '/v1/baskets', `\uFEFF${minimal}`)).status, 201);
});

t.test('a POST that needs no body takes none, an empty one and {}, and nothing else', async (t) => {
  const cancel = async (body: unknown, headers: Record<string, string> = {}) => {
    const { body: basket } = await shop.backEnd.request<{ id: string }>('POST', '/v1/baskets', minimal);
    return shop.backEnd.request('POST', `/v1/baskets/${basket.id}/cancel`, body, headers);
  };
  t.equal((await cancel(undefined)).status, 200, 'none');
  t.equal((await cancel('')).status, 200, 'an empty one, said to be JSON');
  t.equal((await cancel({})).status, 200, '{}');
  for (const body of ['null', '[]', '{"reason":"x"}', '0']) t.equal((await cancel(body)).status, 400, body);
  t.equal((await cancel('reason=x', { 'content-type': 'application/x-www-form-urlencoded' })).status, 415);
});
