import {
  type CodeType,
  type CodeWithTerms,
  customerLimitOf,
  folded,
  readCodes,
  type ShopCode,
  stockIdOfCode,
} from '../catalogue/index.ts';
import { isRefusal, type ProblemCode, type Refusal, refuse } from '../errors.ts';
import { type StockLimit, type StockTake, takesOf } from '../holds/index.ts';
import type { CodeTries } from '../http/limits.ts';
import type { Discount } from '../money/index.ts';
import type { Queryable } from '../platform/postgres.ts';
import type { AppliedCode, Basket, CreateBasketRequest } from './model.ts';

/** A code that somebody gives, and where in the request. */
export type GivenCode = { type: CodeType; code: string; pointer: string };

/** The codes of a creation in the order in which they count; one that is given twice counts once. */
export function givenCodes({ accessCodes, discountCodes, creatorCode }: CreateBasketRequest): GivenCode[] {
  const listed = (type: CodeType, name: string, codes: readonly string[]) =>
    codes.map((code, at) => ({ type, code, pointer: `/${name}/${at}` }));
  const given = [
    ...listed('access', 'accessCodes', accessCodes),
    ...listed('discount', 'discountCodes', discountCodes),
    ...(creatorCode === null ? [] : [{ type: 'creator' as const, code: creatorCode, pointer: '/creatorCode' }]),
  ];
  return given.filter((code, at) => given.findIndex((other) => sameCode(code, other)) === at);
}

/** Whether two names are of the same code: capitals do not matter. */
export function sameCode(one: { type: CodeType; code: string }, other: { type: CodeType; code: string }): boolean {
  return one.type === other.type && folded(one.code) === folded(other.code);
}

/** Codes that may be applied, and by stock row the version of the catalogue that says so. */
export type FoundCodes = { codes: AppliedCode[]; catalogueVersions: Map<string, number> };

/**
 * Reads codes and takes their terms for a customer, in the order given. Refusals, of the first that may not be used:
 * `code_unknown`, `code_expired`, `code_not_applicable`.
 */
export async function findCodes(
  db: Queryable,
  shopId: string,
  given: readonly GivenCode[],
  customerId: string | null,
  now: Date,
): Promise<FoundCodes | Refusal> {
  const found: FoundCodes = { codes: [], catalogueVersions: new Map() };
  const read = given.length === 0 ? [] : await readCodes(db, shopId, given);
  for (const [at, { pointer }] of given.entries()) {
    const code = read[at];
    if (!code) return refuseCode('code_unknown', pointer, 'is not one of this shop');
    const refusal = untimely(code, now, pointer);
    if (refusal) return refusal;
    const { type, terms, catalogueVersion } = code;
    const applied = takenFor({ type, code: code.code, terms } as CodeWithTerms, customerId, pointer);
    if (isRefusal(applied)) return applied;
    found.codes.push(applied);
    const stockId = stockIdOfCode(code);
    if (stockId !== null && catalogueVersion !== null) found.catalogueVersions.set(stockId, catalogueVersion);
  }
  return found;
}

function untimely({ type, terms }: ShopCode, now: Date, pointer: string): Refusal | null {
  if (type === 'creator') return null;
  const { validFrom, validTo } = terms;
  if (validTo !== null && new Date(validTo) <= now) return refuseCode('code_expired', pointer, 'has expired');
  if (validFrom === null || new Date(validFrom) <= now) return null;
  return refuseCode('code_not_applicable', pointer, 'is not valid yet');
}

/** The code with what it takes for a customer. Refusal: `code_not_applicable` where its uses are counted by customer. */
export function takenFor(code: CodeWithTerms, customerId: string | null, pointer: string): AppliedCode | Refusal {
  const byCustomer = code.type === 'discount' && code.terms.maxUsesPerCustomer !== null;
  if (byCustomer && customerId === null) {
    return refuseCode('code_not_applicable', pointer, 'is limited for each customer: name `customer.id` first');
  }
  const stockIds = [stockIdOfCode(code), ...limitsOf([code], customerId).map(({ stockId }) => stockId)];
  const takes = stockIds.flatMap((stockId) => (stockId === null ? [] : [{ stockId, quantity: 1 }]));
  return { ...code, takes };
}

/** The rows that are made when a customer first uses a code. */
export function limitsOf(codes: readonly CodeWithTerms[], customerId: string | null): StockLimit[] {
  return customerId === null ? [] : codes.flatMap((code) => customerLimitOf(code, customerId) ?? []);
}

/** What codes take off lines. */
export function discountsOf(codes: readonly AppliedCode[]): Discount[] {
  return codes.flatMap(({ type, terms }) => (type === 'discount' ? [terms] : []));
}

/** The items that codes give access to. */
export function unlockedBy(codes: readonly AppliedCode[]): ReadonlySet<string> {
  return new Set(codes.flatMap(({ type, terms }) => (type === 'access' ? terms.itemIds : [])));
}

/** What a basket of these lines, codes and gift cards takes, by stock row. */
export function takesOfAll({ lines, codes, giftCards }: Pick<Basket, 'lines' | 'codes' | 'giftCards'>): StockTake[] {
  return takesOf([...lines, ...[...codes, ...giftCards].flatMap(({ takes }) => takes)]);
}

/** What a basket of these lines, codes and gift cards holds: nothing while it waits for its activation. */
export function takesToHold(basket: Pick<Basket, 'waiting' | 'lines' | 'codes' | 'giftCards'>): StockTake[] {
  return basket.waiting ? [] : takesOfAll(basket);
}

/** Whether no use of a code is left, where so much is available of the stock rows that are short. */
export function isExhausted({ takes }: AppliedCode, available: ReadonlyMap<string, number>): boolean {
  return takes.some(({ stockId, quantity }) => (available.get(stockId) ?? Infinity) < quantity);
}

/** The refusal for a code of which there is no use left, or null: what was short was something else. */
export function exhausted(
  codes: readonly AppliedCode[],
  available: ReadonlyMap<string, number>,
  pointerOf: (code: AppliedCode) => string,
): Refusal | null {
  const short = codes.find((code) => isExhausted(code, available));
  return short ? refuseCode('code_exhausted', pointerOf(short), 'is used up') : null;
}

/** A refusal that names the place of a code. */
export function refuseCode(code: ProblemCode, pointer: string, detail: string): Refusal {
  return refuse(code, { detail: `The code at ${pointer} ${detail}.`, extensions: { errors: [{ pointer, detail }] } });
}

const failures: readonly ProblemCode[] = ['code_unknown', 'code_expired', 'code_exhausted', 'code_not_applicable'];

/** Counts what has failed because of a code, and refuses with `code_attempts` when it is one too many. */
export async function countFailure<T>(tries: CodeTries, result: T | Refusal): Promise<T | Refusal> {
  if (!isRefusal(result) || !failures.includes(result.refused)) return result;
  return (await tries.failed()) ?? result;
}
