import { type Static, Type } from '@sinclair/typebox';
import type { CodeWithTerms, GiftCard } from '../catalogue/index.ts';
import { type BasketRow, type BasketStatus, liveStatuses, type StockTake } from '../holds/index.ts';
import { Id, Nullable, OneOf, Problem, Shared, strict, Time } from '../http/schema.ts';
import type { Amounts, TaxMode } from '../money/index.ts';

const maxQuantity = 10_000;
const Url = Type.String({ minLength: 1, maxLength: 2048 });
const withDefault = <T>(schema: object, value: T) => ({ ...schema, default: value });
// Not Type.Record: its pattern for names passes over those with a line break, which would then go unchecked and unshown.
const AnyData = Type.Unsafe<Record<string, unknown>>(Type.Object({}, { additionalProperties: true }));
const Texts = Type.Unsafe<Record<string, string>>(
  Type.Object({}, { additionalProperties: Type.String({ maxLength: 1000 }) }),
);
const CustomData = Type.Unsafe<Record<string, unknown>>({
  ...AnyData,
  default: {},
  description: 'Any JSON object of at most 16 KiB and 8 levels; returned as it was sent.',
});
const Variables = Type.Unsafe<Record<string, string>>({ ...Texts, default: {} });

/** A line as it is asked for, at creation and later. */
export const LineBody = Type.Object(
  {
    itemId: Id,
    quantity: Type.Integer({ minimum: 1, maximum: maxQuantity }),
    modifiable: Type.Boolean({ default: true }),
    variables: Variables,
    custom: CustomData,
  },
  strict,
);
export type WrittenLine = Static<typeof LineBody>;

export const QuantityBody = Type.Object({ quantity: LineBody.properties.quantity }, strict);

const CustomerBody = Type.Object(
  {
    id: Type.Optional(Id),
    email: Type.Optional(Type.String({ format: 'email', maxLength: 254 })),
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    username: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    usernameId: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  strict,
);

export const RevenueShare = Type.Object(
  {
    walletRef: Type.String({ minLength: 1, maxLength: 200 }),
    amount: Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: 'minor units' }),
    gatewayFeePercent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
  },
  strict,
);
export type RevenueShare = Static<typeof RevenueShare>;

const LinkMode = Nullable(OneOf('page', 'redirect'));

/** A code as somebody writes it: whether it is one at all is not for the schema to say. */
const Code = Type.String({ minLength: 1, maxLength: 128 });
export const maxCodesOfType = 20;

export const CodeBody = Type.Object({ type: OneOf('discount', 'access', 'giftCard', 'creator'), code: Code }, strict);
export const codeParams = Type.Object({ id: Id, type: CodeBody.properties.type, code: Code });

/** The request that creates a basket. */
export const CreateBasketBody = Type.Object(
  {
    items: Type.Array(LineBody, { minItems: 1, maxItems: 200 }),
    generateBasketUrl: Type.Boolean({ default: true }),
    customer: Type.Unsafe<Static<typeof CustomerBody> | null>(withDefault(Nullable(CustomerBody), null)),
    reserve: Type.Unsafe<'creation' | 'activation'>(withDefault(OneOf('creation', 'activation'), 'creation')),
    linkExpiresAt: Type.Unsafe<string | null>({
      ...Nullable(Time),
      default: null,
      description: 'Only with reserve `activation`: at most 90 days ahead; null: in 7 days',
    }),
    linkMode: Type.Unsafe<'page' | 'redirect' | null>(withDefault(LinkMode, null)),
    successRedirectUrl: Type.Unsafe<string | null>(withDefault(Nullable(Url), null)),
    failureRedirectUrl: Type.Unsafe<string | null>(withDefault(Nullable(Url), null)),
    cancelRedirectUrl: Type.Unsafe<string | null>(withDefault(Nullable(Url), null)),
    autoRedirect: Type.Boolean({ default: true }),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 10, maximum: 86_400, description: 'default: the shop’s' })),
    modifiable: Type.Boolean({ default: true }),
    discountCodes: Type.Array(Code, { default: [], maxItems: maxCodesOfType }),
    accessCodes: Type.Array(Code, { default: [], maxItems: maxCodesOfType }),
    giftCards: Type.Array(Code, { default: [], maxItems: maxCodesOfType }),
    creatorCode: Type.Unsafe<string | null>(withDefault(Nullable(Code), null)),
    reference: Type.Unsafe<string | null>(withDefault(Nullable(Id), null)),
    campaign: Type.Unsafe<string | null>(withDefault(Nullable(Id), null)),
    ipAddress: Type.Unsafe<string | null>(
      withDefault(Nullable(Type.String({ maxLength: 45, description: 'IPv4 or IPv6' })), null),
    ),
    country: Type.Unsafe<string | null>(withDefault(Nullable(Type.String({ pattern: '^[A-Z]{2}$' })), null)),
    locale: Type.Unsafe<string | null>(withDefault(Nullable(Type.String({ minLength: 2, maxLength: 35 })), null)),
    revenueShare: Type.Array(RevenueShare, { default: [], maxItems: 50 }),
    custom: CustomData,
  },
  { $id: 'CreateBasket', ...strict },
);
export type CreateBasketRequest = Static<typeof CreateBasketBody>;

