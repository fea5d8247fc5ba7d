import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';

/** A message as a webhook got it. */
export type Received = {
  id: string;
  headers: IncomingHttpHeaders;
  /** As it came. */
  text: string;
  type: string;
  sequence: number;
  basketId: string;
  atMs: number;
};
/** What a receiver answers; `never`: it keeps the caller waiting. */
type Answer = { status: number; headers?: Record<string, string> } | 'never';

/** Starts a receiver of webhooks on loopback, which `answer` may tell apart by what came; by default it takes all. */
export async function startReceiver(t: Test, answer: (received: Received) => Answer = () => ({ status: 204 })) {
  const received: Received[] = [];
  const server = createServer(async (request, response: ServerResponse) => {
    const body = await text(request);
    const { type, sequence, data } = JSON.parse(body);
    const message: Received = {
      id: String(request.headers['webhook-id']),
      headers: request.headers,
      text: body,
      ...{ type, sequence, basketId: data.basket?.id, atMs: performance.now() },
    };
    received.push(message);
    const answered = answer(message);
    if (answered !== 'never') response.writeHead(answered.status, answered.headers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`, received };
}

/** The sequences of each basket, in the order of their arrival, each as often as it came. */
export function sequencesOf(received: readonly Received[]): Map<string, number[]> {
  const sequences = new Map<string, number[]>();
  for (const { basketId, sequence } of received) {
    sequences.set(basketId, [...(sequences.get(basketId) ?? []), sequence]);
  }
  return sequences;
}
