import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t);
const patch = (body: unknown) => shop.owner.request<Record<string, unknown>>('PATCH', '/v1/shops/roxy', body);

t.test(
  'a merge patch changes what it names, leaves the rest, and null takes a setting back to its default',
  async (t) => {
    const { body: before } = await shop.owner.request<Record<string, unknown>>('PUT', '/v1/shops/roxy', shopSettings);
    const changed = await patch({
      name: 'Roxy Bar',
      basket: { maxLines: 3, maxLiveBasketsPerCustomer: null },
      link: { passParams: ['ref'] },
      allowedRedirectOrigins: ['https://new.example'],
      supportUrl: 'https://roxy.example/help',
    });
    t.equal(changed.status, 200, changed.text);
    const { updatedAt } = changed.body;
    const basket = before.basket as object;
    t.same(changed.body, {
      ...before,
      name: 'Roxy Bar',
      // In a merge patch null takes away, and what is not there has its default: 10 baskets, and not no limit.
      basket: { ...basket, maxLines: 3 },
      link: { ...(before.link as object), passParams: ['ref'] },
      allowedRedirectOrigins: ['https://new.example'],
      supportUrl: 'https://roxy.example/help',
      updatedAt,
    });
    const back = await patch({ name: 'Roxy', basket: null, link: null, supportUrl: null, locale: null });
    t.same(back.body, {
      ...before,
      allowedRedirectOrigins: ['https://new.example'],
      updatedAt: back.body.updatedAt,
    });
    const same = await patch({});
    t.equal(same.status, 200);
    t.same({ ...same.body, updatedAt }, { ...back.body, updatedAt }, 'an empty patch changes nothing');
  },
);

t.test('a patch that leads to settings which a PUT would refuse is refused as that is', async (t) => {
  const cases = [
    { body: { name: null }, status: 400, code: 'invalid_request', pointer: '/name' },
    { body: { frontend: null }, status: 400, code: 'invalid_request', pointer: '/frontend' },
    { body: { frontend: { errorUrl: null } }, status: 400, code: 'invalid_request', pointer: '/frontend/errorUrl' },
    { body: { evil: 1 }, status: 400, code: 'invalid_request', pointer: '/evil' },
    { body: { evil: null }, status: 400, code: 'invalid_request', pointer: '/evil' },
    { body: { basket: 1 }, status: 400, code: 'invalid_request', pointer: '/basket' },
    { body: { basket: { ttlSeconds: '60' } }, status: 400, code: 'invalid_request', pointer: '/basket/ttlSeconds' },
    { body: { shopId: 'other' }, status: 400, code: 'invalid_request', pointer: '/shopId' },
    { body: [], status: 400, code: 'invalid_request', pointer: '' },
    { body: { currency: 'XXX' }, status: 422, code: 'unknown_currency' },
    { body: { locale: 'no locale' }, status: 422, code: 'invalid_settings', pointer: '/locale' },
    {
      body: { basket: { maxLifetimeSeconds: 599 } },
      status: 422,
      code: 'invalid_settings',
      pointer: '/basket/maxLifetimeSeconds',
    },
  ] as const;
  for (const { body, status, code, ...rest } of cases) {
    const what = JSON.stringify(body);
    const answer = await assertRefused(t, shop, what, { status, code }, () => patch(body));
    if ('pointer' in rest) t.match(answer.body, { errors: [{ pointer: rest.pointer }] }, what);
  }
});

t.test('a shop that is not there cannot be patched into being', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  for (const body of [{ name: 'x' }, shopSettings, '{']) {
    await assertRefused(t, shop, 'a new shop', { status: 404, code: 'not_found' }, () =>
      platform.request('PATCH', '/v1/shops/nowhere', body),
    );
  }
});

t.test('patches at the same time lose nothing of each other', async (t) => {
  const names = ['ttlSeconds', 'extensionSeconds', 'maxExtensions', 'checkoutSeconds', 'maxLines'];
  const answers = await Promise.all(names.map((name) => patch({ basket: { [name]: 33 } })));
  t.same(
    answers.map(({ status }) => status),
    names.map(() => 200),
  );
  const { body } = await shop.owner.request<{ basket: Record<string, number> }>('GET', '/v1/shops/roxy');
  for (const name of names) t.equal(body.basket[name], 33, name);
});

t.test('a change counts for the very next basket', async (t) => {
  for (const ttlSeconds of [700, 800]) {
    await patch({ basket: { ttlSeconds } });
    const { createdAt, expiresAt } = await createBasket(shop);
    t.equal(Date.parse(expiresAt) - Date.parse(createdAt), ttlSeconds * 1000);
  }
});