/** The request that creates many. What each entry holds is checked entry by entry: a bad one is refused alone. */
export const CreateBasketsBody = Type.Object(
  {
    baskets: Type.Array(
      Type.Unsafe<unknown>({
        anyOf: [{ $ref: 'CreateBasket#' }, {}],
        description: 'As the body of POST /v1/baskets. What is not like that is refused by itself.',
      }),
      { minItems: 1, maxItems: 500 },
    ),
  },
  strict,
);

/** What a merge patch of a basket must leave: the part of it that may be changed. */
export const PatchableBasket = Type.Pick(CreateBasketBody, [
  'customer',
  'custom',
  'successRedirectUrl',
  'failureRedirectUrl',
  'cancelRedirectUrl',
  'country',
  'ipAddress',
  'locale',
  'reference',
]);

export type PatchableBasket = Static<typeof PatchableBasket>;

const Line = Type.Object({
  lineId: Type.String(),
  itemId: Id,
  eventId: Nullable(Id),
  name: Type.String(),
  type: OneOf('single', 'subscription'),
  quantity: Type.Integer(),
  unitPrice: Type.Integer(),
  subtotal: Type.Integer(),
  discount: Type.Integer(),
  tax: Type.Integer(),
  total: Type.Integer(),
  modifiable: Type.Boolean(),
  variables: Texts,
  custom: AnyData,
});

/** A basket as the API shows it. */
export const BasketAnswer = Type.Object(
  {
    id: Type.String(),
    shopId: Id,
    partner: Type.Optional(Nullable(Id)),
    status: OneOf('open', 'activated', 'checkout', 'completed', 'expired', 'cancelled'),
    statusReason: Nullable(OneOf('timeout', 'superseded', 'requested', 'event_cancelled')),
    version: Type.Integer(),
    currency: Type.String(),
    reserve: OneOf('creation', 'activation'),
    customer: Nullable(
      Type.Object({
        id: Nullable(Id),
        email: Nullable(Type.String()),
        name: Nullable(Type.String()),
        username: Nullable(Type.String()),
        usernameId: Nullable(Type.String()),
      }),
    ),
    items: Type.Array(Line),
    totals: Type.Object({
      subtotal: Type.Integer(),
      discount: Type.Integer(),
      tax: Type.Integer(),
      total: Type.Integer(),
      giftCards: Type.Integer(),
      due: Type.Integer(),
    }),
    discountCodes: Type.Array(Type.String()),
    accessCodes: Type.Array(Type.String()),
    giftCards: Type.Array(Type.Object({ last4: Type.String(), applied: Type.Integer() })),
    creatorCode: Nullable(Type.String()),
    successRedirectUrl: Nullable(Type.String()),
    failureRedirectUrl: Nullable(Type.String()),
    cancelRedirectUrl: Nullable(Type.String()),
    autoRedirect: Type.Boolean(),
    linkMode: LinkMode,
    reference: Nullable(Id),
    campaign: Nullable(Id),
    ipAddress: Type.Optional(Nullable(Type.String())),
    country: Nullable(Type.String()),
    locale: Nullable(Type.String()),
    revenueShare: Type.Optional(Type.Array(RevenueShare)),
    custom: AnyData,
    modifiable: Type.Boolean(),
    extensionsLeft: Type.Integer(),
    extendableUntil: Nullable(Time),
    serverTime: Time,
    createdAt: Time,
    updatedAt: Time,
    expiresAt: Nullable(Time),
    linkExpiresAt: Type.Optional(Time),
    activatedAt: Nullable(Time),
    completedAt: Nullable(Time),
    refundedAt: Nullable(Time),
    late: Type.Boolean(),
    orderId: Nullable(Id),
    startBasketUrl: Type.Optional(Type.String()),
  },
  { $id: 'Basket' },
);
export type BasketAnswer = Static<typeof BasketAnswer>;

