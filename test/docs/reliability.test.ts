import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const project = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(project, 'docs/reliability.md'), 'utf8');

t.test('the table of faults has every fault of the suite, under its name, and no other', async (t) => {
  const tried = readdirSync(join(project, 'test/faults'))
    .filter((name) => name.endsWith('.test.ts'))
    .flatMap((name) => {
      const source = readFileSync(join(project, 'test/faults', name), 'utf8');
      const faults = [...source.matchAll(/\bid: '(F\d+[a-e]?)',\s*fault: '([^']+)'/g)];
      return faults.map(([, id, fault]) => `[${id}](../test/faults/${name}) ${fault}`);
    });
  const told = [...page.matchAll(/^\| (\[F\d+[a-e]?\]\(\S+\) [^|]+?) \|/gm)].map(([, cell]) => cell);
  t.strictSame(told.sort(), tried.sort());
});
