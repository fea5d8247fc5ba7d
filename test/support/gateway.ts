import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { listen } from './network.ts';
import { until } from './until.ts';

const checkEveryMs = 1000;
/** Longer than between two checks: a machine may be busy. */
const checkedWithinMs = 5000;

/**
 * Starts a load balancer in front of replicas, for one test. It is as plain as they come: it asks each replica every
 * second whether it is ready, passes a request to the next of those that are, over connections that it keeps, and tries
 * nothing again. Where a replica does not answer it says 502.
 */
export async function startGateway(t: Test, urls: readonly string[]) {
  /** Whether each was ready when it was asked last. */
  const replicas = new Map<string, boolean>();
  const agent = new Agent({ keepAlive: true });
  let turn = 0;
  let stopping = false;

  async function check(url: string): Promise<void> {
    while (!stopping && replicas.has(url)) {
      const asked = fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(checkedWithinMs) });
      const isReady = await asked.then(
        ({ ok }) => ok,
        () => false,
      );
      if (replicas.has(url)) replicas.set(url, isReady);
      await delay(checkEveryMs);
    }
  }

  function pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const ready = [...replicas.keys()].filter((url) => replicas.get(url));
    turn += 1;
    const url = ready[turn % ready.length];
    if (url === undefined) return void outgoing.writeHead(503).end('no replica is ready');
    const { method, headers } = incoming;
    const passed = request(new URL(incoming.url ?? '/', url), { agent, method, headers }, (answer) => {
      // Whether and for how long its connection is kept is between the replica and here.
      const { connection, 'keep-alive': keepAlive, ...others } = answer.headers;
      outgoing.writeHead(answer.statusCode ?? 502, others);
      answer.pipe(outgoing);
    });
    passed.on('error', (error) => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end(error.message);
    });
    incoming.pipe(passed);
  }

  // Who waits longer for the next request than the client does never closes a connection that one is on its way over.
  const server = createServer({ keepAliveTimeout: 0 }, pass);
  const gateway = {
    url: `http://127.0.0.1:${await listen(t, server)}`,
    /** Asks this replica, too, from now on; resolves when it gets requests. */
    async add(url: string): Promise<void> {
      replicas.set(url, false);
      void check(url);
      await until(`${url} is ready`, 20_000, async () => replicas.get(url) ?? null);
    },
    remove: (url: string) => void replicas.delete(url),
  };
  t.teardown(() => {
    stopping = true;
    agent.destroy();
  });
  await Promise.all(urls.map(gateway.add));
  return gateway;
}
