import { type Static, Type } from '@sinclair/typebox';
import type { Refusal } from '../errors.ts';
import { Id, Nullable, OneOf, strict, Time } from '../http/schema.ts';
import { MAX_PRICE_MINOR } from '../money/index.ts';
import type { Queryable } from '../platform/postgres.ts';

const Name = Type.String({ minLength: 1, maxLength: 200 });
/** The highest capacity that a stock may have. */
export const maxCapacity = 1_000_000_000;
const Capacity = Type.Integer({ minimum: 0, maximum: maxCapacity });
const withDefault = <T>(schema: object, value: T) => ({ ...schema, default: value });

/** How much of a stock there is, is held by live baskets, and is sold. `available` is null when it is unlimited. */
export const Availability = Type.Object({
  capacity: Nullable(Type.Integer()),
  held: Type.Integer(),
  sold: Type.Integer(),
  available: Nullable(Type.Integer()),
});
export type Availability = Static<typeof Availability>;

export const EventBody = Type.Object(
  {
    name: Name,
    startsAt: Type.Unsafe<string | null>(withDefault(Nullable(Time), null)),
    status: Type.Unsafe<EventStatus>(withDefault(OneOf('scheduled', 'suspended', 'cancelled'), 'scheduled')),
  },
  strict,
);
export type EventStatus = 'scheduled' | 'suspended' | 'cancelled';
export const EventAnswer = Type.Object(
  {
    eventId: Id,
    name: Name,
    startsAt: Nullable(Time),
    status: OneOf('scheduled', 'suspended', 'cancelled'),
    createdAt: Time,
    updatedAt: Time,
  },
  { $id: 'Event' },
);

/** A value that the customer gives with a line, such as the game server that a package is for. */
const Variable = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9_.:-]{1,64}$' }),
    required: Type.Boolean({ default: false }),
    type: Type.Unsafe<string>(
      withDefault(OneOf('text', 'dropdown', 'alpha', 'numeric', 'alphanumeric', 'username', 'email'), 'text'),
    ),
    options: Type.Array(Type.String({ maxLength: 200 }), { default: [], maxItems: 200 }),
  },
  strict,
);

const itemProperties = {
  name: Name,
  eventId: Type.Unsafe<string | null>(withDefault(Nullable(Id), null)),
  price: Type.Integer({ minimum: 0, maximum: MAX_PRICE_MINOR, description: 'minor units' }),
  taxRate: Type.Number({ default: 0, minimum: 0, maximum: 1, description: 'fraction, at most four decimals' }),
  capacity: Type.Unsafe<number | null>(withDefault(Nullable(Capacity), null)),
  poolId: Type.Unsafe<string | null>(withDefault(Nullable(Id), null)),
  maxPerBasket: Type.Integer({ default: 10_000, minimum: 1, maximum: 10_000 }),
  type: Type.Unsafe<'single' | 'subscription'>(withDefault(OneOf('single', 'subscription'), 'single')),
  saleStartsAt: Type.Unsafe<string | null>(withDefault(Nullable(Time), null)),
  saleEndsAt: Type.Unsafe<string | null>(withDefault(Nullable(Time), null)),
  accessRequired: Type.Boolean({ default: false }),
  description: Type.String({ default: '', maxLength: 5000 }),
  image: Type.Unsafe<string | null>(withDefault(Nullable(Type.String({ maxLength: 2048 })), null)),
  packageId: Type.Unsafe<number | null>(
    withDefault(Nullable(Type.Integer({ minimum: 1, maximum: 2_147_483_647 })), null),
  ),
  variables: Type.Array(Variable, { default: [], maxItems: 50 }),
};
export const ItemBody = Type.Object(itemProperties, strict);
export const BulkItemsBody = Type.Object(
  { items: Type.Array(Type.Object({ itemId: Id, ...itemProperties }, strict), { minItems: 1, maxItems: 1000 }) },
  strict,
);
export const ItemAnswer = Type.Object(
  { itemId: Id, ...itemProperties, availability: Availability, createdAt: Time, updatedAt: Time },
  { $id: 'Item' },
);
const Items = Type.Array(Type.Unsafe<Static<typeof ItemAnswer>>({ $ref: 'Item#' }));
export const BulkItemsAnswer = Type.Object({ items: Items });
export const ItemPage = Type.Object({ data: Items, nextCursor: Nullable(Type.String()) });

