import { CsvError, parse } from 'csv-parse/sync';
import { ItemBody, type WrittenItem } from '../../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { isId } from '../../http/access.ts';
import { isStorable } from '../../http/json.ts';
import { checkWritten } from '../../http/written.ts';

/** A row that is an item. `line` is where it ends in the file, counted from 1. */
export type Row = { line: number; itemId: string; item: WrittenItem };
/** A row that is none, and why. */
export type RefusedRow = { line: number; itemId: string; refusal: Refusal };

/** Columns by the type of their values; all others are texts. */
const columns: ReadonlyMap<string, string> = new Map(
  Object.entries({ itemId: { type: 'string' }, ...ItemBody.properties }).map(([name, schema]) => [
    name,
    [schema.type].flat().find((type) => type !== 'null') ?? 'string',
  ]),
);

/**
 * Reads a CSV (RFC 4180, UTF-8) whose first line names the columns, which are the properties of an item. An empty cell is
 * left out. Throws Error when the file as a whole cannot be read: no CSV, columns that are unknown or missing.
 */
export function readRows(csv: Buffer): { rows: Row[]; refused: RefusedRow[] } {
  const [header, ...records] = parseCsv(csv);
  const names = header?.record ?? [];
  const unknown = names.filter((name) => !columns.has(name)).map((name) => `there is no column "${name}"`);
  const missing = ['itemId', 'name', 'price'].filter((name) => !names.includes(name));
  const twice = names.filter((name, at) => names.indexOf(name) !== at).map((name) => `"${name}" is there twice`);
  const problems = [...unknown, ...twice, ...missing.map((name) => `the column "${name}" is missing`)];
  if (problems.length > 0) {
    throw new Error(`The first line must name columns of ${[...columns.keys()].join(', ')}: ${problems.join(', ')}.`);
  }

  const check = checkWritten(ItemBody);
  const rows: Row[] = [];
  const refused: RefusedRow[] = [];
  const lines = new Map<string, number>();
  for (const { record, line } of records) {
    const { itemId, ...written } = Object.fromEntries(
      record.flatMap((text, at) => (text === '' ? [] : [[names[at] ?? '', readCell(names[at] ?? '', text)]])),
    );
    const earlier = typeof itemId === 'string' ? lines.get(itemId) : undefined;
    const name = typeof itemId === 'string' ? itemId : '';
    const item = wrongAsARow(record, names) ?? check(written);
    if (isRefusal(item)) refused.push({ line, itemId: name, refusal: item });
    else if (!isId(itemId)) refused.push({ line, itemId: name, refusal: notAnId });
    else if (earlier !== undefined) refused.push({ line, itemId, refusal: namedTwice(earlier) });
    else rows.push({ line, itemId, item });
    if (isId(itemId) && earlier === undefined) lines.set(itemId, line);
  }
  return { rows, refused };
}

function wrongAsARow(record: readonly string[], names: readonly string[]): Refusal | null {
  if (record.length > names.length) return tooManyCells;
  return record.every(isStorable) ? null : notStorable;
}

const tooManyCells = refuse('invalid_request', { detail: 'The row has more cells than the first line has columns.' });
const notStorable = refuse('invalid_request', { detail: 'A text has a NUL character: take it out.' });
const notAnId = refuse('invalid_request', {
  detail: '/itemId is not an id: 1 to 128 characters of A-Z a-z 0-9 _ . : -.',
});

function namedTwice(line: number): Refusal {
  return refuse('invalid_request', { detail: `The item stands in line ${line} already: keep one of the two.` });
}

function parseCsv(csv: Buffer): { record: string[]; line: number }[] {
  const lines: number[] = [];
  const keepLine = (record: string[], { lines: line }: { lines: number }) => {
    lines.push(line);
    return record;
  };
  const options = { bom: true, trim: true, relax_column_count: true, skip_empty_lines: true, on_record: keepLine };
  try {
    return parse(csv, options).map((record, at) => ({ record, line: lines[at] ?? 0 }));
  } catch (error) {
    if (error instanceof CsvError) throw new Error(`The file is no CSV that can be read: ${error.message}`);
    throw error;
  }
}

/** What a cell says. What does not look like its type stays a text, which the check of the item names. */
function readCell(name: string, text: string): unknown {
  const type = columns.get(name);
  // 25.00 for a price in minor units is a mistake, and not 25.
  if (type === 'integer') return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
  if (type === 'number') return /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
  if (type === 'boolean') return { true: true, false: false }[text] ?? text;
  if (type !== 'array') return text;
  try {
    return JSON.parse(text, (_, value: unknown) => {
      if (typeof value === 'string' && !isStorable(value)) throw new Error('Postgres takes no such text');
      return value;
    });
  } catch {
    return text;
  }
}
