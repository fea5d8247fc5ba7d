import { confirmationPurpose, sessionPurpose, writeConfirmation } from '../../src/handoff/tokens.ts';
import { readStartToken, type StartLink, startLinkPurpose, writeStartToken } from '../../src/links/token.ts';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import type { TestShop } from './journey.ts';

/** The keyrings that a service derives from its configuration. */
export function keyringsOf({ service }: TestShop) {
  const { linkKeys } = service.config;
  return {
    startLink: deriveKeyring(linkKeys, startLinkPurpose),
    confirmation: deriveKeyring(linkKeys, confirmationPurpose),
    session: deriveKeyring(linkKeys, sessionPurpose),
  };
}

/** The token in a start link. */
export function tokenIn(startBasketUrl: string): string {
  return new URL(startBasketUrl).pathname.replace('/b/', '');
}

/** What a start link of the service says. */
export function readLink(shop: TestShop, startBasketUrl: string): StartLink {
  const said = readStartToken(keyringsOf(shop).startLink, tokenIn(startBasketUrl));
  if (said === null) throw new Error('this is no start link of the service');
  return said;
}

/** A start link like another, signed as the service signs, that says something else. */
export function forgeLink(shop: TestShop, startBasketUrl: string, change: Partial<StartLink>): string {
  const token = writeStartToken(keyringsOf(shop).startLink, { ...readLink(shop, startBasketUrl), ...change });
  return `${shop.service.config.publicUrl}/b/${token}`;
}

/** A confirmation token as a click would have given it so long ago by Postgres' clock. */
export async function forgeConfirmation(
  shop: TestShop,
  basketId: string,
  { ageMs }: { ageMs: number },
): Promise<string> {
  const { rows } = await shop.service.pool.query<{ number: number; generation: number; issued_at: Date }>(
    `SELECT s.shop_number AS number, b.link_generation AS generation,
       clock_timestamp() - $3 * interval '1 millisecond' AS issued_at
     FROM baskets b JOIN shops s ON s.shop_id = b.shop_id WHERE b.shop_id = $1 AND b.basket_id = $2`,
    [shop.shopId, basketId, ageMs],
  );
  const [row] = rows;
  if (!row) throw new Error('there is no such basket');
  const { number: shopNumber, generation: linkGeneration, issued_at: issuedAt } = row;
  return writeConfirmation(keyringsOf(shop).confirmation, { shopNumber, basketId, linkGeneration, issuedAt });
}