export const PoolBody = Type.Object({ name: Name, capacity: Nullable(Capacity) }, strict);
export const PoolAnswer = Type.Object(
  {
    poolId: Id,
    name: Name,
    capacity: Nullable(Capacity),
    availability: Availability,
    createdAt: Time,
    updatedAt: Time,
  },
  { $id: 'Pool' },
);

export const AdjustmentBody = Type.Object(
  {
    delta: Type.Integer({ minimum: -maxCapacity, maximum: maxCapacity, description: 'units more, or fewer' }),
    reason: Type.String({ minLength: 1, maxLength: 500 }),
  },
  strict,
);
/** By how many units a capacity is changed, why, and by whom. */
export type Adjustment = Static<typeof AdjustmentBody> & { madeBy: string };

export type WrittenEvent = Static<typeof EventBody>;
export type WrittenItem = Static<typeof ItemBody>;

export type ShopEvent = {
  eventId: string;
  name: string;
  startsAt: Date | null;
  status: EventStatus;
  createdAt: Date;
  updatedAt: Date;
};

export type EventAnswer = Static<typeof EventAnswer>;

/** An event as the API shows it. */
export function toEventAnswer(event: ShopEvent): EventAnswer {
  return {
    ...event,
    startsAt: event.startsAt?.toISOString() ?? null,
    createdAt: event.createdAt.toISOString(),
    updatedAt: event.updatedAt.toISOString(),
  };
}

export type Item = Omit<WrittenItem, 'saleStartsAt' | 'saleEndsAt' | 'taxRate' | 'capacity'> & {
  itemId: string;
  /** The stock row that its lines take from: its own, or its pool's. */
  stockId: string;
  taxRateTenThousandths: number;
  saleStartsAt: Date | null;
  saleEndsAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
};

export type ItemAnswer = Static<typeof ItemAnswer>;

export type Pool = { poolId: string; name: string; createdAt: Date; updatedAt: Date };
export type PoolAnswer = Static<typeof PoolAnswer>;

const nothing: Availability = { capacity: 0, held: 0, sold: 0, available: 0 };

/** An item as the API shows it. */
export function toItemAnswer(item: Item, availability: Availability = nothing): ItemAnswer {
  const { stockId, taxRateTenThousandths, saleStartsAt, saleEndsAt, createdAt, updatedAt, ...shown } = item;
  return {
    ...shown,
    taxRate: taxRateTenThousandths / 10_000,
    capacity: item.poolId === null ? availability.capacity : null,
    saleStartsAt: saleStartsAt?.toISOString() ?? null,
    saleEndsAt: saleEndsAt?.toISOString() ?? null,
    availability,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

/** A pool as the API shows it. */
export function toPoolAnswer(pool: Pool, availability: Availability = nothing): PoolAnswer {
  return {
    ...pool,
    capacity: availability.capacity,
    availability,
    createdAt: pool.createdAt.toISOString(),
    updatedAt: pool.updatedAt.toISOString(),
  };
}

/** An item with what decides whether it may be sold, as it was when its stock row had `catalogueVersion`. */
export type SellableItem = Item & { event: ShopEvent | null; catalogueVersion: number };

/**
 * What the catalogue needs of the reservation engine, which stands above it: the stock rows that items draw on. All but
 * `availability` and `tellRedis` run in the caller's transaction; rows are locked in the order of their ids.
 */
export type StockKeeper = {
  /**
   * Locks the rows, makes those that are missing, and raises their catalogue version. Whoever changes an item or event
   * does this first, so that no creation can commit on what it read before.
   */
  lock(tx: Queryable, shopId: string, stockIds: readonly string[]): Promise<Map<string, Availability>>;
  /** Sets capacities of locked rows. Refusal: `capacity_below_committed`. */
  setCapacities(tx: Queryable, shopId: string, capacities: ReadonlyMap<string, number | null>): Promise<Refusal | null>;
  availability(db: Queryable, shopId: string, stockIds: readonly string[]): Promise<Map<string, Availability>>;
  /** Makes rows and their capacities known to Redis, after a commit that changed them; in ten seconds where it cannot. */
  tellRedis(shopId: string, stockIds: readonly string[]): Promise<void>;
};
