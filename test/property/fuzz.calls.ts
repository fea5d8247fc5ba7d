import fc from 'fast-check';
import type { ApiDocument, Operation, Parameter } from './fuzz.document.ts';
import { type Draw, draw, type Kind, known, present, some, sometimes, validOf, wrongValue } from './fuzz.values.ts';

/** What is done to a body that was generated as its schema says. `at` counts its places round and round. */
export type Breakage =
  | { what: 'replace' | 'add' | 'double'; at: number; key: string; value: unknown }
  | { what: 'remove'; at: number };

export type Credential =
  | { as: 'right'; scope: number; partner: boolean }
  | { as: 'apiKey' | 'session'; nth: number }
  | { as: 'tooLittle' | 'neighbour' }
  | { as: 'nobody'; how: string; nth: number };

export type Call = {
  operation: Operation;
  credential: Credential;
  path: Record<string, unknown>;
  query: [name: string, value: unknown][];
  headers: Record<string, unknown>;
  body: { value: unknown; breakage: Breakage | null } | { bytes: string } | null;
  contentType: string | null;
  /** Sent again when it succeeded, for the answer that belongs to its idempotency key. */
  again: boolean;
};

/** A call, or what time does: a basket's runs out, or a basket whose time has run out is swept. */
export type Move = { call: Call } | { lapse: number } | { sweep: number };

/** A number for choosing among what is only known when the call is made. */
const anyPlace = fc.nat({ max: 1000 });

/** What parameters in a path name. The other ids are given by shops: of them a few are used again and again. */
const inPath: Record<string, fc.Arbitrary<unknown>> = {
  shopId: draw('shop'),
  apiKeyId: draw('apiKeyId'),
  id: draw('basket'),
  lineId: draw('line'),
  webhookId: some('hook-1', 'hook-1', 'hook-2'),
  deliveryId: draw('delivery'),
  token: draw('link'),
  basketId: draw('laravelLink'),
  type: some('discount', 'discount', 'discount', 'access', 'creator', 'giftCard'),
  code: some('TENTH', 'TENTH', 'tenth', 'FIVE', 'DOOR', 'ACME'),
};
const aBasketToPay = fc.oneof({ weight: 3, arbitrary: draw('basketInUse') }, { weight: 1, arbitrary: draw('basket') });
const aBasketThatEnded = fc.oneof(
  { weight: 3, arbitrary: draw('endedBasket') },
  { weight: 1, arbitrary: draw('basket') },
);
/** What an `id` in the path of calls names, by their path. */
const basketsFor: readonly [RegExp, fc.Arbitrary<unknown>][] = [
  [/checkout|complete|refund/, aBasketToPay],
  [/recreate/, aBasketThatEnded],
];
const ownInPath = (name: string) => inPath[name] ?? known[name] ?? some('a', 'b');
const foreignInPath: Record<string, Kind> = {
  shopId: 'neighbourShop',
  apiKeyId: 'neighbourApiKeyId',
  id: 'neighbourBasket',
};

/** Makes the arbitraries of a document's calls. */
export function movesOf(document: ApiDocument): fc.Arbitrary<Move> {
  const calls = document.operations.map((operation) => ({
    weight: weights[operation.id] ?? 4,
    arbitrary: callOf(document, operation).map((call): Move => ({ call })),
  }));
  return fc.oneof(
    ...calls,
    { weight: 2, arbitrary: fc.nat({ max: 3 }).map((lapse): Move => ({ lapse })) },
    { weight: 1, arbitrary: fc.nat({ max: 3 }).map((sweep): Move => ({ sweep })) },
  );
}

/** What leads somewhere is called more often than what ends it. */
const weights: Record<string, number> = {
  createBasket: 16,
  pressStartLink: 12,
  pressLaravelLink: 8,
  redeemConfirmation: 14,
  startCheckout: 8,
  leaveCheckout: 6,
  failCheckout: 6,
  completeBasket: 6,
  refundBasket: 3,
  createApiKey: 6,
  putItem: 6,
  patchItem: 6,
  patchBasket: 6,
  changeLine: 7,
  removeLine: 6,
  cancelBasket: 6,
  openStartLink: 6,
  openLaravelLink: 6,
  cancelEvent: 3,
  addLine: 6,
  extendBasket: 5,
  putShop: 2,
};

