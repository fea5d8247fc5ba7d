import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { changeItems, readItems, type StockKeeper, toItemAnswer, type WrittenItem } from '../../catalogue/index.ts';
import type { RefusedRow, Row } from './rows.ts';

/** As many as a call of the API takes. */
const atOnce = 1000;

/** What became of rows. */
export type Imported = { changed: number; asTheyAre: number; refused: RefusedRow[] };

/**
 * Creates or replaces the items of rows, a thousand at a time by the rules of `PUT /v1/items`. Where some of a thousand
 * are refused the others are not: halves are tried, down to single rows. Items that are so already are left alone. `told`
 * hears how many rows are done.
 */
export async function importRows(
  deps: { pool: pg.Pool; stock: StockKeeper },
  shopId: string,
  rows: readonly Row[],
  told: (done: number) => void,
): Promise<Imported> {
  const result: Imported = { changed: 0, asTheyAre: 0, refused: [] };

  async function put(part: readonly Row[]): Promise<void> {
    const [first] = part;
    if (first === undefined) return;
    const items = new Map(part.map(({ itemId, item }) => [itemId, item]));
    const refusal = await changeItems(deps, shopId, [...items.keys()], () => items);
    if (refusal === null) {
      result.changed += part.length;
    } else if (part.length === 1) {
      result.refused.push({ ...first, refusal });
    } else {
      const half = Math.ceil(part.length / 2);
      await put(part.slice(0, half));
      await put(part.slice(half));
    }
  }

  for (let at = 0; at < rows.length; at += atOnce) {
    const part = rows.slice(at, at + atOnce);
    const different = await differing(deps, shopId, part);
    result.asTheyAre += part.length - different.length;
    await put(different);
    told(at + part.length);
  }
  return result;
}

/** The rows whose items are not there, or not so. */
async function differing(
  { pool, stock }: { pool: pg.Pool; stock: StockKeeper },
  shopId: string,
  rows: readonly Row[],
): Promise<Row[]> {
  const ids = rows.map(({ itemId }) => itemId);
  const known = await readItems(pool, shopId, ids);
  const stockIds = [...known.values()].map(({ stockId }) => stockId);
  const availability = await stock.availability(pool, shopId, stockIds);
  return rows.filter(({ itemId, item }) => {
    const found = known.get(itemId);
    if (found === undefined) return true;
    const present: Record<string, unknown> = toItemAnswer(found, availability.get(found.stockId));
    return !Object.entries(inOneForm(item)).every(([name, value]) => isDeepStrictEqual(present[name], value));
  });
}

/** With times as they are shown. */
function inOneForm(item: WrittenItem): WrittenItem {
  const shown = (time: string | null) => (time === null ? null : new Date(time).toISOString());
  return { ...item, saleStartsAt: shown(item.saleStartsAt), saleEndsAt: shown(item.saleEndsAt) };
}
