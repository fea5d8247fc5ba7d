import { createHmac } from 'node:crypto';
import { hasTebexName, type ShownBasket, tebexMessage } from './tebex.ts';

/** A change as the outbox has it. */
export type ChangeRow = {
  type: string;
  createdAt: Date;
  epoch: number;
  sequence: number;
  /** A basket's id, `event:<id>` or `webhook:<number>`. */
  subjectId: string;
  /** The row of the basket as it was then, the event, or what is said of the webhook. */
  data: unknown;
};

/** Shows the row of a basket as back ends see it at a moment. */
export type RenderBasket = (row: unknown, now: Date) => ShownBasket;

/** What is sent, byte for byte. */
export type Message = { body: Buffer; headers: Record<string, string> };

/**
 * The body of a change: what the feed lists and webhooks carry. The basket is shown as of the change, so that every try
 * and the feed have the same bytes.
 */
export function bodyOf({ type, createdAt, epoch, sequence, data }: ChangeRow, renderBasket: RenderBasket): object {
  const timestamp = createdAt.toISOString();
  if (type.startsWith('basket.')) {
    return { type, timestamp, epoch, sequence, data: { basket: renderBasket(data, createdAt) } };
  }
  return { type, timestamp, data: type.startsWith('event.') ? { event: data } : { webhook: data } };
}

/** Whether webhooks of a format are told of changes of a type. */
export function hasName(format: 'standard' | 'tebex', type: string): boolean {
  return format === 'standard' || hasTebexName(type);
}

/**
 * The message for one webhook, signed with each of its secrets, the newest first. A delivery has the same id and body on
 * every try; only the time of the signature is that of the try. Null when the webhook's format has no name for this type.
 */
export function messageOf(
  webhook: { format: 'standard' | 'tebex'; secrets: readonly string[] },
  deliveryId: string,
  now: Date,
  change: ChangeRow,
  renderBasket: RenderBasket,
): Message | null {
  const { format, secrets } = webhook;
  if (format === 'tebex') return tebexMessage(secrets, deliveryId, change, renderBasket);
  const body = Buffer.from(JSON.stringify(bodyOf(change, renderBasket)));
  const timestampSeconds = Math.floor(now.getTime() / 1000);
  const signatures = secrets.map((secret) => signatureOf(secret, deliveryId, timestampSeconds, body));
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'webhook-id': deliveryId,
      'webhook-timestamp': String(timestampSeconds),
      'webhook-signature': signatures.join(' '),
    },
  };
}

/**
 * A signature by Standard Webhooks 1.0.0: `v1,` and the base64 of an HMAC-SHA-256 over id, time and body.
 *
 * @param secret `whsec_` and the base64 of the key
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signatureOf(secret: string, messageId: string, timestampSeconds: number, body: Buffer): string {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const signed = createHmac('sha256', key).update(`${messageId}.${timestampSeconds}.`).update(body);
  return `v1,${signed.digest('base64')}`;
}
