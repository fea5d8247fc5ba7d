import fc from 'fast-check';
import type { ApiDocument, JsonSchema } from './fuzz.document.ts';

/** What earlier answers of a run have given, by what it is; `neighbour…` is the same of another shop. */
export type Kind =
  | 'shop'
  | 'basket'
  | 'basketInUse'
  | 'endedBasket'
  | 'line'
  | 'apiKeyId'
  | 'delivery'
  | 'lease'
  | 'due'
  | 'etag'
  | 'cursor'
  | 'link'
  | 'laravelLink'
  | 'confirmation'
  | 'spentConfirmation'
  | 'session'
  | 'neighbourShop'
  | 'neighbourBasket'
  | 'neighbourApiKeyId'
  | 'neighbourConfirmation'
  | 'neighbourSession';

/**
 * Stands in a generated value for what an earlier answer gave: the one that so many newer ones came after, counted round
 * and round. `alter` spoils it. In its place stands something of that form that was never given when there is none.
 */
export type Draw = { $draw: Kind; nth: number; alter?: 'cut' | 'change' | 'extend' };
/** Stands for text that goes into the JSON, or the path, as it is. */
type Raw = { $raw: string };
export const draw = ($draw: Kind): fc.Arbitrary<Draw> => fc.nat({ max: 3 }).map((nth) => ({ $draw, nth }));
export const some = (...values: unknown[]) => fc.constantFrom(...values);

/** All in one, so that whoever stumbles over any of it is found soon. */
const nastiest = `<b>&"'\\\u202E\u200B\u0001\u007F\r\n%s{{7*7}}\u{1F469}\u200D\u{1F466}\uFEFF`;
const nastyTexts = [
  nastiest,
  '<script>alert(1)</script>',
  '{{7*7}}$(id)%s%n',
  "'; DROP TABLE baskets; --",
  '\u202Eevil\u200B',
  '\u0001\u0007\u001B[31m',
  'a\r\nSet-Cookie: b=c',
  '../../etc/passwd',
  '__proto__',
  ' ',
  '𝕏👩‍👩‍👧‍👦',
];

/** What words of this API mean, where their schema only says that they are text or a number. */
export const known: Record<string, fc.Arbitrary<unknown>> = {
  itemId: some('stalls', 'stalls', 'stalls', 'circle', 'circle', 'mug', 'mug', 'mug', 'new-1'),
  eventId: some('evt-1', 'evt-2', 'evt-3'),
  poolId: some('pool-1', 'pool-2'),
  id: some('anna', 'ben'),
  customerId: some('anna', 'ben'),
  orderId: fc.nat({ max: 30 }).map((nth) => `order-${nth}`),
  currency: some('GBP', 'GBP', 'GBP', 'EUR', 'JPY'),
  campaign: some('spring', 'autumn'),
  locale: some('en-GB', 'de', 'ar-EG', 'ja'),
  country: some('GB', 'DE'),
  confirmUrl: some('https://tickets.example/confirm', 'https://tickets.example/confirm?a=b'),
  basketUrl: some('https://tickets.example/basket'),
  errorUrl: some('https://tickets.example/problem'),
  supportUrl: some('https://tickets.example/help'),
  url: some('https://ident.example/sign-in'),
  successRedirectUrl: some('https://partner.example/paid', 'https://partner.example/paid?x=1'),
  failureRedirectUrl: some('https://partner.example/failed'),
  cancelRedirectUrl: some('https://partner.example/back'),
  allowedRedirectOrigins: fc.constant(['https://tickets.example', 'https://partner.example']),
  quantity: fc.integer({ min: 1, max: 3 }),
  price: fc.integer({ min: 0, max: 10_000 }),
  taxRate: some(0, 0.2, 0.075, 0.0001),
  capacity: some(0, 5, 1000, 1_000_000),
  since: some('2020-01-01T00:00:00.000Z', '2099-01-01T00:00:00.000Z'),
  delta: some(-1, 0, 1, 1000),
  maxPerBasket: fc.integer({ min: 1, max: 10 }),
  packageId: fc.nat({ max: 10_000 }).map((nth) => nth + 1),
  saleStartsAt: some('2020-01-01T00:00:00.000Z', '2020-01-01T00:00:00+02:00'),
  saleEndsAt: some('2099-01-01T00:00:00.000Z'),
  ipAddress: some('203.0.113.7', '2001:db8::1', '::ffff:203.0.113.7'),
  keys: some([], [`base64:${Buffer.alloc(32, 1).toString('base64')}`], ['a key of sixteen']),
  amount: draw('due'),
  leaseId: draw('lease'),
  token: fc.oneof(
    { weight: 8, arbitrary: draw('confirmation') },
    { weight: 1, arbitrary: draw('spentConfirmation') },
    { weight: 1, arbitrary: draw('neighbourConfirmation') },
  ),
  context: some('customer', 'customer', 'customer', 'customer', 'customer', 'box_office'),
  sessionToken: draw('session'),
  currentBasketId: draw('basket'),
  cursor: draw('cursor'),
  username: some('Anna', 'Ben'),
  usernameId: some('76561198000000001', 'b0b5c0de'),
  code: some('TENTH', 'tenth', 'FIVE', 'DOOR', 'ACME', 'NO-CODE'),
  discountCodes: some([], [], [], ['TENTH'], ['five', 'TENTH'], ['NO-CODE']),
  accessCodes: some([], [], [], ['DOOR'], ['door'], ['NO-CODE']),
  giftCards: some([], [], [], ['4000 1234 5678'], ['400012345678'], ['0000 0000']),
  number: some('4000 1234 5678', '400012345678', '0000-0000', '9999 9999'),
  balance: fc.nat({ max: 5000 }),
  creatorCode: some(null, null, 'ACME', 'NO-CODE'),
  value: fc.integer({ min: 1, max: 10_000 }),
  minimumSpend: some(0, 1000),
  maxUses: some(null, 1, 1000),
  maxUsesPerCustomer: some(null, 1, 3),
  validFrom: some(null, '2020-01-01T00:00:00.000Z'),
  validTo: some(null, '2099-01-01T00:00:00.000Z'),
};