/** An item of an ended basket of which the new one has less, and why: a problem code. */
const Unavailable = Type.Object({
  itemId: Id,
  requested: Type.Integer({ description: 'How many the ended basket had' }),
  available: Type.Integer({ description: 'How many of them the new one has' }),
  code: Type.String({ description: '`insufficient_stock`, or the code that a creation would be refused with' }),
});
type Unavailable = Static<typeof Unavailable>;

/** A basket that was made of an ended one. */
export const RecreatedBasket = Type.Object(
  {
    ...BasketAnswer.properties,
    unavailable: Type.Array(Unavailable),
    droppedCodes: Type.Array(Type.String(), { description: 'Codes that cannot be used any more' }),
    session: Type.Optional(
      Type.Object(
        { token: Type.String(), expiresAt: Time },
        { description: 'Where a session has asked for it: the session of the new basket, which is activated' },
      ),
    ),
  },
  { $id: 'RecreatedBasket' },
);

/** What the baskets of a campaign have come to so far. */
export const CampaignAnswer = Type.Object({
  created: Type.Integer(),
  openedByPeople: Type.Integer({ description: 'Baskets, however often their links were opened' }),
  activated: Type.Integer({ description: 'Ever, whatever has become of them' }),
  completed: Type.Integer(),
  expired: Type.Integer(),
});

/** What became of each entry of a batch, in their order. */
export const BatchAnswer = Type.Object({
  results: Type.Array(
    Type.Object({
      status: Type.Integer({ description: 'What POST /v1/baskets answers: 201, or the status of the problem.' }),
      basket: Type.Optional(Shared(BasketAnswer)),
      problem: Type.Optional(Shared(Problem)),
    }),
  ),
});

/** A line of a basket, with price, tax and name as they were when it was added. */
export type BasketLine = Static<typeof Line> & { stockId: string; taxRateTenThousandths: number } & Amounts;

/** A code with its terms as they were when it was applied, which do not change under the customer, and what it takes. */
export type AppliedCode = CodeWithTerms & { takes: StockTake[] };

/** A gift card that pays for a basket, with what it takes of its money: nothing where the ones before pay for all. */
export type AppliedCard = Pick<GiftCard, 'cardId' | 'last4'> & { takes: StockTake[] };

/** What a creation says and a change may say anew. */
export type BasketDetails = Pick<
  CreateBasketRequest,
  'successRedirectUrl' | 'failureRedirectUrl' | 'cancelRedirectUrl' | 'ipAddress' | 'country' | 'locale' | 'custom'
>;

/** What the creator of a basket said and nothing decides on, kept as one document. */
export type BasketContent = BasketDetails &
  Pick<CreateBasketRequest, 'autoRedirect' | 'linkMode' | 'revenueShare' | 'modifiable'> & {
    currency: string;
    taxMode: TaxMode;
    customer: Omit<Static<typeof CustomerBody>, 'id'>;
  };

type StatusReason = 'timeout' | 'superseded' | 'requested' | 'event_cancelled';

/** What a new basket has not got of the ended one that it was made of. */
export type Without = { unavailable: Unavailable[]; droppedCodes: string[] };
type Recreated = { basketId: string } & Without;

