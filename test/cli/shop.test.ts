import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { shop as command } from '../../src/cli/shop.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const { service, withScope } = await openShop(t);
const platform = await withScope('platform');
const environment = { DATABASE_URL: service.config.databaseUrl };

async function call(...args: string[]) {
  const lines: string[] = [];
  const code = await command.run(args, environment, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}
const { frontend } = shopSettings;
const complete = [
  ...['--name', 'Lyric', '--currency', 'EUR', '--locale', 'de-AT', '--support-url', 'https://lyric.example/help'],
  ...['--confirm-url', frontend.confirmUrl, '--basket-url', frontend.basketUrl, '--error-url', frontend.errorUrl],
  ...['--redirect-origin', 'https://lyric.example', '--redirect-origin', 'https://partner.example'],
];
const read = async (shopId: string) => (await platform.request<object>('GET', `/v1/shops/${shopId}`)).body;

t.test('a shop made of options is what PUT makes of the same settings, and is shown as GET does', async (t) => {
  const created = await call('create', 'lyric', ...complete);
  t.equal(created.code, 0);
  t.same(JSON.parse(created.text), await read('lyric'));
  const body = {
    ...{ name: 'Lyric', currency: 'EUR', locale: 'de-AT', supportUrl: 'https://lyric.example/help', frontend },
    allowedRedirectOrigins: ['https://lyric.example', 'https://partner.example'],
  };
  const put = await platform.request<object>('PUT', '/v1/shops/other', body);
  const own = { shopId: '', publicToken: '', createdAt: '', updatedAt: '' };
  t.same({ ...(await read('lyric')), ...own }, { ...put.body, ...own });
  t.same(await call('show', 'lyric'), { code: 0, text: created.text });
});

t.test('a file has the settings, and options the last word', async (t) => {
  const file = join(t.testdir(), 'settings.json');
  writeFileSync(file, JSON.stringify({ ...shopSettings, basket: { ttlSeconds: 60 } }));
  t.equal((await call('create', 'from-file', '--file', file, '--name', 'Said')).code, 0);
  t.match(await read('from-file'), {
    name: 'Said',
    currency: 'GBP',
    basket: { ttlSeconds: 60, maxLifetimeSeconds: 180 },
  });
  writeFileSync(file, '{');
  await t.rejects(call('create', 'x', '--file', file), { message: /--file .* is no JSON that can be read/ });
});

t.test('what PUT would refuse is refused in the same words, and nothing is created', async (t) => {
  const wrong: [string[], RegExp][] = [
    [complete.slice(2), /^No shop was created\. invalid_request: \/name is required\.$/],
    [[...complete, '--currency', 'XXQ'], /unknown_currency: /],
    [
      [...complete, '--confirm-url', 'http://lyric.example', '--locale', 'no_such_tag!'],
      /invalid_settings: .*\n[\s\S]*\/frontend\/confirmUrl must be/,
    ],
  ];
  for (const [args, shown] of wrong) t.match(await call('create', 'refused', ...args), { code: 1, text: shown });
  t.match(await call('show', 'refused'), { code: 1, text: 'There is no shop refused.' });
});

t.test('a shop that there is stays as it is', async (t) => {
  const before = await read('roxy');
  t.match(await call('create', 'roxy', ...complete), { code: 1, text: /There is a shop roxy already/ });
  t.same(await read('roxy'), before);
});

t.test('what cannot be meant is named', async (t) => {
  for (const [args, message] of [
    [['create'], /<shop id> is missing/],
    [['create', 'ro xy'], /<shop id> is not an id/],
    [['remove', 'roxy'], /what is "remove"\? There are: shop create, shop show/],
    [['show', 'roxy', '--name', 'x'], /shop show has no options/],
    [['create', 'x', '--colour', 'red'], /Unknown option '--colour'/],
  ] as const) {
    await t.rejects(call(...args), { message });
  }
});
