import t from 'tap';
import { type ApiDocument, documentOf } from './fuzz.document.ts';
import { type Expectation, type FuzzAnswer, judge } from './fuzz.judge.ts';

const problemSchema = {
  type: 'object',
  additionalProperties: true,
  required: ['type', 'title', 'status', 'detail', 'code', 'requestId'],
};
const refused = { content: { 'application/problem+json': { schema: problemSchema } } };
const mug = { type: 'object', required: ['name'], properties: { name: { type: 'string' } } };

const [readMug, openPage] = documentOf({
  paths: {
    '/v1/mug': {
      get: {
        operationId: 'readMug',
        security: [{ bearer: [] }],
        responses: {
          200: { content: { 'application/json': { schema: mug } } },
          204: {},
          401: refused,
          404: refused,
          409: refused,
          429: refused,
        },
      },
    },
    '/page': { post: { operationId: 'openPage', responses: { 200: { content: { 'text/html': {} } }, 303: {} } } },
  },
  components: { schemas: {} },
}).operations as [ApiDocument['operations'][0], ApiDocument['operations'][0]];

const good: FuzzAnswer = {
  status: 200,
  headers: { 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'r1' },
  text: '{"name":"Mug"}',
  tookMs: 3,
  wrote: false,
};
const problem = {
  type: 'https://shop.example/problems/not_found',
  title: 'There is nothing here',
  status: 404,
  detail: 'Check the id.',
  code: 'not_found',
  requestId: 'r1',
};
const refusal = (said: object = {}): FuzzAnswer => ({
  ...good,
  status: 404,
  headers: { ...good.headers, 'content-type': 'application/problem+json' },
  text: JSON.stringify({ ...problem, ...said }),
});
const unauthorized = { status: 401, code: 'unauthorized', type: 'https://shop.example/problems/unauthorized' };

const nothingKnown: Expectation = { only: null, wrong: [] };
const judged = (answer: FuzzAnswer, expectation = nothingKnown) => judge(readMug, expectation, answer).join('; ');

t.test('an answer as documented passes', async (t) => {
  t.equal(judged(good), '');
  t.equal(judged(refusal()), '');
  t.equal(judged({ ...good, status: 204, headers: { 'x-request-id': 'r1' }, text: '' }), '');
  const challenged = refusal(unauthorized);
  const headers = { ...challenged.headers, 'www-authenticate': 'Bearer' };
  t.equal(judged({ ...challenged, status: 401, headers }, { only: { statuses: [401], because: 'no' }, wrong: [] }), '');
  const page = { ...good, headers: { ...good.headers, 'content-type': 'text/html' }, text: '<!doctype html><p>' };
  t.same(judge(openPage, nothingKnown, page), []);
});

const bad: Record<string, [answer: FuzzAnswer, found: RegExp, expectation?: Expectation]> = {
  'a crash': [{ ...refusal({ status: 500, code: 'internal_error' }), status: 500 }, /the service broke/],
  'a status that is not documented': [{ ...good, status: 206 }, /206 is not documented/],
  'another content type': [
    { ...good, headers: { ...good.headers, 'content-type': 'text/plain' } },
    /text\/plain is not documented/,
  ],
  'no content type': [{ ...good, headers: { 'x-request-id': 'r1' } }, /undefined is not documented/],
  'a property that is not documented': [{ ...good, text: '{"name":"Mug","secret":1}' }, /must NOT have additional/],
  'a property that is missing': [{ ...good, text: '{}' }, /required property 'name'/],
  'JSON that ends too early': [{ ...good, text: '{"name":' }, /cannot be read/],
  'a body where there is none': [{ ...good, status: 204 }, /a body, where none/],
  'a hang': [{ ...good, tookMs: 5001 }, /it took 5001 ms/],
  'a code that nobody knows': [refusal({ code: 'oops' }), /nobody knows the code oops/],
  'a code with another status': [
    { ...refusal({ code: 'not_found', status: 409 }), status: 409 },
    /does not go with 409/,
  ],
  'a problem with another status': [refusal({ status: 400 }), /the problem says 400/],
  'a problem with another request id': [refusal({ requestId: 'r2' }), /request id is another/],
  'a problem without its shape': [refusal({ title: undefined }), /required property 'title'/],
  'a query in an error': [refusal({ detail: 'in SELECT name FROM mugs' }), /the inside of the service/],
  'a stack in an error': [refusal({ detail: 'at read (/app/src/mug.js:3:14)' }), /the inside of the service/],
  'no challenge': [{ ...refusal(unauthorized), status: 401 }, /no WWW-Authenticate/],
  'no word of when to come back': [
    {
      ...refusal({ status: 429, code: 'rate_limited', type: 'https://shop.example/problems/rate_limited' }),
      status: 429,
    },
    /no Retry-After/,
  ],
  'a refusal that writes': [{ ...refusal(), wrote: true }, /something was written/],
  'a read that writes': [{ ...good, wrote: true }, /something was written/],
  'a success of what is wrong': [
    good,
    /although the body is not JSON/,
    { only: null, wrong: ['the body is not JSON'] },
  ],
  'a credential that nobody looked at': [
    good,
    /200 instead of 401: no credential/,
    { only: { statuses: [401], because: 'no credential' }, wrong: [] },
  ],
};

for (const [what, [answer, found, expectation]] of Object.entries(bad)) {
  t.test(`${what} is found`, async (t) => {
    t.match(judged(answer, expectation), found);
  });
}

t.test('a click that ends on the shop’s problem page has not succeeded, one that brings a token has', async (t) => {
  const to = (location: string): FuzzAnswer => ({
    ...good,
    ...{ status: 303, headers: { 'x-request-id': 'r1', location }, text: '' },
  });
  const revoked: Expectation = { only: null, wrong: ['the link is revoked'] };
  t.same(judge(openPage, revoked, to('https://shop.example/problem?error=link_revoked&basket_id=b')), []);
  t.match(judge(openPage, revoked, to('https://shop.example/confirm?token=abc')), [/although the link is revoked/]);
});
