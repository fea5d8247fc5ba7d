import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Attributes,
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type pg from 'pg';
import type { Logger } from 'pino';
import { openBatchQueue } from './batch-queue.ts';
import type { Outbound } from './outbound.ts';
import type { RedisConnection } from './redis.ts';

/*
 * OpenTelemetry, which is loaded with this module (but for its interface, which prom-client brings): server.ts imports it
 * only where traces are wanted, and puts it in the way of calls only then.
 *
 * Spans are made by hand at the few places through which everything goes, since what makes them automatically hooks into
 * the loading of modules, which works differently in each version of Node.js. They say what was called and how it ended,
 * never with what: no path, no query string, no parameter of a statement, no key of Redis, no message of an error.
 */

const flushedWithinMs = 1000;
const exportedWithinMs = 5000;

/** A request as a span: all that is called by `run`, and by what that calls, belongs to it. */
type RequestSpan = {
  run(work: () => void): void;
  /** `route` is the pattern, null where there is none for the path. */
  end(answered: { route: string | null; status: number; requestId: string; shopId: string | null }): void;
};

/** What traces are made with. Spans of Postgres and Redis are made for requests alone, not for work in the background. */
export type Tracing = {
  /** Begins the span of a request, in the trace that its `traceparent` names, if any. */
  startRequest(method: string, headers: IncomingHttpHeaders): RequestSpan;
  /**
   * Has every statement that is sent through the pool for a request be a span, and every change that is announced in a
   * transaction of its keep which (`outbox.traceparent`).
   */
  tracePool(pool: pg.Pool): void;
  traceRedis(redis: RedisConnection): RedisConnection;
  /** Each request to others is a span of this name, and tells them so in `traceparent`; one that is given is its parent. */
  traceOutbound(outbound: Outbound, name: string): Outbound;
  /**
   * As openBatchQueue. A batch is a span of the trace of the first request in it, under which its statements are; it is
   * linked with the requests of the others, and they with it.
   */
  openQueue: typeof openBatchQueue;
  /** Sends what has not been sent yet, within a second. */
  stop(): Promise<void>;
};