/** Calls of an operation in which nothing is wrong but, perhaps, this credential. */
export function callsAs(document: ApiDocument, operation: Operation, credential: Credential): fc.Arbitrary<Call> {
  return fc.record({ ...goodPartsOf(document, operation), credential: fc.constant(credential) });
}

function goodPartsOf(document: ApiDocument, operation: Operation) {
  const { parameters } = operation;
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  return {
    operation: fc.constant(operation),
    credential: rightCredential(operation),
    path: pathOf(
      parameters,
      (name) => (name === 'id' && basketsFor.find(([path]) => path.test(operation.path))?.[1]) || ownInPath(name),
    ),
    query: queryOf(document, inQuery),
    headers: headersOf(operation),
    body: bodyOf(document, operation),
    contentType: fc.constant<string | null>(null),
    again: fc.nat({ max: 4 }).map((n) => n === 0),
  };
}

function callOf(document: ApiDocument, operation: Operation): fc.Arbitrary<Call> {
  const { parameters, method } = operation;
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  const good = goodPartsOf(document, operation);
  const badBody = fc.oneof(
    {
      weight: operation.body === null ? 0 : 6,
      arbitrary: fc.record({ value: bodyValueOf(document, operation), breakage }),
    },
    { weight: 1, arbitrary: fc.constantFrom(...brokenBodies).map((bytes) => ({ bytes })) },
  );
  const bad = {
    credential: badCredential,
    path: pathOf(parameters, badInPath),
    query: fc
      .tuple(good.query, fc.array(badQuery(inQuery), { minLength: 1, maxLength: 2 }))
      .map(([good, bad]) => [...good, ...bad]),
    headers: badHeaders,
    body: badBody,
    contentType: fc.constantFrom<string | null>(...wrongContentTypes),
  };
  const withBad = (...names: (keyof typeof bad)[]) =>
    fc.record({ ...good, ...Object.fromEntries(names.map((name) => [name, bad[name]])) }) as fc.Arbitrary<Call>;
  const hasBody = method !== 'GET' && method !== 'DELETE';
  return fc.oneof(
    { weight: 26, arbitrary: withBad() },
    { weight: 5, arbitrary: withBad('credential') },
    { weight: parameters.some((parameter) => parameter.in === 'path') ? 3 : 0, arbitrary: withBad('path') },
    { weight: inQuery.length > 0 ? 6 : 1, arbitrary: withBad('query') },
    { weight: 2, arbitrary: withBad('headers') },
    { weight: hasBody ? 10 : 1, arbitrary: withBad('body') },
    { weight: hasBody ? 2 : 0, arbitrary: withBad('contentType') },
    { weight: 2, arbitrary: withBad('credential', 'path', 'query', 'headers', 'body', 'contentType') },
  );
}

// Credentials

function rightCredential({ admitsSession }: Operation): fc.Arbitrary<Credential> {
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        as: fc.constant('right' as const),
        scope: anyPlace,
        partner: fc.nat({ max: 19 }).map((n) => n === 0),
      }),
    },
    { weight: 2, arbitrary: fc.record({ as: fc.constant('apiKey' as const), nth: fc.nat({ max: 3 }) }) },
    {
      weight: admitsSession ? 2 : 0,
      arbitrary: fc.record({ as: fc.constant('session' as const), nth: fc.nat({ max: 3 }) }),
    },
  );
}

/** Ways to come without a credential that is worth anything: see credentialOf. */
export const nobodies = [
  'none',
  'empty',
  'garbage',
  'basic',
  'expired',
  'otherSecret',
  'unsigned',
  'tampered',
  'unknownApiKey',
  'deletedApiKey',
  'startLink',
  'confirmation',
  'spoiltSession',
] as const;

