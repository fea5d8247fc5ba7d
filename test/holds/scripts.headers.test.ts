import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';

const directory = new URL('../../src/holds/scripts/', import.meta.url);
const writes = /redis\.call\('(?:SET|DEL|HSET|HINCRBY|ZADD|ZREM|PEXPIRE|INCRBY)'/g;

type Script = { header: string; code: string };

async function readScript(name: string): Promise<Script> {
  const lines = (await readFile(new URL(name, directory), 'utf8')).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('--'));
  return { header: lines.slice(0, end).join('\n'), code: lines.slice(end).join('\n') };
}

/** What the header says of KEYS or ARGV: the numbers named one by one, and from which on there are any number. */
function documented(array: 'KEYS' | 'ARGV', { header }: Script): { single: number[]; from: number | null } {
  const single: number[] = [];
  let from: number | null = null;
  for (const [, index, open] of header.matchAll(new RegExp(`^-- ${array}\\[(\\d+)(\\.\\.\\.)?\\]`, 'gm'))) {
    if (open) from = Number(index);
    else single.push(Number(index));
  }
  return { single, from };
}

/** What the code uses: numbers written out, and the first of those that the loop over the stock rows computes. */
function used(array: 'KEYS' | 'ARGV', { code }: Script): { single: number[]; from: number | null } {
  const single = [...code.matchAll(new RegExp(`${array}\\[(\\d+)\\]`, 'g'))].map(([, index]) => Number(index));
  const loopStarts = [...code.matchAll(/for i = (\d+), #KEYS do/g)].map(([, start]) => Number(start));
  const offsets = [...code.matchAll(new RegExp(`${array}\\[i(?: ([+-]) (\\d+))?\\]`, 'g'))].map(
    ([, sign, offset]) => (sign === '-' ? -1 : 1) * Number(offset ?? 0),
  );
  const starts = new Set(loopStarts.flatMap((start) => offsets.map((offset) => start + offset)));
  if (starts.size > 1) throw new Error(`${array} is walked in different ways: ${[...starts].join(', ')}`);
  const [from = null] = starts;
  return { single: [...new Set(single)].sort((a, b) => a - b), from };
}

/** The outcomes that a header names as single words; what it describes in several words is a value. */
function documentedOutcomes({ header }: Script): string[] {
  const listed = /^-- Outcomes:\s+(.*)$/m.exec(header)?.[1] ?? '';
  return listed
    .split(' | ')
    .map((outcome) => outcome.split(',')[0] ?? '')
    .filter((outcome) => /^[a-z_]+$/.test(outcome) && outcome !== 'false')
    .sort();
}

/** The words in the code that are not arguments of a command: what the script can answer. */
function outcomesInCode({ code }: Script): string[] {
  const withoutCommands = code.replace(/redis\.call\([^)]*\)/g, '');
  return [...new Set([...withoutCommands.matchAll(/'([a-z_]+)'/g)].map(([, word = '']) => word))].sort();
}

for (const name of (await readdir(directory)).filter((file) => file.endsWith('.lua'))) {
  t.test(`the header of ${name} says what its code takes and answers`, async (t) => {
    const script = await readScript(name);
    for (const array of ['KEYS', 'ARGV'] as const) t.same(used(array, script), documented(array, script), array);
    t.match(script.header, /^-- Outcomes: {3}\S/m);
    t.same(outcomesInCode(script), documentedOutcomes(script), 'outcomes');
  });

  t.test(`${name} writes nothing before it has read and converted all that it was given`, async (t) => {
    const { code } = await readScript(name);
    const firstWrite = code.search(writes);
    const conversions = [...code.matchAll(/tonumber\(|redis\.call\('(?:EXISTS|HEXISTS|HMGET|GET|TIME)'/g)];
    const late = conversions.filter(({ index }) => firstWrite !== -1 && index > firstWrite).map(([text]) => text);
    t.same(late, []);
  });
}

t.test('admit refuses before its first write, and only admits after it', async (t) => {
  const { code } = await readScript('admit.lua');
  const firstWrite = code.search(writes);
  const answers = [...code.matchAll(/return (?:\{ '(\w+)' \}|(\w+))/g)];
  const answersAfter = answers.filter(({ index }) => index > firstWrite).map(([, literal]) => literal);
  t.same(answersAfter, ['admitted']);
  t.equal(answers.length, 4);
});