/** Opens tracing to an OTLP collector, whose URL is that before `/v1/traces`. A collector that is away is only logged. */
export function openTracing(endpoint: string, logger: Logger): Tracing {
  setGlobalErrorHandler((error) => logger.warn({ err: error }, 'traces could not be exported'));
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
    timeoutMillis: exportedWithinMs,
  });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'basketlink' }).merge(
      detectResources({ detectors: [envDetector] }),
    ),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer('basketlink');
  const propagator = new W3CTraceContextPropagator();
  /** The span that whatever runs belongs to. */
  const active = new AsyncLocalStorage<Span | undefined>();
  const within = (span: Span) => trace.setSpan(ROOT_CONTEXT, span);

  /** Begins a span below the active one; null where there is none, or where it has ended already. */
  function startChild(name: string, options: SpanOptions): Span | null {
    const parent = active.getStore();
    return parent?.isRecording() ? tracer.startSpan(name, options, within(parent)) : null;
  }

  /** The active span, as in the header of this name. */
  function activeTraceparent(): string {
    const span = active.getStore();
    const headers: { traceparent?: string } = {};
    if (span !== undefined) propagator.inject(within(span), headers, defaultTextMapSetter);
    return headers.traceparent ?? '';
  }

  function traceClient(client: pg.ClientBase): void {
    const query = client.query.bind(client) as (text: unknown, values: unknown, callback: unknown) => Promise<unknown>;
    const queryTraced = (text: unknown, values: unknown, callback: unknown) => {
      const sql = typeof text === 'string' ? text : '';
      const span = startChild(/\w+/.exec(sql)?.[0] ?? 'query', {
        kind: SpanKind.CLIENT,
        attributes: { 'db.system.name': 'postgresql', 'db.query.text': sql },
      });
      if (span === null) return query(text, values, callback);
      // With the beginning of the transaction, so that it costs no round trip, and is gone with its end.
      const sent = sql.startsWith('BEGIN;')
        ? `${sql}; SET LOCAL basketlink.traceparent = '${activeTraceparent()}'`
        : text;
      if (typeof callback === 'function') {
        return query(sent, values, (error: Error | null, result: unknown) => {
          end(span, error);
          callback(error, result);
        });
      }
      const answered = query(sent, values, undefined);
      answered.then(
        () => end(span, null),
        (error: Error) => end(span, error),
      );
      return answered;
    };
    client.query = queryTraced as typeof client.query;
  }

  /** Makes a call to Redis a span, which has failed where `isKnown` is not so of its outcome. */
  async function traceCall<T>(name: string, call: () => Promise<T>, isKnown: (outcome: T) => boolean): Promise<T> {
    const span = startChild(name, { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'redis' } });
    const outcome = await call();
    if (!isKnown(outcome)) span?.setStatus({ code: SpanStatusCode.ERROR });
    span?.end();
    return outcome;
  }

  function openQueue<Job, Outcome>(batching: Parameters<typeof openBatchQueue<Job, Outcome>>[0]) {
    const put = openBatchQueue<{ job: Job; span: Span | undefined }, Outcome>({
      ...batching,
      shopOf: ({ job }) => batching.shopOf(job),
      keysOf: ({ job }) => batching.keysOf(job),
      work: async (batch) => {
        const jobs = batch.map(({ job }) => job);
        const [first, ...others] = batch.flatMap(({ span }) => (span?.isRecording() ? [span] : []));
        // It is called by whoever has ended the batch before.
        const span = active.run(first, () =>
          startChild('batch', {
            attributes: { 'basketlink.batch.size': jobs.length },
            links: others.map((other) => ({ context: other.spanContext() })),
          }),
        );
        if (span !== null) for (const other of others) other.addLink({ context: span.spanContext() });
        try {
          return await active.run(span ?? undefined, () => batching.work(jobs));
        } finally {
          span?.end();
        }
      },
    });
    return (job: Job) => put({ job, span: active.getStore() });
  }

  return {
    startRequest(method, headers) {
      const attributes: Attributes = { 'http.request.method': method };
      const parent = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
      const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
      return {
        run: (work) => active.run(span, work),
        end({ route, status, requestId, shopId }) {
          if (route !== null) span.updateName(`${method} ${route}`).setAttribute('http.route', route);
          if (shopId !== null) span.setAttribute('basketlink.shop_id', shopId);
          span.setAttributes({ 'http.response.status_code': status, 'basketlink.request_id': requestId });
          if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    tracePool(pool) {
      pool.on('connect', traceClient);
      const connect = pool.connect.bind(pool) as (callback?: () => void) => unknown;
      // Else it would be called by whoever gave the connection back.
      const connectHere = (callback?: () => void) => connect(callback && AsyncResource.bind(callback));
      pool.connect = connectHere as typeof pool.connect;
    },
    traceRedis: (redis) => ({
      ...redis,
      run: (script, keys, args) =>
        traceCall(
          `redis ${script.name}`,
          () => redis.run(script, keys, args),
          ({ known }) => known,
        ),
      count: (key, windowMs, calls) =>
        traceCall(
          'redis count',
          () => redis.count(key, windowMs, calls),
          (counted) => counted !== null,
        ),
    }),
    traceOutbound: (outbound, name) => ({
      ...outbound,
      async request(url, options = {}) {
        const { hostname, port } = new URL(url);
        const attributes: Attributes = {
          'http.request.method': options.method ?? 'GET',
          'server.address': hostname,
          ...(port === '' ? {} : { 'server.port': Number(port) }),
        };
        const spanOptions = { kind: SpanKind.CLIENT, attributes };
        const headers = { ...options.headers };
        const given = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
        const span = startChild(name, spanOptions) ?? tracer.startSpan(name, spanOptions, given);
        propagator.inject(within(span), headers, defaultTextMapSetter);
        const answer = await outbound.request(url, { ...options, headers });
        if (answer.status !== null) span.setAttribute('http.response.status_code', answer.status);
        const failed = 'error' in answer || answer.status >= 400;
        if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
        return answer;
      },
    }),
    openQueue,
    async stop() {
      const flushed = provider
        .shutdown()
        .catch((error: Error) => logger.warn({ err: error }, 'traces could not be exported'));
      await Promise.race([flushed, delay(flushedWithinMs, undefined, { ref: false })]);
    },
  };
}

/** Of an error only its kind: Postgres' messages quote what was sent. */
function end(span: Span, error: (Error & { code?: unknown }) | null | undefined): void {
  if (error)
    span.setAttribute('error.type', String(error.code ?? error.name)).setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
