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
