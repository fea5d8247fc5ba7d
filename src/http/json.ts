import type { FastifyInstance } from 'fastify';
import { refuse } from '../errors.ts';
import { RefusalError } from './problems.ts';

const maxDepth = 16;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads bodies as strict JSON in UTF-8: no other content type or charset, no encoding, no `__proto__` (Fastify's own
 * parser sees to that), and nothing that Postgres would refuse later or that would not come back as it was sent: NUL,
 * lone surrogates, numbers that a double cannot keep, deep nesting. A byte order mark is skipped. Of a key that stands twice, the last value counts, as JSON.parse has it.
 * An empty body is an empty object, so that a POST which needs none may send none.
 */
export function strictJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1];
    if (charset !== undefined && charset.toLowerCase() !== 'utf-8') {
      return done(new RefusalError(refuse('unsupported_media_type')));
    }
    if (body.length === 0) return done(null, {});
    let text: string;
    try {
      text = utf8.decode(body as Buffer);
    } catch {
      return done(new RefusalError(refuse('invalid_json', { detail: 'The body is not UTF-8.' })));
    }
    parse(request, text, (error, value) => {
      if (error) return done(new RefusalError(refuse('invalid_json', { detail: 'The body cannot be read as JSON.' })));
      const problem = unstorable(value, '', 1);
      if (problem === undefined) return done(null, value);
      return done(
        new RefusalError(
          refuse('invalid_request', {
            detail: `${problem.pointer} ${problem.detail}.`,
            extensions: { errors: [problem] },
          }),
        ),
      );
    });
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const encoding = request.headers['content-encoding'];
    if (encoding === undefined || encoding === 'identity') return done();
    done(new RefusalError(refuse('unsupported_media_type')));
  });
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.body === undefined && request.method !== 'GET' && request.method !== 'HEAD') request.body = {};
    done();
  });
}

type Unstorable = { pointer: string; detail: string };

/** Whether a text comes back from Postgres as it was sent there. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

function unstorable(value: unknown, pointer: string, depth: number): Unstorable | undefined {
  if (typeof value === 'string') {
    return isStorable(value) ? undefined : { pointer, detail: 'holds NUL or half a surrogate pair' };
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return { pointer, detail: 'is beyond the range of a number' };
    // JSON.parse has rounded it already: kept, it would come back as another number.
    const rounded = Number.isInteger(value) && !Number.isSafeInteger(value);
    return rounded ? { pointer, detail: 'is too large to be kept exactly: send it as text' } : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth > maxDepth) return { pointer, detail: `is nested deeper than ${maxDepth} levels` };
  for (const [key, member] of Object.entries(value)) {
    const within = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const problem = isStorable(key)
      ? unstorable(member, within, depth + 1)
      : { pointer, detail: 'has a key with NUL or half a surrogate pair' };
    if (problem) return problem;
  }
  return undefined;
}
