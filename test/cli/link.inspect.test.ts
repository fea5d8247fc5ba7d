import t from 'tap';
import { runInspect } from '../../src/cli/link.ts';
import { complete, createBasket, openBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { config, pool } = shop.service;
const keysOf = (keys: typeof config.linkKeys) => keys.map(({ kid, secret }) => `${kid}:${secret}`).join(',');
const environment = {
  DATABASE_URL: config.databaseUrl,
  LINK_KEYS: keysOf(config.linkKeys),
  DATA_KEYS: keysOf(config.dataKeys),
};
const laravelKey = 'base64:the-key-of-the-shop-that-signs-its-links=';

async function inspect(text: string, changed: object = {}): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await runInspect({ ...environment, ...changed }, text, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}
const tokenOf = (link: string) => link.split('/b/')[1] ?? '';

async function createInLaravelsFormat() {
  await shop.owner.request('PUT', '/v1/shops/roxy/laravel-keys', { keys: [laravelKey], ignoredParameters: [] });
  await shop.owner.request('PATCH', '/v1/shops/roxy', { link: { format: 'laravel' } });
  const created = await createBasket(shop);
  await shop.owner.request('PATCH', '/v1/shops/roxy', { link: { format: 'token' } });
  return created;
}

t.test(
  'a link that leads on says of what it is, its key and how a click is answered, as link and as token',
  async (t) => {
    const { id, startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
    for (const text of [startBasketUrl, `${startBasketUrl}?utm_source=mail`, tokenOf(startBasketUrl)]) {
      const { code, text: said } = await inspect(text);
      t.equal(code, 0);
      t.match(said, /^format +token\nsignature +signed with l1\nshop +roxy \(Roxy\)\n/);
      t.match(said, new RegExp(`\nbasket +${id}, open, version 1\ngeneration +1\\.1, the present one\nexpires +20`));
      t.match(said, /\na click +leads a person to the shop at once \(303\)$/);
    }
    const { startBasketUrl: withPage } = await createBasket(shop, { customer: { id: 'cus-7' } });
    t.match(await inspect(withPage), { code: 0, text: /a click +shows the page with one button/ });
  },
);

t.test('one in Laravel’s format is taken whole, and names the key of the shop', async (t) => {
  const { id, startBasketUrl } = await createInLaravelsFormat();
  const { code, text } = await inspect(startBasketUrl);
  t.equal(code, 0);
  t.match(text, /^format +laravel\nsignature +signed with laravel:[0-9a-f]{8}\nshop +roxy/);
  t.match(text, `${id}, open`);
  const changed = await inspect(startBasketUrl.replace('g=', 'g=1'));
  t.match(changed, {
    code: 1,
    text: /signature +not proven: changed since.*\n[\s\S]*a click +is refused: link_invalid \(403\)/,
  });
  const expired = new URL(startBasketUrl);
  expired.searchParams.set('shop', 'other');
  t.match(await inspect(expired.href), {
    code: 1,
    text: /the shop has no keys[\s\S]*shop +unknown[\s\S]*link_invalid/,
  });
});

t.test('what a click is refused for is what the click itself is answered', async (t) => {
  const clicked = async (url: string) => (await fetch(url, { headers: { accept: 'application/json' } })).text();
  const revoked = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${revoked.id}/link`);
  const cancelled = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const used = await openBasket(shop);
  t.equal((await complete(shop, used.id, { orderId: 'order-1' })).status, 200);
  const expired = await createBasket(shop);
  await pool.query(`UPDATE baskets SET expires_at = now() - interval '1 second' WHERE basket_id = $1`, [expired.id]);
  const gone = await createBasket(shop);
  for (const [{ id, startBasketUrl }, code] of [
    [revoked, 'link_revoked'],
    [cancelled, 'basket_cancelled'],
    [used, 'link_used'],
    [expired, 'basket_expired'],
  ] as const) {
    const { code: exit, text } = await inspect(startBasketUrl);
    t.equal(exit, 1);
    t.match(text, new RegExp(`basket +${id}, .*\n[^=]*a click +is refused: ${code} \\(410\\), `));
    t.match(await clicked(startBasketUrl), `"code":"${code}"`);
  }
  t.match(await inspect(gone.startBasketUrl.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'))), {
    code: 1,
    text: /signature +not proven: changed since[\s\S]*link_invalid/,
  });
});

t.test('one signed with a key that is not listed any more says so, and still of what it is', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const { code, text } = await inspect(startBasketUrl, {
    LINK_KEYS: 'l2:another secret that signs start links of tests',
  });
  t.equal(code, 1);
  t.match(text, /signature +not proven: l1 is not listed in LINK_KEYS/);
  t.match(text, `basket      ${id}, open`);
  t.match(text, /a click +is refused: link_invalid/);
});

t.test('nothing is changed or counted, and no signature is shown', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop, { linkMode: 'redirect' });
  const rows = async () =>
    (await pool.query('SELECT b.*, (SELECT count(*) FROM link_openings) FROM baskets b WHERE basket_id = $1', [id]))
      .rows;
  const before = await rows();
  const { text } = await inspect(startBasketUrl);
  t.same(await rows(), before);
  t.notMatch(text, tokenOf(startBasketUrl).slice(-20));
  const laravel = await createInLaravelsFormat();
  const shown = await inspect(laravel.startBasketUrl);
  t.notMatch(shown.text, new URL(laravel.startBasketUrl).searchParams.get('signature') ?? '');
});

t.test('what is no start link, and keys that do not fit, are refused in words', async (t) => {
  for (const text of ['', 'bkt_01m801nqz5fvhr1vgack3h5ztj', 'https://links.example/', 'https://links.example/b/']) {
    await t.rejects(inspect(text), { message: /not the form of a start link/ }, text);
  }
  await t.rejects(inspect('x', { LINK_KEYS: 'short' }), { message: /LINK_KEYS does not fit: kid:secret pairs/ });
  await t.rejects(inspect('x', { DATA_KEYS: '' }), { message: /DATA_KEYS is missing/ });
});