const badCredential: fc.Arbitrary<Credential> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      as: fc.constant('nobody' as const),
      how: fc.constantFrom(...nobodies),
      nth: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ as: 'tooLittle' as const }) },
  { weight: 1, arbitrary: fc.constant({ as: 'neighbour' as const }) },
  { weight: 1, arbitrary: fc.record({ as: fc.constant('session' as const), nth: fc.nat({ max: 3 }) }) },
);

// Paths, queries and headers

function pathOf(parameters: readonly Parameter[], ofName: (name: string) => fc.Arbitrary<unknown>) {
  const inPath = parameters.filter((parameter) => parameter.in === 'path');
  return fc.record(Object.fromEntries(inPath.map(({ name }) => [name, ofName(name)])));
}

function badInPath(name: string): fc.Arbitrary<unknown> {
  const foreign = foreignInPath[name];
  const own = inPath[name];
  return fc.oneof(
    { weight: foreign ? 4 : 0, arbitrary: draw(foreign ?? 'shop') },
    { weight: own ? 4 : 0, arbitrary: own ? spoilt(own as fc.Arbitrary<Draw>) : fc.constant('') },
    { weight: 4, arbitrary: fc.constantFrom(...malformedIds) },
  );
}

const spoilt = (drawn: fc.Arbitrary<Draw>) =>
  fc
    .record({ drawn, alter: fc.constantFrom('cut', 'change', 'extend') })
    .map(({ drawn, alter }): Draw => ({ ...drawn, alter }));

const malformedIds: unknown[] = [
  'unknown',
  'bkt_01h455vb4pex5vsknk084sn02q',
  'bkt_zzzzzzzzzzzzzzzzzzzzzzzzzz',
  'key_01h455vb4pex5vsknk084sn02q',
  'a b',
  'é',
  '\u0001',
  'a/b',
  '..',
  'x'.repeat(128),
  'x'.repeat(129),
  'x'.repeat(5000),
  '9'.repeat(40),
  '\u202E👩',
  { $raw: '%00' },
  { $raw: '%zz' },
  { $raw: '%' },
  { $raw: '..%2fadmin' },
  { $raw: '%ed%a0%80' },
  { $raw: 'a;b=c' },
];

function queryOf(document: ApiDocument, parameters: readonly Parameter[]) {
  const values = Object.fromEntries(
    parameters.map(({ name, schema }) => [name, sometimes(validOf(document, schema, name), 2)]),
  );
  return fc.record(values).map((record): [string, unknown][] => Object.entries(present(record)));
}

function badQuery(parameters: readonly Parameter[]): fc.Arbitrary<[string, unknown]> {
  const names = [...parameters.map(({ name }) => name), 'evil', '__proto__', 'limit', 'cursor', 'sort', 'a[b]'];
  const values = ['', '0', '-1', '1e9', 'abc', '1.5', 'null', 'x'.repeat(3000), '\u0000', "'", '2026-02-30T00:00:00Z'];
  const value = fc.oneof(fc.constantFrom<unknown>(...values), fc.constant({ $raw: '%zz' }), spoilt(draw('cursor')));
  return fc.tuple(fc.constantFrom(...names), value);
}

function headersOf({ method, path }: Operation): fc.Arbitrary<Record<string, unknown>> {
  if (!path.startsWith('/v1/')) {
    const navigation = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'same-origin' };
    return some({}, navigation, { accept: 'text/html' }, { accept: 'application/json' }).map(
      (headers) => headers as Record<string, unknown>,
    );
  }
  return fc
    .record({
      'idempotency-key': sometimes(some('k-1', 'k-2', '"k-3"', 'k 4', 'k-5', 'k-6'), method === 'POST' ? 3 : 1),
      'if-match': sometimes(draw('etag'), 1),
      'if-none-match': sometimes(draw('etag'), method === 'GET' ? 3 : 1),
    })
    .map(present);
}

