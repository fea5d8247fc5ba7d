import t from 'tap';
import { signUrl } from '../../src/links/signed-url.ts';
import { type Created, createBasket, pressLink, redeem } from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { mintToken, startTestService, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const key = 'base64:dGhlIGtleSBvZiBhIGxhcmF2ZWwgc2hvcCBvZiB0ZXN0cw==';
const newerKey = 'base64:dGhlIG5ld2VyIGtleSBvZiBhIGxhcmF2ZWwgc2hvcA==';
const keysPath = '/v1/shops/roxy/laravel-keys';
const json = { accept: 'application/json' };

async function openLaravelShop(
  t: Parameters<typeof openShop>[0],
  body: object = { keys: [key] },
  settings: object = {},
) {
  const shop = await openShop(t, { settings: { link: { format: 'laravel' }, ...settings } });
  const { status, text } = await shop.owner.request('PUT', keysPath, body);
  if (status !== 204) throw new Error(text);
  return shop;
}
type LaravelShop = Awaited<ReturnType<typeof openLaravelShop>>;

/** A link that the shop's own application has signed, with what the service's says by default. */
function signedByTheShop(
  shop: LaravelShop,
  startBasketUrl: string,
  change: Record<string, string> = {},
  signedWith = key,
): string {
  const url = new URL(startBasketUrl);
  const expiresAt = new Date(Number(url.searchParams.get('expires')) * 1000);
  for (const name of ['expires', 'signature']) url.searchParams.delete(name);
  for (const [name, value] of Object.entries(change)) url.searchParams.set(name, value);
  t.ok(url.href.startsWith(shop.service.url));
  return signUrl(url.href, { key: signedWith, expiresAt });
}

t.test('a shop that has registered keys gets links in Laravel’s format, which lead its customers in', async (t) => {
  const shop = await openLaravelShop(t);
  const created = await createBasket(shop);
  const link = new URL(created.startBasketUrl);
  t.equal(link.pathname, `/basket/start/${created.id}`);
  t.same([...link.searchParams.keys()], ['expires', 'g', 'shop', 'signature']);
  t.equal(created.startBasketUrl, signedByTheShop(shop, created.startBasketUrl), 'Laravel would sign the same bytes');

  const before = await contentsOf(shop.service.pool);
  const opened = await visit(created.startBasketUrl, { accept: 'text/html' });
  t.match(opened, { status: 200, text: /<form[^>]*method="post"/ });
  t.same(await contentsOf(shop.service.pool), before, 'opening it changes nothing');
  const redeemed = await redeem(shop, await pressLink(created.startBasketUrl));
  t.match(redeemed, { status: 200, body: { basket: { id: created.id, status: 'activated' } } });

  const minted = await shop.backEnd.request<Created>('POST', `/v1/baskets/${created.id}/link`);
  t.match(await visit(minted.body.startBasketUrl, json), { status: 200 });
  t.match(await visit(created.startBasketUrl, json), { status: 410, text: /link_revoked/ });
});

t.test('without keys, links are tokens, and those that a key has signed stop working', async (t) => {
  const shop = await openLaravelShop(t);
  const { startBasketUrl } = await createBasket(shop);
  await shop.owner.request('PUT', keysPath, { keys: [] });
  t.match(new URL((await createBasket(shop)).startBasketUrl).pathname, /^\/b\//);
  t.match(await visit(startBasketUrl, json), { status: 403, text: /link_invalid/ });
});

t.test('keys rotate without one broken link, and a repeated request shows the same link', async (t) => {
  const shop = await openLaravelShop(t);
  const body = { items: [{ itemId: 'stalls', quantity: 1 }] };
  const create = () => shop.backEnd.request<Created>('POST', '/v1/baskets', body, { 'idempotency-key': 'once' });
  const first = await create();
  await shop.owner.request('PUT', keysPath, { keys: [newerKey, key] });
  const again = await create();
  t.equal(again.text, first.text);
  const later = await createBasket(shop);
  t.equal(later.startBasketUrl, signedByTheShop(shop, later.startBasketUrl, {}, newerKey));
  for (const link of [first.body.startBasketUrl, later.startBasketUrl])
    t.match(await visit(link, json), { status: 200 });

  await shop.owner.request('PUT', keysPath, { keys: [newerKey] });
  t.match(await visit(first.body.startBasketUrl, json), { status: 403, text: /link_invalid/ });
  t.match(await visit(later.startBasketUrl, json), { status: 200 });
});

t.test(
  'a link that the named shop’s keys have not signed byte for byte is invalid, whatever is wrong, in one text',
  async (t) => {
    const shop = await openLaravelShop(t);
    const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write' }));
    const { body: settings } = await shop.owner.request<Record<string, unknown>>('GET', '/v1/shops/roxy');
    const { shopId, publicToken, createdAt, updatedAt, ...rest } = settings;
    t.equal((await other.request('PUT', '/v1/shops/other', rest)).status, 200);
    const { startBasketUrl: link } = await createBasket(shop);
    const signature = new URL(link).searchParams.get('signature') ?? '';
    const wrong = {
      'a parameter appended': `${link}&utm_source=mail`,
      'another basket': link.replace('bkt_', 'bkt_0'),
      'another generation': link.replace(/g=\d+/, 'g=1'),
      'a later expiry': link.replace(/expires=(\d)/, 'expires=9$1'),
      'no expiry': link.replace(/expires=\d+&/, ''),
      'two expiries': `${link}&expires=9999999999`,
      ...Object.fromEntries(
        ['0', '-1', '1e99', '99999999999999999999', ''].map((expires) => [
          `the expiry ${JSON.stringify(expires)}`,
          link.replace(/expires=\d+/, `expires=${expires}`),
        ]),
      ),
      'its parameters in another order': link.replace(/(expires=\d+)&(g=\d+)/, '$2&$1'),
      'a keyless shop': link.replace('shop=roxy', 'shop=other'),
      'a keyless shop, signed with this one’s key': signedByTheShop(shop, link, { shop: 'other' }),
      'an unknown shop': signedByTheShop(shop, link, { shop: 'nobody' }),
      'a shop that is no id': signedByTheShop(shop, link, { shop: 'a b\0' }),
      'no shop': link.replace('&shop=roxy', ''),
      'another key': signedByTheShop(shop, link, {}, newerKey),
      'a generation that is no number, well signed': signedByTheShop(shop, link, { g: '1e3' }),
      'the signature in capitals': link.replace(signature, signature.toUpperCase()),
      'no signature': link.replace(`&signature=${signature}`, ''),
      'nothing but the path': link.split('?')[0] ?? '',
    };
    const texts = new Set<string>();
    for (const [what, url] of Object.entries(wrong)) {
      const answer = await visit(url, json);
      t.equal(answer.status, 403, what);
      const { requestId, ...problem } = JSON.parse(answer.text) as { requestId: string };
      texts.add(JSON.stringify(problem));
      t.equal((await visit(url, { accept: 'text/html' })).status, 403, `${what}, in a browser`);
    }
    t.equal(texts.size, 1);
    t.match([...texts][0], /link_invalid/);
  },
);

t.test('a proven link is judged as any other', async (t) => {
  const shop = await openLaravelShop(t);
  const { startBasketUrl } = await createBasket(shop);
  const url = new URL(startBasketUrl);
  for (const name of ['expires', 'signature']) url.searchParams.delete(name);
  const past = signUrl(url.href, { key, expiresAt: new Date(Date.now() - 5000) });
  t.match(await visit(past, json), { status: 410, text: /link_expired/ });
  t.match(await visit(past, { accept: 'text/html' }), { status: 303 });
  const endless = signUrl(url.href, { key });
  t.match(await visit(endless, json), { status: 200 }, 'one that the shop signs without an expiry');
  const unknown = signUrl(url.href.replace(/bkt_\w+/, 'bkt_nobody'), { key });
  t.match(await visit(unknown, json), { status: 410, text: /basket_expired/ });
  const odd = signUrl(url.href.replace(/bkt_\w+/, '%00'), { key });
  t.match((await visit(odd, json)).status, /^4/);
});

t.test('what a shop ignores may be appended, and of a click nothing of ours is passed on', async (t) => {
  const shop = await openLaravelShop(
    t,
    { keys: [key], ignoredParameters: ['utm_source', 'fbclid'] },
    { link: { format: 'laravel', passParams: ['s*', 'e*', 'g*', 'utm_*', 'fbclid'] } },
  );
  const { startBasketUrl } = await createBasket(shop);
  const clicked = `${startBasketUrl}&utm_source=mail&fbclid=x`;
  t.match(await visit(clicked, json), { status: 200 });
  const pressed = await fetch(clicked, { method: 'POST', redirect: 'manual' });
  const { searchParams } = new URL(pressed.headers.get('location') ?? '');
  t.same([...searchParams.keys()].sort(), ['fbclid', 'token', 'utm_source']);
});

t.test(
  'keys are written by the shop alone, stored encrypted and never shown, and survive a rotation of DATA_KEYS',
  async (t) => {
    const shop = await openLaravelShop(t);
    const shown = await shop.owner.request('GET', '/v1/shops/roxy');
    t.notMatch(shown.text, /laravelKeys|base64|eyJ/i);
    const { rows } = await shop.service.pool.query<{ text: string }>(
      'SELECT row_to_json(s)::text AS text FROM shops s',
    );
    t.notMatch(rows[0]?.text, key.slice(7));
    const { startBasketUrl } = await createBasket(shop);
    const { databaseUrl, dataKeys, publicUrl } = shop.service.config;
    const newest = { kid: 'd2', secret: 'the newest secret that encrypts stored data' };
    const rotated = await startTestService(
      t,
      { databaseUrl, dataKeys: [newest, ...dataKeys], publicUrl },
      shop.service.redisKeyPrefix,
    );
    t.match(await visit(startBasketUrl.replace(publicUrl, rotated.url), json), { status: 200 });
    await rotated.stop();
    const without = await startTestService(
      t,
      { databaseUrl, dataKeys: [newest], publicUrl },
      shop.service.redisKeyPrefix,
    );
    t.match(
      await visit(startBasketUrl.replace(publicUrl, without.url), json),
      { status: 200 },
      'also once the old key is gone',
    );

    for (const name of ['expires', 'g', 'shop', 'signature']) {
      await assertRefused(t, shop, name, { status: 422, code: 'invalid_settings' }, () =>
        shop.owner.request('PUT', keysPath, { keys: [key], ignoredParameters: ['utm_source', name] }),
      );
    }
    for (const body of [
      {},
      { keys: ['short'] },
      { keys: key },
      { keys: [key], ignored: [] },
      { keys: Array(11).fill(key) },
    ]) {
      await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, () =>
        shop.owner.request('PUT', keysPath, body),
      );
    }
    const partner = await shop.withScope('shop:write', 'acme');
    await assertRefused(t, shop, 'a partner', { status: 403, code: 'forbidden' }, () =>
      partner.request('PUT', keysPath, { keys: [key] }),
    );
    const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write' }));
    await assertRefused(t, shop, 'another shop', { status: 404, code: 'not_found' }, () =>
      other.request('PUT', keysPath, { keys: [key] }),
    );
  },
);
