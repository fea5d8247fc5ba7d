import { newId } from '../platform/ids.ts';
import type { Outbound } from '../platform/outbound.ts';
import { messageOf } from './delivery/message.ts';

/** The caller who registers the webhook waits for it. */
const withinMs = 3000;

/**
 * Whether an endpoint wants to be sent what happens, in Tebex's way: a message of the type `validation.webhook` must be
 * answered 200 with its own id (https://docs.tebex.io/developers/webhooks/overview).
 */
export async function answersHandshake(
  outbound: Outbound,
  url: string,
  secrets: readonly string[],
  now: Date,
): Promise<boolean> {
  const id = newId('dlv');
  const test = { type: 'webhook.test', createdAt: now, epoch: 0, sequence: 0, subjectId: '', data: {} };
  const message = messageOf({ format: 'tebex', secrets }, id, now, test, () => {
    throw new Error('a test shows no basket');
  });
  if (message === null) throw new Error('Tebex has no test');
  const answer = await outbound.request(url, { method: 'POST', ...message, withinMs });
  return answer.status === 200 && 'body' in answer && isObjectWithId(answer.body.toString(), id);
}

function isObjectWithId(text: string, id: string): boolean {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null && 'id' in answer && answer.id === id;
  } catch {
    return false;
  }
}
