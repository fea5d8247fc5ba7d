import underPressure from '@fastify/under-pressure';
import type { FastifyInstance } from 'fastify';
import { refuse } from '../errors.ts';
import { RefusalError } from './problems.ts';

const sampleIntervalMs = 1000;

/**
 * Refuses requests to the routes registered after it with 503 and Retry-After while the event loop, on average over the
 * last second, is late by more than `maxEventLoopDelayMs` (0: never): what is accepted then would be answered too late
 * for whoever asked. Routes whose config says `rateLimit: false` are served all the same, since a customer has paid or
 * is just coming in, and so are probes, since a busy process must not be taken for a dead one. It stands after CORS: a
 * page could not read a refusal, or its Retry-After, that comes before.
 */
export async function shedUnderPressure(
  app: FastifyInstance,
  { maxEventLoopDelayMs }: { maxEventLoopDelayMs: number },
): Promise<void> {
  if (maxEventLoopDelayMs === 0) return;
  let servingSinceMs = Number.POSITIVE_INFINITY;
  app.addHook('onListen', async () => {
    servingSinceMs = performance.now();
  });
  await app.register(underPressure, {
    maxEventLoopDelay: maxEventLoopDelayMs,
    sampleInterval: sampleIntervalMs,
    pressureHandler: async ({ routeOptions }) => {
      // The sample that is held against a request may still be of the start, which is busy with itself.
      if (performance.now() < servingSinceMs + 2 * sampleIntervalMs) return;
      if (routeOptions.config.rateLimit !== false) throw new RefusalError(refuse('unavailable'));
    },
  });
}
