import { type Static, Type } from '@sinclair/typebox';
import { Id, Nullable, OneOf, strict, Time } from '../http/schema.ts';
import { maxUrlLength } from './rules.ts';

/** What can happen to a basket or an event, as webhooks are told of it. */
export const sentTypes = [
  'basket.created',
  'basket.updated',
  'basket.authenticated',
  'basket.activated',
  'basket.checkout_started',
  'basket.checkout_failed',
  'basket.completed',
  'basket.completion_refused',
  'basket.refunded',
  'basket.expired',
  'basket.cancelled',
  'event.cancelled',
] as const;

export const WebhookBody = Type.Object(
  {
    url: Type.String({
      maxLength: maxUrlLength,
      description: 'https, on a public address, port 443, 80 or above 1023 but those of databases',
    }),
    types: Type.Array(OneOf('*', ...sentTypes), {
      minItems: 1,
      uniqueItems: true,
      default: ['*'],
      description: 'What it is told of; `*`: everything',
    }),
    format: Type.Unsafe<'standard' | 'tebex'>({
      ...OneOf('standard', 'tebex'),
      default: 'standard',
      description: 'Standard Webhooks 1.0.0, or as Tebex sends them',
    }),
  },
  strict,
);

/** Why a webhook was disabled: it answered 410, or nothing succeeded for five days. */
export type DisabledReason = 'gone' | 'failing';

/** Where changes are sent to, with its secrets as they are stored. */
export type Webhook = {
  shopId: string;
  webhookNumber: number;
  webhookId: string;
  /** Null: the shop's own, which gets the changes of everybody. */
  partner: string | null;
  url: string;
  /** `*`: all. */
  types: string[];
  format: 'standard' | 'tebex';
  sealedSecret: string;
  formerSealedSecret: string | null;
  /** Until when the former secret signs too. */
  formerSecretUntil: Date | null;
  /** When the first try after the last success failed. */
  failingSince: Date | null;
  disabledAt: Date | null;
  disabledReason: DisabledReason | null;
  createdAt: Date;
  updatedAt: Date;
};

const webhookShown = {
  webhookId: Id,
  url: Type.String(),
  types: Type.Array(OneOf('*', ...sentTypes)),
  format: OneOf('standard', 'tebex'),
  status: OneOf('enabled', 'disabled'),
  disabledAt: Nullable(Time),
  disabledReason: Nullable(OneOf('gone', 'failing')),
  failingSince: Type.Unsafe<string | null>({
    ...Nullable(Time),
    description: 'The first failure after the last success',
  }),
  createdAt: Time,
  updatedAt: Time,
};
const Secret = Type.String({ description: 'Shown this once. What is sent is signed with it.' });

export const WebhookAnswer = Type.Object(webhookShown, { $id: 'Webhook' });
export type WebhookAnswer = Static<typeof WebhookAnswer>;
export const WrittenWebhook = Type.Object(
  { ...webhookShown, secret: Type.Optional(Secret) },
  { $id: 'WrittenWebhook', description: 'With `secret` when it is new.' },
);
export const RotatedWebhook = Type.Object({ ...webhookShown, secret: Secret }, { $id: 'RotatedWebhook' });

/** A webhook as its owner is shown it. */
export function toWebhookAnswer(webhook: Webhook): WebhookAnswer {
  const { webhookId, url, types, format, failingSince, disabledAt, disabledReason } = webhook;
  return {
    webhookId,
    url,
    types: types as WebhookAnswer['types'],
    format,
    status: disabledAt === null ? 'enabled' : 'disabled',
    disabledAt: disabledAt?.toISOString() ?? null,
    disabledReason,
    failingSince: failingSince?.toISOString() ?? null,
    createdAt: webhook.createdAt.toISOString(),
    updatedAt: webhook.updatedAt.toISOString(),
  };
}

/** A try to deliver, as deliveries keep it. `responseStatus` is null where no answer came. */
export type KeptAttempt = { at: string; responseStatus: number | null; durationMs: number; error: string | null };

export type DeliveryStatus = 'pending' | 'delivered' | 'failed';

/** A change on its way to a webhook. */
export type Delivery = {
  shopId: string;
  webhookNumber: number;
  deliveryId: string;
  /** With `sequence`: the outbox row that it is made of. A basket's id, `event:<id>` or `webhook:<number>`. */
  subjectId: string;
  sequence: number;
  type: string;
  changeNumber: number;
  status: DeliveryStatus;
  attempts: KeptAttempt[];
  nextTryAt: Date;
  createdAt: Date;
};

export const DeliveryAnswer = Type.Object(
  {
    deliveryId: Type.String({ description: '`webhook-id` of what is sent, the same on every try' }),
    type: OneOf(...sentTypes, 'webhook.test'),
    basketId: Nullable(Type.String()),
    eventId: Nullable(Type.String()),
    sequence: Type.Integer(),
    status: OneOf('pending', 'delivered', 'failed'),
    attempts: Type.Array(
      Type.Object({
        at: Time,
        responseStatus: Type.Unsafe<number | null>({
          ...Nullable(Type.Integer()),
          description: 'null: no answer came',
        }),
        durationMs: Type.Integer(),
        error: Nullable(Type.String()),
      }),
      { description: 'The latest ones, oldest first' },
    ),
    nextTryAt: Type.Unsafe<string | null>({ ...Nullable(Time), description: 'null: it is not tried again by itself' }),
    createdAt: Time,
  },
  { $id: 'Delivery' },
);
export type DeliveryAnswer = Static<typeof DeliveryAnswer>;

/** A delivery as the owner of its webhook is shown it. */
export function toDeliveryAnswer(delivery: Delivery): DeliveryAnswer {
  const { deliveryId, type, subjectId, sequence, status, attempts } = delivery;
  return {
    deliveryId,
    type: type as DeliveryAnswer['type'],
    basketId: type.startsWith('basket.') ? subjectId : null,
    eventId: type.startsWith('event.') ? subjectId.slice('event:'.length) : null,
    sequence,
    status,
    attempts,
    nextTryAt: status === 'pending' ? delivery.nextTryAt.toISOString() : null,
    createdAt: delivery.createdAt.toISOString(),
  };
}
