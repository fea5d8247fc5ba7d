import canonicalize from 'canonicalize';
import type { SellableItem } from '../catalogue/index.ts';
import { type ProblemCode, type Refusal, refuse } from '../errors.ts';
import { type Amounts, isDue, priceDiscounted, type TaxMode } from '../money/index.ts';
import type { Shop } from '../shops/index.ts';
import { discountsOf, unlockedBy } from './codes.ts';
import type { AppliedCode, Basket, BasketLine, WrittenLine } from './model.ts';

type Wanted = { item: SellableItem; quantity: number; unlocked: ReadonlySet<string>; now: Date };

/** Why an item may not be sold, in the order in which it is asked; the first that holds is the answer. */
const saleChecks: readonly {
  code: ProblemCode;
  status?: number;
  fails: (wanted: Wanted) => boolean;
  explain?: (item: SellableItem) => object;
}[] = [
  { code: 'event_cancelled', status: 422, fails: ({ item }) => item.event?.status === 'cancelled' },
  { code: 'event_suspended', status: 422, fails: ({ item }) => item.event?.status === 'suspended' },
  {
    code: 'sale_not_open',
    fails: ({ item, now }) => item.saleStartsAt !== null && item.saleStartsAt > now,
    explain: ({ saleStartsAt }) => ({ saleStartsAt }),
  },
  {
    code: 'sale_closed',
    fails: ({ item, now }) => item.saleEndsAt !== null && item.saleEndsAt <= now,
    explain: ({ saleEndsAt }) => ({ saleEndsAt }),
  },
  { code: 'access_code_required', fails: ({ item, unlocked }) => isLocked(item, unlocked) },
  {
    code: 'quantity_limit',
    fails: ({ item, quantity }) => quantity > item.maxPerBasket,
    explain: ({ maxPerBasket }) => ({ maxPerBasket }),
  },
];

/** Whether an item is sold with an access code only, and there is none for it. */
function isLocked(item: SellableItem, unlocked: ReadonlySet<string>): boolean {
  return item.accessRequired && !unlocked.has(item.itemId);
}

/** Refuses codes that leave an item of these locked: `access_code_required`, naming the items. */
export function lockedWithout(items: readonly SellableItem[], codes: readonly AppliedCode[]): Refusal | null {
  const unlocked = unlockedBy(codes);
  const errors = items.filter((item) => isLocked(item, unlocked)).map(({ itemId }) => ({ itemId }));
  return errors.length === 0 ? null : refuse('access_code_required', { extensions: { errors } });
}

/**
 * Prices the lines of a new basket with the items as they are now and its codes, or says why it may not be sold: an
 * item is unknown, a sale check fails (an item's lines count as their sum), there are too many lines, or a variable is
 * missing. Equal lines (item, variables, custom, modifiable) are merged. Refusals name the items in `errors`.
 */
export function priceLines(
  shop: Shop,
  items: ReadonlyMap<string, SellableItem>,
  written: readonly WrittenLine[],
  codes: readonly AppliedCode[],
  now: Date,
): BasketLine[] | Refusal {
  const refusal =
    unsellable(items, quantitiesByItem(written), codes, now) ?? wrongVariables(items, written, (at) => `/items/${at}`);
  if (refusal) return refusal;
  const merged = mergeEqual(written);
  if (merged.length > shop.basket.maxLines) return tooManyLines(shop);
  const lines = merged.flatMap((line, at) => {
    const item = items.get(line.itemId);
    return item ? [lineOf(String(at + 1), line, item)] : [];
  });
  return withAmounts(lines, codes, shop.tax.mode);
}

/**
 * Why items may not be sold at this moment to a basket with these codes, whatever their quantities; null when they may.
 * Refusals: those of saleChecks but for `quantity_limit`, with the items in `errors`.
 */
export function notOnSale(
  items: ReadonlyMap<string, SellableItem>,
  codes: readonly AppliedCode[],
  now: Date,
): Refusal | null {
  return unsellable(items, new Map(), codes, now);
}

/** An edit of a basket's lines: one more, or another quantity of one that is there; 0 takes it out. */
export type LineEdit = { add: WrittenLine } | { lineId: string; quantity: number };

