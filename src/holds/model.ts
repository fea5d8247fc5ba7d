/** What a basket takes of one stock row: all of its lines on that row together. */
export type StockTake = { stockId: string; quantity: number };

/** A stock row that is made when it is first needed, and how much there is of it. */
export type StockLimit = { stockId: string; capacity: number };

/** The states of a basket and what they mean for its hold:
 *
 * ```
 * open ──activate──▶ activated ──checkout──▶ checkout ──complete──▶ completed   held → sold
 *   │                   │  ◀──back, fail──────  │
 *   └───────────────────┴───────────────────────┴──▶ expired | cancelled        held → given back
 * ```
 */
export type BasketStatus = 'open' | 'activated' | 'checkout' | 'completed' | 'expired' | 'cancelled';

export const liveStatuses: readonly BasketStatus[] = ['open', 'activated', 'checkout'];
/** The same for `status IN …`. */
export const liveSql = `('open', 'activated', 'checkout')`;

/** A row of `baskets` as SQL's row_to_json writes it, in answers of statements and in outbox snapshots alike. */
export type BasketRow = {
  shop_id: string;
  basket_id: string;
  partner: string | null;
  status: BasketStatus;
  status_reason: string | null;
  version: number;
  sequence: number;
  customer_id: string | null;
  reference: string | null;
  campaign: string | null;
  order_id: string | null;
  hold_stock_ids: string[];
  hold_quantities: number[];
  event_ids: string[];
  lines: unknown;
  content: unknown;
  link_generation: number;
  lifetime_ends_at: string;
  ttl_seconds: number;
  checkout_seconds: number;
  extensions_left: number;
  creator_may_log_in: boolean;
  customer_setter_may_log_in: boolean;
  link_minter_may_log_in: boolean;
  session_id: string | null;
  session_issued_at: string | null;
  session_customer_id: string | null;
  lease_id: string | null;
  expires_at_before_checkout: string | null;
  created_at: string;
  updated_at: string;
  expires_at: string;
  activated_at: string | null;
  completed_at: string | null;
  ended_at: string | null;
  refunded_at: string | null;
  late: boolean;
  completion_refused: boolean;
  last_line_number: number;
  // Snapshots from before migrations 11 to 14 lack these.
  codes?: unknown;
  waiting?: boolean;
  link_expires_at?: string | null;
  gift_cards?: unknown;
  recreated_as?: string | null;
  recreated_without?: unknown;
};

/** A basket about to be committed, with what was read of the shop and the catalogue to decide on it. */
export type Creation = {
  shopId: string;
  shopVersion: number;
  basketId: string;
  partner: string | null;
  customerId: string | null;
  reference: string | null;
  campaign: string | null;
  takes: StockTake[];
  /** The catalogue version that each of `takes` was decided on; null where nothing of the catalogue decided. */
  catalogueVersions: (number | null)[];
  /** Rows among `takes` that are made when they are first needed. */
  limits: StockLimit[];
  eventIds: string[];
  lines: unknown;
  codes: unknown;
  giftCards: unknown;
  content: unknown;
  ttlSeconds: number;
  maxLifetimeSeconds: number;
  checkoutSeconds: number;
  extensions: number;
  /** The end of a basket that waits for its activation: it takes nothing yet. Null: it takes its stock now. */
  linkExpiresAt: Date | null;
  /** Whether the creator may log the customer in. */
  mayLogIn: boolean;
  idempotency: { keyHash: Buffer; fingerprint: Buffer; answer: Record<string, unknown> } | null;
};

/** What became of a creation. `stale`: shop or catalogue have changed; `key_exists`: the idempotency key was used. */
export type CreationOutcome =
  | { outcome: 'created'; row: BasketRow }
  | { outcome: 'short'; available: Map<string, number> }
  | { outcome: 'stale' }
  | { outcome: 'key_exists' };

/** What a click on a basket's start link is decided on. It changes only together with the basket's version. */
export type LinkState = {
  generation: number;
  expiresAt: Date;
  /** How the basket asks for its link to be answered. */
  mode: 'page' | 'redirect' | null;
  /** Whether it has a customer, and everybody who had a say in that may log the customer in. */
  mayLogIn: boolean;
  /** Whether it was made to take its stock only at its activation. */
  reservesAtActivation: boolean;
  eventIds: readonly string[];
};

/** The stock that lines take, summed by stock row and sorted by its id: the order in which rows are locked everywhere. */
export function takesOf(lines: readonly { stockId: string; quantity: number }[]): StockTake[] {
  const sums = new Map<string, number>();
  for (const { stockId, quantity } of lines) sums.set(stockId, (sums.get(stockId) ?? 0) + quantity);
  return [...sums]
    .map(([stockId, quantity]) => ({ stockId, quantity }))
    .sort((a, b) => (a.stockId < b.stockId ? -1 : 1));
}

/** What a basket holds from its creation on. */
export function heldBy({ takes, linkExpiresAt }: Pick<Creation, 'takes' | 'linkExpiresAt'>): StockTake[] {
  return linkExpiresAt === null ? takes : [];
}

/** What a basket's row holds, or held before it ended. */
export function takesOfRow(row: Pick<BasketRow, 'hold_stock_ids' | 'hold_quantities'>): StockTake[] {
  return row.hold_stock_ids.map((stockId, index) => ({ stockId, quantity: row.hold_quantities[index] ?? 0 }));
}