const absent = Symbol('absent');
export const sometimes = (value: fc.Arbitrary<unknown>, weight = 3) =>
  fc.oneof({ weight: 10 - weight, arbitrary: fc.constant(absent) }, { weight, arbitrary: value });
export const present = (record: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== absent));

const raw = ($raw: string): Raw => ({ $raw });
/** What no schema of this API allows everywhere, in kinds that come equally often. */
const wrongValues: unknown[][] = [
  [null, true, false, 0, -1, 1.5, 2_147_483_647, 2_147_483_648, -2_147_483_649, 9_007_199_254_740_991, 1e21, 5e-324],
  ['9007199254740993', '1e400', '-1e400', '1e-400', '1E+2', '-0', '1.0000000000000000000001'].map(raw),
  ['', '2', 'true', 'null', 'x'.repeat(257), 'x'.repeat(20_000), 'NaN', '0x10', '1e3', ...nastyTexts],
  ['\u0000', 'a\u0000b', '\ud800', 'a\udc00', raw('{"\\u0000":1}'), raw('{"\\ud800":1}')],
  [[], [[]], {}, { a: 1 }, [null], { length: 1 }, { toString: 1 }, raw('{"then":1}'), raw('{"a":1,"a":"2"}')],
  [
    ...['2026-02-30T00:00:00Z', '0000-01-01T00:00:00Z', '2026-06-30T23:59:60Z', '+275760-09-13T00:00:00Z'],
    ...['https://evil.example', 'https://a@tickets.example', 'javascript:alert(1)', 'https://tickets.example\\@x'],
    ...['http://[', '999.1.1.1', '127.1', '[::1]', 'fe80::1%eth0', 'a@b\r\nBcc:x@y', 'a@b'],
  ],
  [
    raw(`${'['.repeat(17)}${']'.repeat(17)}`),
    raw(`${'{"a":'.repeat(9)}1${'}'.repeat(9)}`),
    raw(`${'['.repeat(5_000)}${']'.repeat(5_000)}`),
    raw('{"__proto__":1}'),
    raw('{"constructor":{"prototype":1}}'),
    raw(`{"a":"${'x'.repeat(17_000)}"}`),
  ],
];
export const wrongValue = fc.oneof(...wrongValues.map((values) => fc.constantFrom(...values)));

