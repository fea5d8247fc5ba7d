import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type {} from '@fastify/swagger';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ProblemCode, problems, type Refusal, refuse } from '../errors.ts';
import { isUnavailable } from '../platform/postgres.ts';
import { contentSecurityPolicy, problemDocumentationPage } from './pages.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Whether what the path names exists for this caller. Asked only before a 400, because a caller who may not know of
     * a thing must get the 404 whatever the body looks like.
     */
    exists?: (request: FastifyRequest) => Promise<boolean>;
  }
  interface FastifyReply {
    /** The codes of all that was refused, for those who count; null: nothing was. */
    refusals: ProblemCode[] | null;
  }
}

/** Has a refusal counted with the answer that it is a part of. */
export function noteRefusal(reply: FastifyReply, code: ProblemCode): void {
  reply.refusals = [...(reply.refusals ?? []), code];
}

const soonSeconds = 1;

/** The body of a refusal as RFC 9457 has it. `publicUrl` is where the page about the code is. */
export function problemBody(refusal: Refusal, publicUrl: string, requestId: string) {
  const row = problems[refusal.refused];
  return {
    type: `${publicUrl}/problems/${refusal.refused}`,
    title: row.title as string,
    status: refusal.status ?? row.status,
    detail: refusal.detail ?? row.text,
    code: refusal.refused as string,
    requestId,
    ...refusal.extensions,
  };
}

/**
 * Answers what was not even an HTTP request, on the bare socket: there is no request yet to reply to. `error` is what
 * Node's parser said.
 */
export function sendParserProblem(error: NodeJS.ErrnoException, socket: Duplex, publicUrl: string): void {
  const code =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'headers_too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request_timeout'
        : 'invalid_request';
  const body = JSON.stringify(problemBody(refuse(code), publicUrl, randomUUID()));
  const { status } = problems[code];
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroy();
}

/**
 * Answers a refusal as problem+json, with the headers that its status calls for. `body` is the problem in another form
 * than problemBody's.
 */
export function sendProblem(
  reply: FastifyReply,
  refusal: Refusal,
  body: { status: number } = problemBody(refusal, reply.server.publicUrl, reply.request.id),
): FastifyReply {
  const { status } = body;
  noteRefusal(reply, refusal.refused);
  if (status === 401) {
    reply.header('www-authenticate', reply.request.routeOptions.config.storefront ? 'Basic' : 'Bearer');
  }
  const comesBack = status === 429 || status === 503 || refusal.refused === 'idempotency_in_progress';
  if (comesBack && !reply.hasHeader('retry-after'))
    reply.header('retry-after', refusal.retryAfterSeconds ?? soonSeconds);
  // Serialised here: the schemas of a route describe its answers, and a problem carries what its code names.
  return reply.code(status).type('application/problem+json').serializer(JSON.stringify).send(body);
}

declare module 'fastify' {
  interface FastifyInstance {
    publicUrl: string;
    methodsByUrl: Map<string, Set<string>>;
  }
}

/** What a thrown error means to the caller. Whatever is not expected is a 500 without a word about its cause. */
export function refusalOf(error: FastifyError | Error): Refusal {
  if ('validation' in error && error.validation) {
    return schemaRefusal(error.validation[0], error.validationContext ?? 'body');
  }
  const code = 'code' in error ? error.code : undefined;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('payload_too_large');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return refuse('unsupported_media_type');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return refuse('invalid_request', { detail: 'The body is not as long as Content-Length says.' });
    case 'FST_ERR_BAD_URL':
      return refuse('invalid_request', { detail: 'The path is not a valid URL path.' });
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return refuse('not_found');
  }
  return refuse(isUnavailable(error) ? 'unavailable' : 'internal_error');
}

type SchemaFailure = { instancePath: string; params: Record<string, unknown>; message?: string };

