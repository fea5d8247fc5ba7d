import t from 'tap';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { statePurpose, writeState } from '../../src/tebex/authorization/state.ts';
import { activate, createBasket, pressLink, type ShownProblem } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { tokenIn } from '../support/tokens.ts';

type Kind = 'start link' | 'confirmation' | 'session' | 'API key' | 'JWT' | 'cursor' | 'state';

/** One secret for everything, as a careless operator may have it: what a token is for keeps it apart all the same. */
const keys = [{ kid: 'k1', secret: 'the one secret that signs and encrypts everything' }];
const shop = await openShop(t, { config: { linkKeys: keys, dataKeys: keys } });
const { id, startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-1' } });
const opened = await activate(shop, startBasketUrl);
await createBasket(shop);
const { body: page } = await shop.backEnd.request<{ nextCursor: string }>('GET', '/v1/baskets?limit=1');
const { body: key } = await shop.owner.request<{ apiKey: string }>('POST', '/v1/shops/roxy/api-keys', {
  name: 'x',
  scopes: ['baskets:read'],
});
const tokens: Record<Kind, string> = {
  'start link': tokenIn(startBasketUrl),
  confirmation: await pressLink(startBasketUrl),
  session: opened.session.token,
  'API key': key.apiKey,
  JWT: await mintToken({ shop: 'roxy', scope: 'baskets:read' }),
  cursor: page.nextCursor,
  state: writeState(deriveKeyring(keys, statePurpose), {
    ...{ shopNumber: 1, basketId: id, returnUrl: 'https://partner.example/' },
    expiresAt: new Date(Date.now() + 60_000),
  }),
};

type Answer = Awaited<ReturnType<typeof shop.backEnd.request<ShownProblem>>>;
type Place = {
  takes: Kind[];
  refused: { status: number; code: 'link_invalid' | 'not_found' | 'unauthorized' | 'invalid_cursor' | 'state_invalid' };
  send: (token: string) => Promise<Answer>;
};
const open = (method: string) => async (token: string) => {
  const url = `${shop.service.url}/b/${encodeURIComponent(token)}`;
  const { status, headers, text } = await visit(url, { accept: 'application/json' }, method);
  const shown = new Headers(Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]));
  return { status, headers: shown, text, body: text.startsWith('{') ? JSON.parse(text) : text } as Answer;
};
const places: Record<string, Place> = {
  'the address of a start link': {
    takes: ['start link'],
    refused: { status: 403, code: 'link_invalid' },
    send: open('GET'),
  },
  'its button': { takes: ['start link'], refused: { status: 403, code: 'link_invalid' }, send: open('POST') },
  'the bearer of a call': {
    takes: ['session', 'API key', 'JWT'],
    refused: { status: 401, code: 'unauthorized' },
    send: (token) => api(shop.service.url, token).request<ShownProblem>('GET', `/v1/baskets/${id}`),
  },
  // After the bearer: a redemption ends the session before it.
  'the token of a redemption': {
    takes: ['confirmation'],
    refused: { status: 404, code: 'not_found' },
    send: (token) => shop.frontEnd.request<ShownProblem>('POST', '/v1/confirmations', { token }),
  },
  'the state of a sign-in': {
    takes: ['state'],
    refused: { status: 422, code: 'state_invalid' },
    send: (state) => {
      const user = { username: 'Anna', usernameId: '1', state };
      return shop.backEnd.request<ShownProblem>('POST', `/v1/baskets/${id}/authorize`, user);
    },
  },
  'the cursor of a list': {
    takes: ['cursor'],
    refused: { status: 400, code: 'invalid_cursor' },
    send: (token) => shop.backEnd.request<ShownProblem>('GET', `/v1/baskets?cursor=${token}`),
  },
};

for (const [place, { takes, refused, send }] of Object.entries(places)) {
  t.test(`${place} takes ${takes.join(', ')}, and no token of another kind, with or without its prefix`, async (t) => {
    for (const [kind, token] of Object.entries(tokens)) {
      if (takes.some((name) => name === kind)) continue;
      for (const text of new Set([token, token.replace(/^(ses|sk_\d+)_/, ''), `ses_${token}`, `sk_1_${token}`])) {
        await assertRefused(t, shop, `${kind} ${text.slice(0, 8)}…`, refused, () => send(text));
      }
    }
    for (const kind of takes) t.match((await send(tokens[kind])).status, /^(200|303)$/, kind);
  });
}