/** What an edit is about: the line that it changes (null: a new one), its item, and the line's quantity afterwards. */
export type EditTarget = { line: BasketLine | null; itemId: string; quantity: number };

/**
 * Finds what an edit is about, or null when there is no such line. Something added goes to the line of the same item,
 * variables and custom data; where several are equal (they differ in `modifiable`), to one that may be changed.
 */
export function targetOf({ lines }: Pick<Basket, 'lines'>, edit: LineEdit): EditTarget | null {
  if ('add' in edit) {
    const equal = lines.filter((line) => identityOf(line) === identityOf(edit.add));
    const line = equal.find(({ modifiable }) => modifiable) ?? equal[0] ?? null;
    return { line, itemId: edit.add.itemId, quantity: edit.add.quantity + (line?.quantity ?? 0) };
  }
  const line = lines.find(({ lineId }) => lineId === edit.lineId);
  return line ? { line, itemId: line.itemId, quantity: edit.quantity } : null;
}

/**
 * The lines after an edit. What is there keeps the price and tax rate that it was added with, but costs what it does
 * with the basket's codes, and only what is added is checked: taking out works whatever has become of the item. Gives
 * the lines and the highest number that one of them ever had. Refusals: `not_modifiable`, `unknown_item`, those of
 * saleChecks (an item's lines count as their sum), `variable_required`.
 */
export function editLines(
  basket: Basket,
  edit: LineEdit,
  { line, itemId, quantity }: EditTarget,
  item: SellableItem | undefined,
  shop: Shop,
  now: Date,
): Pick<Basket, 'lines' | 'lastLineNumber'> | Refusal {
  const { lines, codes, content } = basket;
  if (!content.modifiable) return refuse('not_modifiable', { detail: 'No line of this basket can be changed.' });
  if (line?.modifiable === false) return refuse('not_modifiable', { detail: 'This line cannot be changed.' });
  const items = new Map(item ? [[itemId, item]] : []);
  const added = quantity - (line?.quantity ?? 0);
  const ofItem = quantitiesByItem([...lines.filter((each) => each.itemId === itemId), { itemId, quantity: added }]);
  const refusal =
    (added > 0 ? unsellable(items, ofItem, codes, now) : null) ??
    ('add' in edit ? wrongVariables(items, [edit.add], () => '') : null);
  if (refusal) return refusal;

  const lastLineNumber = Math.max(basket.lastLineNumber, ...lines.map(({ lineId }) => Number(lineId)));
  if (line !== null) {
    // Who adds something fixed gets a fixed line.
    const modifiable = 'add' in edit ? edit.add.modifiable : line.modifiable;
    const edited = quantity === 0 ? [] : [{ ...line, quantity, modifiable }];
    const remaining = lines.flatMap((each) => (each === line ? edited : [each]));
    return { lastLineNumber, lines: withAmounts(remaining, codes, content.taxMode) };
  }
  if (!('add' in edit) || item === undefined) throw new Error('a new line without an item');
  if (lines.length >= shop.basket.maxLines) return tooManyLines(shop);
  if (shop.currency !== content.currency || shop.tax.mode !== content.taxMode) {
    const detail = 'The shop has changed its currency or tax since this basket was created: nothing new can be added.';
    return refuse('not_modifiable', { detail });
  }
  const next = lastLineNumber + 1;
  const longer = [...lines, lineOf(String(next), edit.add, item)];
  return { lastLineNumber: next, lines: withAmounts(longer, codes, content.taxMode) };
}

/** What a line is before it is priced: what it costs depends on the other lines, too. */
type UnpricedLine = Omit<BasketLine, keyof Amounts>;

/** The lines of a basket with what they cost with its codes, at the prices that they were added with. */
export function withAmounts(
  lines: readonly UnpricedLine[],
  codes: readonly AppliedCode[],
  taxMode: TaxMode,
): BasketLine[] {
  const amounts = priceDiscounted(lines.map(asPriced), discountsOf(codes), taxMode);
  return lines.flatMap((line, at) => {
    const priced = amounts[at];
    return priced ? [{ ...line, ...priced }] : [];
  });
}

/** Whether a code takes something off these lines; one that does not change what they cost does so always. */
export function appliesTo(code: AppliedCode, lines: readonly BasketLine[]): boolean {
  return discountsOf([code]).every((discount) => isDue(discount, lines.map(asPriced)));
}

