import { createHmac } from 'node:crypto';
import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, jwtSecret, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const nowSeconds = Math.floor(Date.now() / 1000);
const soon = nowSeconds + 300;
const headerText = '{"alg":"HS256","typ":"JWT"}';
const claims = `"shop":"roxy","scope":"baskets:write"`;
const valid = sign(headerText, `{${claims},"exp":${soon}}`);
const [head, payload, signature] = valid.split('.') as [string, string, string];

/** Texts and not objects: some rows cannot be written by any JSON library. */
function sign(header: string, payload: string, key = jwtSecret, hash = 'sha256'): string {
  const signed = [header, payload].map((text) => Buffer.from(text).toString('base64url')).join('.');
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`;
}

/** The text with its last character replaced by the next in base64url: other spare bits, the same 32 bytes. */
function withOtherSpareBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1];
}

const otherPayload = Buffer.from(`{"shop":"other","scope":"baskets:write","exp":${soon}}`).toString('base64url');
const noneHead = (alg: string) => Buffer.from(`{"alg":"${alg}","typ":"JWT"}`).toString('base64url');

const refused: Record<string, string | null> = {
  'no credential': null,
  'another scheme': 'Basic cm94eTpyb3h5',
  'no token': 'Bearer ',
  'two tokens': `Bearer ${valid} ${valid}`,
  'not a token': 'Bearer roxy',
  'alg none without a signature': `Bearer ${noneHead('none')}.${payload}.`,
  'alg None without a signature': `Bearer ${noneHead('None')}.${payload}.`,
  'alg none with the signature of another header': `Bearer ${noneHead('none')}.${payload}.${signature}`,
  'alg HS512': `Bearer ${sign('{"alg":"HS512","typ":"JWT"}', `{${claims},"exp":${soon}}`, jwtSecret, 'sha512')}`,
  'no alg': `Bearer ${sign('{"typ":"JWT"}', `{${claims},"exp":${soon}}`)}`,
  'another secret': `Bearer ${sign(headerText, `{${claims},"exp":${soon}}`, 'another secret of at least 32 characters')}`,
  'the payload changed': `Bearer ${head}.${otherPayload}.${signature}`,
  'the header changed': `Bearer ${noneHead('HS384')}.${payload}.${signature}`,
  'no signature': `Bearer ${head}.${payload}.`,
  'two parts': `Bearer ${head}.${payload}`,
  'the signature cut': `Bearer ${valid.slice(0, -2)}`,
  'the signature longer': `Bearer ${valid}AA`,
  'the signature padded': `Bearer ${valid}=`,
  'the signature with other spare bits': `Bearer ${withOtherSpareBits(valid)}`,
  'the payload padded': `Bearer ${head}.${payload}=.${signature}`,
  'exp missing': `Bearer ${sign(headerText, `{${claims}}`)}`,
  'exp past': `Bearer ${sign(headerText, `{${claims},"exp":${nowSeconds - 90}}`)}`,
  'exp a text': `Bearer ${sign(headerText, `{${claims},"exp":"${soon}"}`)}`,
  'exp null': `Bearer ${sign(headerText, `{${claims},"exp":null}`)}`,
  'exp beyond all numbers': `Bearer ${sign(headerText, `{${claims},"exp":1e400}`)}`,
  'nbf in the future': `Bearer ${sign(headerText, `{${claims},"exp":${soon},"nbf":${nowSeconds + 90}}`)}`,
  'iat in the future': `Bearer ${sign(headerText, `{${claims},"exp":${soon},"iat":${nowSeconds + 90}}`)}`,
  'iat a text': `Bearer ${sign(headerText, `{${claims},"exp":${soon},"iat":"now"}`)}`,
  'an ID token': `Bearer ${sign('{"alg":"HS256","typ":"id_token"}', `{${claims},"exp":${soon}}`)}`,
  'an unknown critical extension': `Bearer ${sign('{"alg":"HS256","crit":["x"],"x":1}', `{${claims},"exp":${soon}}`)}`,
  'an unencoded payload': `Bearer ${sign('{"alg":"HS256","crit":["b64"],"b64":false}', `{${claims},"exp":${soon}}`)}`,
  'no scope': `Bearer ${sign(headerText, `{"shop":"roxy","exp":${soon}}`)}`,
  'a list of scopes': `Bearer ${sign(headerText, `{"shop":"roxy","scope":["baskets:write"],"exp":${soon}}`)}`,
  'no shop': `Bearer ${sign(headerText, `{"scope":"baskets:write","exp":${soon}}`)}`,
  'a shop that is no id': `Bearer ${sign(headerText, `{"shop":"ro xy","scope":"baskets:write","exp":${soon}}`)}`,
  'a shop that is null': `Bearer ${sign(headerText, `{"shop":null,"scope":"baskets:write","exp":${soon}}`)}`,
  'a partner that is no id': `Bearer ${sign(headerText, `{${claims},"partner":"","exp":${soon}}`)}`,
  'a payload that is no object': `Bearer ${sign(headerText, '"roxy"')}`,
  'a payload that is no JSON': `Bearer ${sign(headerText, '{')}`,
};

const accepted: Record<string, string> = {
  'the valid one that the others are made from': `Bearer ${valid}`,
  'a lower-case scheme': `bearer ${valid}`,
  'an access token by its type': `Bearer ${sign('{"alg":"HS256","typ":"at+jwt"}', `{${claims},"exp":${soon}}`)}`,
  'no type': `Bearer ${sign('{"alg":"HS256"}', `{${claims},"exp":${soon}}`)}`,
  'exp past by less than the leeway': `Bearer ${sign(headerText, `{${claims},"exp":${nowSeconds - 30}}`)}`,
  'nbf ahead by less than the leeway': `Bearer ${sign(headerText, `{${claims},"exp":${soon},"nbf":${nowSeconds + 30}}`)}`,
};

t.test('a token that is not exactly one that we were meant to get is a 401 that makes nothing', async (t) => {
  const shop = await openShop(t);
  const anonymous = api(shop.service.url, null);
  const create = (authorization: string | null) =>
    anonymous.request(
      'POST',
      '/v1/baskets',
      { items: [{ itemId: 'stalls', quantity: 1 }] },
      authorization === null ? {} : { authorization },
    );
  for (const [what, authorization] of Object.entries(accepted)) {
    t.equal((await create(authorization)).status, 201, what);
  }
  for (const [what, authorization] of Object.entries(refused)) {
    const answer = await assertRefused(t, shop, what, { status: 401, code: 'unauthorized' }, () =>
      create(authorization),
    );
    t.equal(answer.headers.get('www-authenticate'), 'Bearer', what);
  }
  const { startBasketUrl } = await createBasket(shop);
  const startToken = startBasketUrl.slice(startBasketUrl.lastIndexOf('/') + 1);
  await assertRefused(t, shop, 'a start link’s token', { status: 401, code: 'unauthorized' }, () =>
    create(`Bearer ${startToken}`),
  );
});

t.test('while secrets are rotated each listed one verifies, and one no longer listed does not', async (t) => {
  const newest = 'the newest secret, which signs from now on';
  const shop = await openShop(t, { config: { jwtSecrets: [newest, jwtSecret] } });
  const statusWith = async (secret: string) => {
    const token = await mintToken({ shop: 'roxy', scope: 'baskets:read' }, { secret });
    return (await shop.as(token).request('GET', '/v1/baskets')).status;
  };
  t.equal(await statusWith(newest), 200);
  t.equal(await statusWith(jwtSecret), 200);
  t.equal(await statusWith('a secret that is not listed any more'), 401);
  t.equal(await statusWith(`${newest},${jwtSecret}`), 401, 'the list is not a secret itself');
});

t.test('with an issuer and an audience configured, a token must carry both', async (t) => {
  const issuer = 'https://issuer.example';
  const audience = 'basketlink';
  // The service's own token maker carries neither, so the shop is not set up here: a 403 says that the token was taken.
  const service = await startTestService(t, { jwtIssuer: issuer, jwtAudience: audience });
  const statusWith = async (options: { issuer?: string; audience?: string }) => {
    const token = await mintToken({ shop: 'roxy', scope: 'orders:write' }, options);
    return (await api(service.url, token).request('GET', '/v1/baskets')).status;
  };
  t.equal(await statusWith({ issuer, audience }), 403);
  t.equal(await statusWith({ issuer }), 401);
  t.equal(await statusWith({ audience }), 401);
  t.equal(await statusWith({ issuer: `${issuer}/`, audience }), 401);
  t.equal(await statusWith({ issuer, audience: 'another service' }), 401);
});
