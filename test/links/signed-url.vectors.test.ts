import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { promisify } from 'node:util';
import t from 'tap';
import { signUrl, verifySignedUrl } from '../../src/links/signed-url.ts';
import { fromRunner } from '../support/service.ts';

/* Results of Laravel 12.67's own UrlGenerator, by case: it is what links made by a Laravel shop are made with. */

const key = 'AckfSECXIvnK5r28GVIWUAxmbBSjTsmF';
const oldKey = 'base64:b2xkIGtleSBvZiBhIHNob3AgdGhhdCB3YXMgcm90YXRlZA==';
const expiresAt = new Date(1_700_000_600_000);
const before = new Date(1_700_000_000_000);
const reference =
  'https://shop.example.com/basket/start/b_123?a=2&expires=1700000600&z=1&signature=6d3854cbefddbe387294f4d54c4b3986f7f384e4379a18e668d2290753907d9c';
const base = 'https://shop.example.com/basket/start/b_123';
const temporary = signUrl(`${base}?z=1&a=2`, { key, expiresAt });
const permanent = signUrl(base, { key });
const signature = /signature=(.*)$/.exec(temporary)?.[1] ?? '';

const valid = { ok: true } as const;
const invalid = { ok: false, reason: 'signature' } as const;
const expired = { ok: false, reason: 'expired' } as const;
const verify = (url: string, more: object = {}) => verifySignedUrl(url, { keys: [key], now: before, ...more });

/** What our own signer refuses to make. */
function withSignature(url: string): string {
  return `${url}&signature=${createHmac('sha256', key).update(url).digest('hex')}`;
}

t.test('a URL is signed with the bytes that Laravel signs it with', async (t) => {
  t.equal(temporary, reference);
  t.equal(signUrl(`${base}?a=2&z=1`, { key, expiresAt }), reference, 'in whatever order its parameters come');
});

t.test('a URL verifies exactly when Laravel says so', async (t) => {
  const at = (seconds: number) => new Date(seconds * 1000);
  const relative = signUrl('/basket/start/b_123?a=2', { key, relative: true });
  const cases: [what: string, url: string, expected: object, options?: object][] = [
    ['permanent', permanent, valid],
    ['temporary', temporary, valid],
    ['a second before it expires', temporary, valid, { now: at(1_700_000_599) }],
    ['when it expires', temporary, valid, { now: at(1_700_000_600) }],
    ['a second later', temporary, expired, { now: at(1_700_000_601) }],
    ['the path changed', temporary.replace('b_123', 'b_124'), invalid],
    ['expires changed', temporary.replace('1700000600', '1700000601'), invalid],
    ['expires removed', temporary.replace('&expires=1700000600', ''), invalid],
    ['a parameter appended', `${temporary}&utm_source=mail`, invalid],
    ['one that is ignored appended', `${temporary}&utm_source=mail`, valid, { ignoredParameters: ['utm_source'] }],
    [
      'one that is ignored put first',
      temporary.replace('?', '?utm_source=mail&'),
      valid,
      { ignoredParameters: ['utm_source'] },
    ],
    ['an ignored one without a value', `${temporary}&utm_source`, valid, { ignoredParameters: ['utm_source'] }],
    [
      'an ignored name that is escaped',
      `${temporary}&utm%5Fsource=mail`,
      invalid,
      { ignoredParameters: ['utm_source'] },
    ],
    ['ignored names are no prefixes', `${temporary}&prefix=1`, invalid, { ignoredParameters: ['pre', 'fix'] }],
    ['ignored names are no patterns', `${temporary}&utm_source=1`, invalid, { ignoredParameters: ['*', 'utm_.*'] }],
    ['an empty name that is ignored', `${temporary}&`, valid, { ignoredParameters: [''] }],
    ['a trailing &', `${temporary}&`, invalid],
    ['two &', temporary.replace('&', '&&'), invalid],
    ['the signature first', `${base}?signature=${signature}&a=2&expires=1700000600&z=1`, valid],
    ['other parameters in another order', `${base}?z=1&a=2&expires=1700000600&signature=${signature}`, invalid],
    ['another scheme', temporary.replace('https:', 'http:'), invalid],
    ['another host', temporary.replace('shop.example.com', 'shop.example.org'), invalid],
    ['the default port', temporary.replace('.com/', '.com:443/'), valid],
    ['another port', temporary.replace('.com/', '.com:8443/'), invalid],
    ['the host in capitals', temporary.replace('shop.example.com', 'SHOP.example.COM'), valid],
    ['a slash at the end of the path', temporary.replace('b_123?', 'b_123/?'), valid],
    ['a fragment', `${temporary}#top`, valid],
    ['the signature in capitals', temporary.replace(signature, signature.toUpperCase()), invalid],
    ['the signature cut', temporary.slice(0, -1), invalid],
    ['the signature longer', `${temporary}0`, invalid],
    ['an empty signature', temporary.replace(signature, ''), invalid],
    ['no signature', temporary.replace(`&signature=${signature}`, ''), invalid],
    ['a list as signature', temporary.replace('signature=', 'signature[]='), invalid],
    ['two signatures, the last one right', temporary.replace('signature=', 'signature=bad&signature='), valid],
    ['two signatures, the last one wrong', `${temporary}&signature=bad`, invalid],
    ['expires twice', `${temporary}&expires=1900000000`, invalid],
    ['a character of the path escaped', temporary.replace('b_123', 'b%5F123'), invalid],
    ['relative, on any host', `https://other.example${relative}`, valid, { relative: true }],
    ['relative, without a host', relative, valid, { relative: true }],
    ['relative, verified as absolute', `https://shop.example.com${relative}`, invalid],
    ['absolute, verified as relative', permanent, invalid, { relative: true }],
    ['another key', temporary, invalid, { keys: [oldKey] }],
    ['the previous key beside the new one', signUrl(base, { key: oldKey }), valid, { keys: [key, oldKey] }],
    ['no key', temporary, invalid, { keys: [] }],
    ['an empty text', '', invalid],
  ];
  for (const [what, url, expected, options] of cases) t.same(verify(url, options), expected, what);
});

