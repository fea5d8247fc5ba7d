import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';

const directory = new URL('../../src/holds/scripts/', import.meta.url);
const write = /write_rows\(\)|redis\.call\('(?:SET|DEL|UNLINK|HSET|HDEL|HINCRBY|ZADD|ZREM)'/;
const read =
  /(?:tonumber|hold_of|row_of|count|now_ms)\(|redis\.p?call\('(?:HM?GET|HEXISTS|HSCAN|ZSCORE|ZRANGEBYSCORE|INFO|TIME)'/g;

type Script = { header: string; code: string };

async function readScript(name: string): Promise<Script> {
  const lines = (await readFile(new URL(name, directory), 'utf8')).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('--'));
  return { header: lines.slice(0, end).join('\n'), code: lines.slice(end).join('\n') };
}

/** The arguments that the header names one by one, and from which on there are any number. */
function documentedArguments({ header }: Script): { single: number[]; from: number | null } {
  const single: number[] = [];
  let from: number | null = null;
  for (const [, index, open] of header.matchAll(/^-- ARGV\[(\d+)(\.\.\.)?\]/gm)) {
    if (open) from = Number(index);
    else single.push(Number(index));
  }
  return { single, from };
}

/** The arguments that the code takes: numbers written out, and the first of those that its loops walk. */
function usedArguments({ code }: Script): { single: number[]; from: number | null } {
  const single = [...code.matchAll(/ARGV\[(\d+)\]/g)].map(([, index]) => Number(index));
  const starts = new Set([...code.matchAll(/for i = (\d+), #ARGV/g)].map(([, start]) => Number(start)));
  if (starts.size > 1) throw new Error(`ARGV is walked from ${[...starts].join(' and from ')}`);
  const [from = null] = starts;
  return { single: [...new Set(single)].sort((a, b) => a - b), from };
}

function documentedOutcomes({ header }: Script): string[] {
  const listed = /^-- Outcomes:\s+(.*)$/m.exec(header)?.[1] ?? '';
  return listed
    .split(' | ')
    .map((outcome) => outcome.split(',')[0] ?? '')
    .sort();
}

/** Every answer is a list that begins with its outcome. */
function outcomesInCode({ code }: Script): string[] {
  return [...new Set([...code.matchAll(/\{\s*'([a-z_]+)'/g)].map(([, word = '']) => word))].sort();
}

const names = (await readdir(directory)).filter((file) => file.endsWith('.lua'));
/** They begin and look at epochs, so they have none to be fenced by. */
const unfenced = ['fence.lua', 'identify.lua', 'reset.lua'];

for (const name of names) {
  t.test(`the header of ${name} says what its code takes and answers`, async (t) => {
    const script = await readScript(name);
    const { single, from } = documentedArguments(script);
    const used = usedArguments(script);
    // The fence, which stands before it, takes the epoch.
    t.same(unfenced.includes(name) ? used : { ...used, single: [1, ...used.single] }, { single, from }, 'ARGV');
    t.same(outcomesInCode(script), documentedOutcomes(script), 'outcomes');
    const keys = new Set([...script.code.matchAll(/KEYS\[(\d)\]/g)].map(([, index]) => Number(index)));
    t.ok(
      [...keys].every((index) => index >= 1 && index <= 3),
      'KEYS',
    );
    t.match(script.header, unfenced.includes(name) ? /^-- KEYS\[3\]/m : /^-- KEYS {8}those of the partition/m);
  });

  t.test(`${name} writes nothing before it has read and converted all that it was given`, async (t) => {
    const { code } = await readScript(name);
    const { index: firstWrite } =
      write.exec(code.replace(/^local function[\s\S]*?^end$/gm, (text) => ' '.repeat(text.length))) ?? {};
    const late = [...code.matchAll(read)].filter(({ index }) => firstWrite !== undefined && index > firstWrite);
    t.same(
      late.map(([text]) => text),
      [],
    );
  });
}

t.test('every script but those that begin and look at epochs has the fence before it', async (t) => {
  const source = await readFile(new URL('../admission.ts', directory), 'utf8');
  const fenced = [...source.matchAll(/fenced\('(\w+)'\)/g)].map(([, name]) => `${name}.lua`);
  t.same(fenced.sort(), names.filter((name) => !unfenced.includes(name)).sort());
});

t.test('admit refuses before its first write, and only admits after it', async (t) => {
  const { code } = await readScript('admit.lua');
  const firstWrite = code.search(write);
  const answers = [...code.matchAll(/return (?:\{ '(\w+)' \}|(\w+))/g)];
  const answersAfter = answers.filter(({ index }) => index > firstWrite).map(([, literal]) => literal);
  t.same(answersAfter, ['admitted']);
  t.equal(answers.length, 5);
});