/** Values that a schema allows. Of what it calls by a name that is known, mostly those that mean something. */
export function validOf(document: ApiDocument, schema: JsonSchema, name: string): fc.Arbitrary<unknown> {
  const resolved = document.resolve(schema);
  const bySchema = bySchemaAlone(document, resolved, name);
  const meant = resolved.enum && name !== 'context' ? undefined : known[name];
  const value = meant ? fc.oneof({ weight: 12, arbitrary: meant }, { weight: 1, arbitrary: bySchema }) : bySchema;
  return [resolved.type].flat().includes('null')
    ? fc.oneof({ weight: 2, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) })
    : value;
}

function bySchemaAlone(document: ApiDocument, schema: JsonSchema, name: string): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => validOf(document, one, name)));
  const type = [schema.type].flat().find((type) => type !== 'null');
  switch (type) {
    case 'object':
      return objectOf(document, schema);
    case 'array': {
      const { items = {}, minItems = 0, maxItems = 3, uniqueItems = false } = schema;
      const bounds = { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, 3)) };
      const item = validOf(document, items, name);
      return uniqueItems ? fc.uniqueArray(item, bounds) : fc.array(item, bounds);
    }
    case 'string':
      return textOf(schema);
    case 'integer': {
      const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = schema;
      return fc.oneof(
        fc.integer({ min: minimum, max: Math.min(maximum, minimum + 20) }),
        fc.integer({ min: minimum, max: maximum }),
        fc.constantFrom(minimum, maximum),
      );
    }
    case 'number': {
      const { minimum = 0, maximum = 1e9 } = schema;
      return fc.oneof(
        fc.integer({ min: minimum, max: maximum }),
        fc.double({ min: minimum, max: maximum, noNaN: true }).filter((value) => !Object.is(value, -0)),
      );
    }
    case 'boolean':
      return fc.boolean();
    default:
      return schema.type === undefined
        ? fc.oneof(known[name] ?? fc.constant('text'), fc.constantFrom<unknown>(null, 1, 'text', {}, []))
        : fc.constant(null);
  }
}

function objectOf(document: ApiDocument, schema: JsonSchema): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const parts = Object.entries(properties).map(([name, part]) => {
    const value = validOf(document, part, name);
    return [name, required.includes(name) && part.default === undefined ? value : sometimes(value)] as const;
  });
  const named = fc.record(Object.fromEntries(parts)).map(present);
  if (additionalProperties === undefined || additionalProperties === false) return named;
  const key = fc.constantFrom('server_id', 'a', 'toString', 'hasOwnProperty', 'then', 'é', '');
  const value =
    additionalProperties === true
      ? fc.constantFrom<unknown>(1, 0.5, null, true, ...nastyTexts, [1, [2]], { a: { b: [] } })
      : validOf(document, additionalProperties, '');
  return fc
    .tuple(named, fc.dictionary(key, value, { maxKeys: 3, noNullPrototype: true }))
    .map(([named, more]) => ({ ...more, ...named }));
}

function textOf({ pattern, format, minLength = 0, maxLength = 300 }: JsonSchema): fc.Arbitrary<string> {
  if (format === 'date-time') {
    const [min, max] = [new Date('2001-01-01'), new Date('2099-12-31')];
    return fc.date({ min, max, noInvalidDate: true }).map((date) => date.toISOString());
  }
  if (format === 'email') return fc.constantFrom('anna@example.com', 'b+c@sub.example.org', "o'hara@example.com");
  if (pattern === '^[A-Za-z0-9_.:-]{1,128}$') return fc.stringMatching(/^[A-Za-z0-9_.:-]{1,12}$/);
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  const fitting = nastyTexts.filter(({ length }) => length >= minLength && length <= maxLength);
  const bounds = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, minLength + 30)) };
  return fc.oneof(
    fc.string({ unit: 'grapheme-ascii', ...bounds }),
    fc.string({ unit: 'grapheme', ...bounds }).filter(({ length }) => length <= maxLength),
    nastiest.length <= maxLength ? fc.constant(nastiest) : fc.constant('x'.repeat(minLength)),
    fitting.length > 0 ? fc.constantFrom(...fitting) : fc.constant('x'.repeat(minLength)),
    fc.constant('x'.repeat(maxLength)),
  );
}