const badHeaders: fc.Arbitrary<Record<string, unknown>> = fc.constantFrom<Record<string, unknown>>(
  { 'idempotency-key': '' },
  { 'idempotency-key': '""' },
  { 'idempotency-key': 'x'.repeat(256) },
  { 'idempotency-key': 'clé' },
  { 'idempotency-key': ['one', 'two'] },
  { 'if-match': '"999999"' },
  { 'if-match': 'W/"1"' },
  { 'if-match': '*' },
  { 'if-match': `"${'9'.repeat(30)}"` },
  { 'if-none-match': '*' },
  { 'if-none-match': ',,"",é' },
  { 'content-encoding': 'gzip' },
  { 'content-encoding': 'identity' },
  { expect: '100-continue' },
  { accept: 'text/html', 'accept-language': 'x-!,é;q=9' },
  { accept: 'text/html', 'accept-language': '-' },
  { accept: 'text/html', 'accept-language': 'x'.repeat(500) },
  { accept: '*/*;q=x', origin: 'null', referer: 'not a url' },
  { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
  { origin: 'https://tickets.example' },
  { 'sec-purpose': 'prefetch;prerender', 'user-agent': 'Slackbot' },
  { 'x-forwarded-for': "1.2.3.4, ', 5.6.7.8", 'x-forwarded-host': 'evil.example', forwarded: 'for=x' },
  { 'x-request-id': 'mine', 'x-http-method-override': 'DELETE' },
);

// Bodies

const wrongContentTypes = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json garbage',
  'application/json; charset=utf-16',
  'application/problem+json',
  'application/xml',
  '*/*',
  '',
];

/** Bodies byte for byte, in Latin-1. */
const brokenBodies = [
  '',
  ' ',
  '{',
  '}',
  '{}{}',
  '{"a":}',
  "{'a':1}",
  'null',
  'true',
  '1',
  '"text"',
  '[]',
  '[{}]',
  'NaN',
  '\xEF\xBB\xBF{}',
  '\xFF\xFE{\x00}\x00',
  '{"name":"\xC3\x28"}',
  '\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03\xAB\xAE\x05\x00\x43\xBF\xA6\xA3\x02\x00\x00\x00',
  '{"__proto__":{"admin":true}}',
  '{"constructor":{"prototype":{"admin":true}}}',
  '{"a":1,"a":2}',
  '['.repeat(50_000),
  `${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}`,
  `{"name":"${'x'.repeat(70_000)}"}`,
];

const oddKeys = [
  'evil',
  'status',
  'shopId',
  'id',
  'expiresAt',
  '__proto__',
  'constructor',
  'toString',
  '',
  '\u0000',
  'é',
];

const breakage: fc.Arbitrary<Breakage> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constantFrom('replace', 'replace', 'replace', 'replace', 'add', 'double'),
      at: anyPlace,
      key: fc.constantFrom(...oddKeys),
      value: wrongValue,
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('remove' as const), at: anyPlace }) },
);

function bodyOf(document: ApiDocument, operation: Operation): fc.Arbitrary<Call['body']> {
  if (operation.body === null) return fc.constant(null);
  return bodyValueOf(document, operation).map((value) => ({ value, breakage: null }));
}

function bodyValueOf(document: ApiDocument, operation: Operation): fc.Arbitrary<unknown> {
  const schema = document.resolve(operation.body ?? {});
  if (operation.method !== 'PATCH') return validOf(document, schema, '');
  // A merge patch allows anything: what makes sense is what the same thing is made of.
  const whole =
    document.operations.find(({ method, path }) => method === 'PUT' && path === operation.path) ??
    document.operations.find(({ method, path }) => method === 'POST' && operation.path.startsWith(`${path}/{`));
  const { properties = {} } = document.resolve(whole?.body ?? {});
  const parts = Object.entries(schema.properties ?? {}).map(([name, part]) => {
    const value = validOf(document, properties[name] ?? part, name);
    return [name, sometimes(fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) }), 2)];
  });
  if (schema.required?.length) return validOf(document, schema, '');
  return fc.record(Object.fromEntries(parts) as Record<string, fc.Arbitrary<unknown>>).map(present);
}
