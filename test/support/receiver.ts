import { createServer, type IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import { listen } from './network.ts';

/** A message as a webhook got it. */
export type Received = {
  id: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** As it came. */
  text: string;
  type: string;
  sequence: number;
  basketId: string;
  atMs: number;
};
/** What a receiver answers; `never`: it keeps the caller waiting. */
type Answer = { status: number; headers?: Record<string, string>; body?: string } | 'never';

/**
 * Starts a receiver of webhooks on loopback, which keeps what it gets. `answer`, which may be set to another later, may
 * tell by what came; by default it takes all.
 */
export async function startReceiver(
  t: Test,
  answer: (received: Received) => Answer | Promise<Answer> = () => ({ status: 204 }),
) {
  const receiver = { url: '', received: [] as Received[], answer };
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { type, sequence, data } = JSON.parse(body);
    const message: Received = {
      id: String(request.headers['webhook-id']),
      path: request.url ?? '',
      headers: request.headers,
      text: body,
      ...{ type, sequence, basketId: data?.basket?.id, atMs: performance.now() },
    };
    receiver.received.push(message);
    const answered = await receiver.answer(message);
    if (answered !== 'never') response.writeHead(answered.status, answered.headers).end(answered.body);
  });
  receiver.url = `http://127.0.0.1:${await listen(t, server)}/hooks`;
  return receiver;
}

/** The sequences of each basket, in the order of their arrival, each as often as it came. */
export function sequencesOf(received: readonly Received[]): Map<string, number[]> {
  const sequences = new Map<string, number[]>();
  for (const { basketId, sequence } of received) {
    sequences.set(basketId, [...(sequences.get(basketId) ?? []), sequence]);
  }
  return sequences;
}