/** The refusal for a value that broke a schema: names the place as a JSON pointer, for a body, or a parameter. */
export function schemaRefusal(failure: SchemaFailure | undefined, part: string): Refusal {
  const unknown = failure?.params.additionalProperty;
  const missing = failure?.params.missingProperty;
  const name = typeof unknown === 'string' ? unknown : typeof missing === 'string' ? missing : undefined;
  const within = failure?.instancePath ?? '';
  const pointer = name === undefined ? within : `${within}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const said =
    typeof unknown === 'string'
      ? 'is not a known property'
      : typeof missing === 'string'
        ? 'is required'
        : (failure?.message ?? 'is not valid');
  const where = part === 'body' ? pointer : `${part === 'querystring' ? 'query' : part}${pointer}`;
  return refuse('invalid_request', {
    detail: `${where === '' ? 'The body' : where} ${said}.`,
    extensions: { errors: [{ pointer: where, detail: said }] },
  });
}

/** An error that carries a refusal out of a place that can only throw, such as a hook or a body parser. */
export class RefusalError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.refused);
    this.refusal = refusal;
  }
}

/** What an error means to this caller: a 400 about something that does not exist for them is a 404. */
async function meaningOf(error: FastifyError | RefusalError, request: FastifyRequest): Promise<Refusal> {
  const refusal = error instanceof RefusalError ? error.refusal : refusalOf(error);
  if (problems[refusal.refused].status !== 400) return refusal;
  // What is no id names nothing, and is not looked up; whoever would make something by that name is told why it cannot
  // be.
  const areIds = request.getValidationFunction('params');
  if (areIds?.(request.params) === false) return request.method === 'PUT' ? refusal : refuse('not_found');
  const { exists } = request.routeOptions.config;
  return exists && !(await exists(request)) ? refuse('not_found') : refusal;
}

/** The same, and a log line about what nobody expected: whatever was thrown on the way is the last word. */
export async function refusalBehind(error: FastifyError | RefusalError, request: FastifyRequest): Promise<Refusal> {
  let cause: Error = error;
  const refusal = await meaningOf(error, request).catch((failure: Error) => {
    cause = failure;
    return refusalOf(failure);
  });
  if (refusal.refused === 'internal_error' || refusal.refused === 'unavailable') {
    request.log.error({ err: cause }, 'request failed');
  }
  return refusal;
}

/** Turns every thrown error and unknown path into a problem, and serves the page about each code. */
export function problemHandling(app: FastifyInstance, publicUrl: string): void {
  app.decorate('publicUrl', publicUrl);
  app.decorateReply('refusals', null);
  const methodsByUrl = new Map<string, Set<string>>();
  app.decorate('methodsByUrl', methodsByUrl);
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByUrl.get(url) ?? new Set<string>();
    for (const name of [method].flat()) methods.add(name);
    methodsByUrl.set(url, methods);
  });

  app.setErrorHandler(async (error: FastifyError | RefusalError, request, reply) =>
    sendProblem(reply, await refusalBehind(error, request)),
  );
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, refuse('not_found')));

  app.get<{ Params: { code: string } }>('/problems/:code', { schema: { hide: true } }, (request, reply) => {
    const { code } = request.params;
    if (!isProblemCode(code)) return sendProblem(reply, refuse('not_found'));
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', contentSecurityPolicy({ formActionOrigins: [] }))
      .send(problemDocumentationPage({ code, ...problems[code] }));
  });
}

/** Registered last, when every route is known: the methods that a path does not have answer 405 and name those it has. */
export function methodsNotAllowed(app: FastifyInstance): void {
  app.register(async (instance) => {
    for (const [url, methods] of [...app.methodsByUrl]) {
      const allowed = [...methods].sort().join(', ');
      const rest = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter((name) => !methods.has(name));
      instance.route({
        method: rest,
        url,
        exposeHeadRoute: false,
        schema: { hide: true },
        onRequest: async (_request, reply) => sendProblem(reply.header('allow', allowed), refuse('method_not_allowed')),
        handler: () => {},
      });
    }
  });
}

function isProblemCode(text: string): text is ProblemCode {
  return Object.hasOwn(problems, text);
}
