import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Id, Nullable, OneOf, strict, Time } from '../../http/schema.ts';
import { MAX_PRICE_MINOR } from '../../money/index.ts';
import { Availability } from '../model.ts';

const orNull = <T extends TSchema>(schema: T) => Type.Unsafe<Static<T> | null>({ ...Nullable(schema), default: null });
const ItemIds = Type.Array(Id, { minItems: 1, maxItems: 400, uniqueItems: true });
const Uses = Type.Integer({ minimum: 0, maximum: 1_000_000_000 });

const discountProperties = {
  type: OneOf('percent', 'fixed'),
  value: Type.Integer({
    minimum: 1,
    maximum: MAX_PRICE_MINOR,
    description: 'percent: basis points, at most 10000; fixed: minor units',
  }),
  itemIds: orNull(ItemIds),
  minimumSpend: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'minor units: what the lines of its items must come to before any discount',
  }),
  maxUses: orNull(Uses),
  maxUsesPerCustomer: orNull(Uses),
  validFrom: orNull(Time),
  validTo: orNull(Time),
};
const accessProperties = {
  itemIds: ItemIds,
  maxUses: orNull(Uses),
  validFrom: orNull(Time),
  validTo: orNull(Time),
};
const creatorProperties = {
  walletRef: Type.String({ minLength: 1, maxLength: 200 }),
  sharePercent: Type.Number({ minimum: 0, maximum: 100 }),
};
const DiscountCodeBody = Type.Object(discountProperties, strict);
const AccessCodeBody = Type.Object(accessProperties, strict);
const CreatorCodeBody = Type.Object(creatorProperties, strict);

const stamps = { createdAt: Time, updatedAt: Time };
const DiscountCodeAnswer = Type.Object(
  { code: Id, ...discountProperties, availability: Availability, ...stamps },
  { $id: 'DiscountCode' },
);
const AccessCodeAnswer = Type.Object(
  { code: Id, ...accessProperties, availability: Availability, ...stamps },
  { $id: 'AccessCode' },
);
const CreatorCodeAnswer = Type.Object({ code: Id, ...creatorProperties, ...stamps }, { $id: 'CreatorCode' });

/** What a shop says of a code of each type. */
type TermsByType = {
  discount: Static<typeof DiscountCodeBody>;
  access: Static<typeof AccessCodeBody>;
  creator: Static<typeof CreatorCodeBody>;
};
export type CodeType = keyof TermsByType;

/** A code with its terms; `code` as the shop writes it. */
export type CodeWithTerms = { [Type in CodeType]: { type: Type; code: string; terms: TermsByType[Type] } }[CodeType];

/** A code as the shop has it now. `catalogueVersion` is that of its stock row; null where it has none. */
export type ShopCode = CodeWithTerms & { catalogueVersion: number | null; createdAt: Date; updatedAt: Date };

/** The types of codes with the names and schemas of their routes. */
export const codeKinds: readonly { type: CodeType; path: string; name: string; Body: TSchema; Answer: TSchema }[] = [
  {
    type: 'discount',
    path: '/v1/discount-codes/:code',
    name: 'DiscountCode',
    Body: DiscountCodeBody,
    Answer: DiscountCodeAnswer,
  },
  {
    type: 'access',
    path: '/v1/access-codes/:code',
    name: 'AccessCode',
    Body: AccessCodeBody,
    Answer: AccessCodeAnswer,
  },
  {
    type: 'creator',
    path: '/v1/creator-codes/:code',
    name: 'CreatorCode',
    Body: CreatorCodeBody,
    Answer: CreatorCodeAnswer,
  },
];

/** What codes are compared by: capitals do not matter. Of the letters of ids alone, which a code has; not ß as SS. */
export function folded(code: string): string {
  return code.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** The stock row that counts the uses of a code; null for a type whose uses nobody counts. */
export function stockIdOfCode({ type, code }: { type: CodeType; code: string }): string | null {
  return type === 'creator' ? null : `${type}:${folded(code)}`;
}

/** The stock row that counts one customer's uses of a discount code, and how many they may be; null: any number. */
export function customerLimitOf(
  { type, code, terms }: CodeWithTerms,
  customerId: string,
): { stockId: string; capacity: number } | null {
  if (type !== 'discount' || terms.maxUsesPerCustomer === null) return null;
  return { stockId: `discount:${folded(code)}/${customerId}`, capacity: terms.maxUsesPerCustomer };
}