/** A basket as the service works on it: a row of `baskets` with times as dates. */
export type Basket = {
  shopId: string;
  basketId: string;
  partner: string | null;
  status: BasketStatus;
  statusReason: StatusReason | null;
  version: number;
  sequence: number;
  customerId: string | null;
  reference: string | null;
  campaign: string | null;
  orderId: string | null;
  holdStockIds: string[];
  holdQuantities: number[];
  eventIds: string[];
  lines: BasketLine[];
  /** The highest number that a line had when the lines were last edited. */
  lastLineNumber: number;
  /** In the order in which they were given. */
  codes: AppliedCode[];
  giftCards: AppliedCard[];
  content: BasketContent;
  linkGeneration: number;
  /** Whether it waits for its first activation, or did until it ended: it holds nothing, and ends with its link. */
  waiting: boolean;
  /** Until when it waits, or would have. Null: it holds its stock since it was created. */
  linkExpiresAt: Date | null;
  lifetimeEndsAt: Date;
  ttlSeconds: number;
  checkoutSeconds: number;
  extensionsLeft: number;
  creatorMayLogIn: boolean;
  customerSetterMayLogIn: boolean;
  linkMinterMayLogIn: boolean;
  sessionId: Buffer | null;
  sessionIssuedAt: Date | null;
  sessionCustomerId: string | null;
  leaseId: string | null;
  expiresAtBeforeCheckout: Date | null;
  createdAt: Date;
  updatedAt: Date;
  expiresAt: Date;
  activatedAt: Date | null;
  completedAt: Date | null;
  endedAt: Date | null;
  refundedAt: Date | null;
  late: boolean;
  completionRefused: boolean;
  /** The basket that was made of this one after it had ended, and what was told of it. */
  recreated: Recreated | null;
};

/** The basket in a row of `baskets`, or in an outbox snapshot of one. */
export function toBasket(row: BasketRow): Basket {
  const date = (text: string | null) => (text === null ? null : new Date(text));
  return {
    shopId: row.shop_id,
    basketId: row.basket_id,
    partner: row.partner,
    status: row.status,
    statusReason: row.status_reason as StatusReason | null,
    version: row.version,
    sequence: row.sequence,
    customerId: row.customer_id,
    reference: row.reference,
    campaign: row.campaign,
    orderId: row.order_id,
    holdStockIds: row.hold_stock_ids,
    holdQuantities: row.hold_quantities,
    eventIds: row.event_ids,
    lines: row.lines as BasketLine[],
    lastLineNumber: row.last_line_number,
    codes: (row.codes ?? []) as AppliedCode[],
    giftCards: (row.gift_cards ?? []) as AppliedCard[],
    content: row.content as BasketContent,
    linkGeneration: row.link_generation,
    waiting: row.waiting ?? false,
    linkExpiresAt: date(row.link_expires_at ?? null),
    lifetimeEndsAt: new Date(row.lifetime_ends_at),
    ttlSeconds: row.ttl_seconds,
    checkoutSeconds: row.checkout_seconds,
    extensionsLeft: row.extensions_left,
    creatorMayLogIn: row.creator_may_log_in,
    customerSetterMayLogIn: row.customer_setter_may_log_in,
    linkMinterMayLogIn: row.link_minter_may_log_in,
    sessionId: row.session_id === null ? null : Buffer.from(row.session_id.slice(2), 'hex'),
    sessionIssuedAt: date(row.session_issued_at),
    sessionCustomerId: row.session_customer_id,
    leaseId: row.lease_id,
    expiresAtBeforeCheckout: date(row.expires_at_before_checkout),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    expiresAt: new Date(row.expires_at),
    activatedAt: date(row.activated_at),
    completedAt: date(row.completed_at),
    endedAt: date(row.ended_at),
    refundedAt: date(row.refunded_at),
    late: row.late,
    completionRefused: row.completion_refused,
    recreated: row.recreated_as ? { basketId: row.recreated_as, ...(row.recreated_without as Without) } : null,
  };
}

/** Whether the basket can still be worked on. */
export function isLive(basket: Pick<Basket, 'status'>): boolean {
  return liveStatuses.includes(basket.status);
}

/**
 * The basket as everybody must see it at a moment: one that is past its `expiresAt` is expired, swept or not, and reads
 * exactly as it will once it has been swept.
 */
export function asOf(basket: Basket, now: Date): Basket {
  if (!isLive(basket) || basket.expiresAt > now) return basket;
  return {
    ...basket,
    status: 'expired',
    statusReason: 'timeout',
    version: basket.version + 1,
    updatedAt: basket.expiresAt,
    endedAt: basket.expiresAt,
    leaseId: null,
  };
}
