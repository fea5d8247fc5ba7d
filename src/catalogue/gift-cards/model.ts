import { type Static, Type } from '@sinclair/typebox';
import { strict, Time } from '../../http/schema.ts';
import { folded } from '../codes/model.ts';

/** A number as it is printed: eight characters at least, as few as leave anything to guess beside the four that are shown. */
export const CardNumber = Type.String({
  pattern: '^ *(?:[A-Za-z0-9-] *){8,64}$',
  maxLength: 128,
  description: 'Spaces and capitals do not matter.',
});

const maxBalance = 1_000_000_000;
const Balance = Type.Integer({
  minimum: 0,
  maximum: maxBalance,
  description: 'minor units: what has not been spent, with what live baskets hold of it',
});
const Currency = Type.String({ minLength: 1, maxLength: 16, description: 'ISO 4217' });

export const GiftCardBody = Type.Object({ balance: Balance, currency: Currency }, strict);
export type WrittenCard = Static<typeof GiftCardBody>;

export const GiftCardAnswer = Type.Object(
  {
    last4: Type.String(),
    balance: Balance,
    available: Type.Integer({ description: 'of the balance what no live basket holds' }),
    currency: Currency,
    createdAt: Time,
    updatedAt: Time,
  },
  { $id: 'GiftCard' },
);

/** A gift card as the shop has it. Its number is not known. */
export type GiftCard = { cardId: string; last4: string; currency: string; createdAt: Date; updatedAt: Date };

/** The number as it counts. */
export function plainNumber(written: string): string {
  return folded(written.replaceAll(' ', ''));
}

/** The stock row that counts the money of a card. */
export function stockIdOfCard({ cardId }: Pick<GiftCard, 'cardId'>): string {
  return `giftCard:${cardId}`;
}
