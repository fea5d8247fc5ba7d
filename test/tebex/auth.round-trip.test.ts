import t from 'tap';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { readState, statePurpose } from '../../src/tebex/authorization/state.ts';
import type { ShownBasket } from '../support/journey.ts';
import { allowedRedirectOrigins, refusedRedirectUrls } from '../support/redirect-urls.ts';
import { assertRefused } from '../support/refusal.ts';
import { createInStore, openWebStore, type TebexBasket } from '../support/web-store.ts';

type Provider = { name: string; url: string };

const authProviders = [
  { name: 'FiveM', url: 'https://ident.example/fivem?lang=en&state=theirs' },
  { name: 'Steam', url: 'https://steam.example/sign-in' },
];
const settings = { customer: { usernameRequired: true, authProviders }, allowedRedirectOrigins };
const store = await openWebStore(t, { settings });
const { account, anybody, backEnd } = store;
const returnUrl = 'https://good.com/basket?from=sign-in&lang=de';

const providersOf = ({ ident }: TebexBasket, query = `returnUrl=${encodeURIComponent(returnUrl)}`) =>
  anybody.request<Provider[]>('GET', `${account}/baskets/${ident}/auth?${query}`);
const authorize = (basketId: string, state: string, user = { username: 'Anna', usernameId: '76561198' }) =>
  backEnd.request<{ basket: ShownBasket; returnUrl: string }>('POST', `/v1/baskets/${basketId}/authorize`, {
    ...user,
    state,
  });
const parametersOf = (url = '') => new URL(url).searchParams;

t.test('the customer chooses where to sign in, and comes back with the basket in their name', async (t) => {
  const basket = await createInStore(store, 'anybody');
  const { status, body: providers } = await providersOf(basket);
  t.equal(status, 200);
  t.same(
    providers.map(({ name }) => name),
    ['FiveM', 'Steam'],
  );
  const [fivem, steam] = providers.map(({ url }) => new URL(url));
  t.equal(`${fivem?.origin}${fivem?.pathname}`, 'https://ident.example/fivem');
  t.equal(fivem?.searchParams.get('lang'), 'en', 'what the provider needs itself stays');
  t.equal(fivem?.searchParams.getAll('state').length, 1, 'one state, whatever stood there');
  t.equal(`${steam?.origin}${steam?.pathname}`, 'https://steam.example/sign-in');

  // The sign-in page is called with these two, and knows nothing else of us.
  const basketId = steam?.searchParams.get('basket_id') ?? '';
  const state = steam?.searchParams.get('state') ?? '';
  t.equal(basketId, basket.id);
  const authorized = await authorize(basketId, state);
  t.match(authorized, { status: 200, body: { returnUrl } }, authorized.text);
  const { body } = await anybody.request<{ data: TebexBasket }>('GET', `/baskets/${basket.ident}`);
  t.match(body.data, { username: 'Anna', username_id: 76561198 });
  const other = await authorize(basketId, state, { username: 'Ben', usernameId: 'b0b5-c0de' });
  t.match(other, { status: 200, body: { basket: { customer: { username: 'Ben', usernameId: 'b0b5-c0de' } } } });
});

t.test('both families of paths list the same providers, in a list of its own', async (t) => {
  const basket = await createInStore(store, 'storeBackEnd');
  const named = ({ body }: { body: Provider[] }) => body.map(({ name, url }) => [name, new URL(url).pathname]);
  const query = `returnUrl=${encodeURIComponent(returnUrl)}`;
  const paths = [`${account}/baskets/${basket.ident}/auth`, `/baskets/${basket.ident}/auth`];
  for (const path of paths.flatMap((path) => [path, `${path}/`])) {
    const answer = await anybody.request<Provider[]>('GET', `${path}?${query}`);
    t.same(named(answer), named(await providersOf(basket)), path);
    t.equal(answer.headers.get('access-control-allow-origin'), '*');
  }
});

t.test('a state is good for an hour from when the providers were asked for, and for its own basket', async (t) => {
  const [basket, other] = [await createInStore(store, 'anybody'), await createInStore(store, 'anybody')];
  const { rows } = await store.service.pool.query<{ now: Date }>('SELECT now()');
  const state = parametersOf((await providersOf(basket)).body[0]?.url).get('state') ?? '';
  const read = readState(deriveKeyring(store.service.config.linkKeys, statePurpose), state);
  t.match(read, { basketId: basket.id, returnUrl });
  const goodForMs = (read?.expiresAt.getTime() ?? 0) - (rows[0]?.now.getTime() ?? 0);
  t.ok(goodForMs >= 3_600_000 && goodForMs < 3_630_000, `${goodForMs} ms, by Postgres’ clock`);

  const foreign = parametersOf((await providersOf(other)).body[0]?.url).get('state') ?? '';
  const changed = state.slice(0, -1) + (state.endsWith('A') ? 'B' : 'A');
  const invalid = { status: 422, code: 'state_invalid' } as const;
  for (const [what, sent] of Object.entries({ foreign, changed, 'the ident': basket.ident })) {
    await assertRefused(t, store, what, invalid, () => authorize(basket.id, sent));
  }
  t.equal((await authorize(basket.id, state)).status, 200);
});

t.test('nobody is sent from a sign-in to a URL that the shop does not allow, or that reads two ways', async (t) => {
  const basket = await createInStore(store, 'anybody');
  for (const [what, url] of Object.entries({
    ...refusedRedirectUrls,
    'too long': `https://good.com/${'a'.repeat(2048)}`,
  })) {
    const expected = { status: 422, code: 'redirect_not_allowed' } as const;
    const send = () => providersOf(basket, `returnUrl=${encodeURIComponent(url)}`);
    const { body } = await assertRefused(t, store, what, expected, send);
    t.match(body, { error_code: 'redirect_not_allowed', errors: [{ pointer: '/returnUrl' }] });
  }
  const sent = 'HTTPS://GOOD.com:443/app/../Basket';
  const state = parametersOf((await providersOf(basket, `returnUrl=${encodeURIComponent(sent)}`)).body[0]?.url);
  const { body } = await authorize(basket.id, state.get('state') ?? '');
  t.equal(body.returnUrl, 'https://good.com/Basket', 'what is allowed leads where WHATWG reads it to');
});

t.test('who does not say where to return is told what is missing', async (t) => {
  const basket = await createInStore(store, 'anybody');
  for (const query of ['', 'returnUrl=', 'return_url=https://good.com/', 'returnUrl=https://good.com/&returnUrl=x']) {
    const expected = { status: 422, code: 'invalid_request' } as const;
    const { body } = await assertRefused(t, store, query, expected, () => providersOf(basket, query));
    t.match(body, { detail: /'returnUrl'/, errors: [{ pointer: '/returnUrl' }] });
  }
});

t.test('a shop without sign-in pages lists none', async (t) => {
  const basket = await createInStore(store, 'anybody');
  await store.owner.request('PATCH', '/v1/shops/roxy', { customer: { authProviders: [] } });
  t.match(await providersOf(basket), { status: 200, text: '[]' });
});