t.test('parameters with all kinds of characters survive signing', async (t) => {
  const odd = `${base}?name=a%20b%2Bc&utf=%C3%A9%E2%82%AC&marks=!'()*~-_.&empty=&flag&custom-signature=signature%3Dvalue`;
  const url = signUrl(odd, { key });
  t.same(verify(url), valid);
  t.match(url, /name=a%20b%2Bc&utf=%C3%A9%E2%82%AC&signature=/, 'spaces are %20, capitals in escapes');
  t.match(url, /marks=%21%27%28%29%2A~-_\./);
  t.same(verify(url.replace('%20', '+')), invalid, 'the raw bytes are signed');
  t.same(verify(url.replace('%C3', '%c3')), invalid);
});

t.test('a signed expiry that is not a positive integer has expired', async (t) => {
  for (const expires of ['0', 'abc', '-1', '1e99', '', '01700000600', '1700000600.5', '%31e9']) {
    const signed = `${base}?expires=${expires}`;
    t.same(verify(withSignature(signed)), expired, expires);
  }
  const list = `${base}?expires[]=1900000000`;
  t.same(verify(withSignature(list)), expired, 'a list');
});

t.test('a slash at the end of a path is not signed, and not needed', async (t) => {
  for (const url of [
    'https://shop.example.com',
    'https://shop.example.com/',
    `${base}/?a=1`,
    'HTTPS://Shop.Example.com:443/x/',
  ]) {
    t.same(verify(signUrl(url, { key })), valid, url);
  }
  t.same(verify(signUrl('https://shop.example.com/', { key }).replace('.com?', '.com/?')), valid);
  t.same(verify(signUrl('/', { key, relative: true }), { relative: true }), valid);
});

t.test('what cannot be signed throws', async (t) => {
  const refused = [`${base}?signature=1`, `${base}?expires=1`, `${base}?%65xpires=1`, `${base}#top`];
  for (const url of refused) t.throws(() => signUrl(url, { key }), TypeError, url);
  t.throws(() => signUrl('/basket', { key }), TypeError, 'no host');
});

t.test('signer and verifier are what `basketlink/signed-url` exports', async (t) => {
  const script = `import('basketlink/signed-url').then((found) => console.log(Object.keys(found).sort().join()))`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: fromRunner('TEST_COMPILED') });
  t.equal(stdout.trim(), 'signUrl,verifySignedUrl');
});
