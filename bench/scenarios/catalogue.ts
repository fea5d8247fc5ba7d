/** The items on sale, with more stock than any run takes. */
export const itemIds: readonly string[] = Array.from({ length: 1000 }, (_, at) => `seat-block-${at}`);

/** Items of which nothing is left. */
export const soldOutIds: readonly string[] = ['sold-out-1', 'sold-out-2', 'sold-out-3'];

/** The ids of baskets that the floor has links of. */
export const linkedIds: readonly string[] = Array.from({ length: 1000 }, (_, at) => `floor-basket-${at}`);

const linesOfBasket = 3;

/** The items that everybody wants. */
export const sameIds = itemIds.slice(0, linesOfBasket);

/** Three different items, any of all. */
export function randomIds(): string[] {
  const chosen = new Set<string>();
  while (chosen.size < linesOfBasket) chosen.add(itemIds[Math.floor(Math.random() * itemIds.length)] ?? '');
  return [...chosen];
}

/** The body that creates a basket of one of each of these. */
export function basketOf(ids: readonly string[]): object {
  return { items: ids.map((itemId) => ({ itemId, quantity: 1 })) };
}