function asPriced({ itemId, unitPrice: unitPriceMinor, quantity, taxRateTenThousandths }: UnpricedLine) {
  return { itemId, unitPriceMinor, quantity, taxRateTenThousandths };
}

/** The events that lines belong to. */
export function eventIdsOf(lines: readonly BasketLine[]): string[] {
  return [...new Set(lines.flatMap(({ eventId }) => (eventId === null ? [] : [eventId])))];
}

/** Whether two lists of lines are the same things at the same prices, whatever their order and line ids. */
export function sameLines(some: readonly BasketLine[], others: readonly BasketLine[]): boolean {
  const written = (lines: readonly BasketLine[]) => lines.map(({ lineId, ...line }) => canonicalize(line)).sort();
  return canonicalize(written(some)) === canonicalize(written(others));
}

/** How many of each item lines have together. */
export function quantitiesByItem(lines: readonly { itemId: string; quantity: number }[]): Map<string, number> {
  const quantities = new Map<string, number>();
  for (const { itemId, quantity } of lines) quantities.set(itemId, (quantities.get(itemId) ?? 0) + quantity);
  return quantities;
}

function unsellable(
  items: ReadonlyMap<string, SellableItem>,
  quantities: ReadonlyMap<string, number>,
  codes: readonly AppliedCode[],
  now: Date,
): Refusal | null {
  const unlocked = unlockedBy(codes);
  const unknown = [...quantities.keys()].filter((itemId) => !items.has(itemId));
  if (unknown.length > 0)
    return refuse('unknown_item', { extensions: { errors: unknown.map((itemId) => ({ itemId })) } });
  for (const { code, status, fails, explain } of saleChecks) {
    const failing = [...items.values()].filter((item) =>
      fails({ item, quantity: quantities.get(item.itemId) ?? 0, unlocked, now }),
    );
    if (failing.length === 0) continue;
    const errors = failing.map((item) => ({ itemId: item.itemId, ...explain?.(item) }));
    return refuse(code, { ...(status === undefined ? {} : { status }), extensions: { errors } });
  }
  return null;
}

function wrongVariables(
  items: ReadonlyMap<string, SellableItem>,
  written: readonly WrittenLine[],
  pointerOf: (at: number) => string,
): Refusal | null {
  const errors = written.flatMap(({ itemId, variables }, at) =>
    (items.get(itemId)?.variables ?? [])
      .filter(({ name, required, options }) => {
        const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
        return value === undefined ? required : options.length > 0 && !options.includes(value);
      })
      .map(({ name }) => ({ pointer: `${pointerOf(at)}/variables/${name}`, itemId, variable: name })),
  );
  return errors.length > 0 ? refuse('variable_required', { extensions: { errors } }) : null;
}

function tooManyLines({ basket: { maxLines } }: Shop): Refusal {
  return refuse('quantity_limit', { extensions: { errors: [{ maxLines }] } });
}

function lineOf(lineId: string, line: WrittenLine, item: SellableItem): UnpricedLine {
  const { itemId, eventId, stockId, name, type, price: unitPrice, taxRateTenThousandths } = item;
  const { quantity, modifiable, variables, custom } = line;
  return {
    lineId,
    itemId,
    eventId,
    stockId,
    name,
    type,
    quantity,
    unitPrice,
    taxRateTenThousandths,
    modifiable,
    variables,
    custom,
  };
}

/** What makes two lines the same: the order in which their data was written does not. */
function identityOf({ itemId, variables, custom }: Pick<BasketLine, 'itemId' | 'variables' | 'custom'>): string {
  return canonicalize([itemId, variables, custom]) ?? '';
}

function mergeEqual(written: readonly WrittenLine[]): readonly WrittenLine[] {
  // What is compared below would cost more than all else that is done to them.
  if (new Set(written.map(({ itemId }) => itemId)).size === written.length) return written;
  const merged = new Map<string, WrittenLine>();
  for (const line of written) {
    const key = `${line.modifiable} ${identityOf(line)}`;
    const quantity = line.quantity + (merged.get(key)?.quantity ?? 0);
    merged.set(key, { ...line, quantity });
  }
  return [...merged.values()];
}
