import { randomUUID } from 'node:crypto';
import { Type } from '@sinclair/typebox';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Config } from '../config.ts';
import { refuse } from '../errors.ts';
import { lateCompilers, strictly } from './compilers.ts';
import type { RequestMetrics } from './metrics.ts';
import { RefusalError, refusalOf, sendParserProblem, sendProblem } from './problems.ts';
import { strict } from './schema.ts';

const bodyBytes = 64 * 1024;
const headerBytes = 16 * 1024;
const arriveWithinMs = 10_000;
/** Node's own 30 s would let a slow request take 40. */
const lookForSlowEveryMs = 1000;
const answerWithinMs = 5000;

/**
 * Makes the Fastify instance with the limits and the strictness that every route shares: nothing is coerced or dropped,
 * bodies, headers and waits are bounded, unknown query parameters under `/v1` are refused, and each request is one line
 * of log and one of the counted with its route pattern, since paths and queries carry tokens.
 */
export function makeFastify(
  config: Pick<Config, 'trustProxy' | 'publicUrl'>,
  logger: FastifyBaseLogger,
  metrics: RequestMetrics,
): FastifyInstance {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    trustProxy: config.trustProxy,
    bodyLimit: bodyBytes,
    requestTimeout: arriveWithinMs,
    connectionTimeout: 2 * arriveWithinMs,
    forceCloseConnections: 'idle',
    http: {
      maxHeaderSize: headerBytes,
      headersTimeout: arriveWithinMs,
      connectionsCheckingInterval: lookForSlowEveryMs,
    },
    // No shorter than a path can be: an over-long token is an invalid link, an over-long id an unknown one.
    routerOptions: { maxParamLength: headerBytes },
    schemaController: { compilersFactory: lateCompilers() },
    ajv: { customOptions: strictly },
    clientErrorHandler: (error, socket) => sendParserProblem(error, socket, config.publicUrl),
    frameworkErrors: (error, request, reply) => {
      sendProblem(reply.header('x-request-id', request.id), refusalOf(error));
      noteAnswer(request, reply, metrics);
    },
  });
  answerInTime(app, metrics);
  // Whoever expects what we do not know is served as anybody else (RFC 9110, 10.1.1), not with Node's bare 417.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRoute', (route) => {
    if (!route.url.startsWith('/v1/') || route.schema?.hide) return;
    route.schema = { querystring: Type.Object({}, strict), ...route.schema };
  });
  // Hooks for all requests are no promises where they need not be: each would make every request wait for its turn.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
    // Baskets, links and sessions are for whoever asked, and old a moment later.
    if (request.url.startsWith('/v1/')) reply.header('cache-control', 'no-store');
    if (timesSent(request, 'host') <= 1) return done();
    done(new RefusalError(refuse('invalid_request', { detail: 'The request has two Host headers.' })));
  });
  app.addHook('preValidation', ({ query }, _reply, done) => {
    // Query strings have no numbers: the one number that lists take is read here, for the schema to check.
    if (isObject(query) && typeof query.limit === 'string' && /^\d{1,6}$/.test(query.limit)) {
      query.limit = Number(query.limit);
    }
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    noteAnswer(request, reply, metrics);
    done();
  });
  return app;
}

/**
 * Answers 503 when a request is not answered in time, counted from when its body has arrived. Fastify's own
 * `handlerTimeout` ends as soon as a body was read, so that it never applies to a POST that has one
 * (https://github.com/fastify/fastify/pull/6725).
 */
function answerInTime(app: FastifyInstance, metrics: RequestMetrics): void {
  const timers = new WeakMap<FastifyRequest, NodeJS.Timeout>();
  app.addHook('onRequest', (request, reply, done) => {
    const timer = setTimeout(() => {
      // A body that does not arrive is Node's to time out, with 408.
      if (request.raw.complete && !reply.sent) reply.send(new RefusalError(refuse('unavailable')));
    }, answerWithinMs);
    timers.set(request, timer);
    metrics.begun();
    reply.raw.once('close', () => {
      metrics.gone();
      clearTimeout(timer);
    });
    done();
  });
  app.addHook('preValidation', (request, _reply, done) => {
    timers.get(request)?.refresh();
    done();
  });
}

/** How often a request has a header, whose name is given in small letters. Of most, Node keeps only one. */
export function timesSent({ raw: { rawHeaders } }: FastifyRequest, name: string): number {
  let times = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const sent = rawHeaders[at];
    if (sent?.length === name.length && sent.toLowerCase() === name) times += 1;
  }
  return times;
}

function noteAnswer(request: FastifyRequest, reply: FastifyReply, metrics: RequestMetrics): void {
  const { method } = request;
  const { url: route = 'unknown' } = request.routeOptions;
  const { statusCode: status, elapsedTime: durationMs, refusals } = reply;
  metrics.answered({ method, route, status, durationMs, refusals });
  request.log.info(
    {
      method,
      route,
      status,
      durationMs: Math.round(durationMs * 10) / 10,
      shopId: request.caller?.shopId,
    },
    'request',
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
