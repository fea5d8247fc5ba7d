import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { environmentSchema } from '../../src/config.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(project, path), 'utf8');

const inSchema = Object.entries(environmentSchema.properties);
const inExample = [...read('.env.example').matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => ({ name, value }));
/** The rows of the table of variables: name, default, meaning. */
const inPage = [...read('docs/operate.md').matchAll(/^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$/gm)].map(
  ([, name, value, meaning]) => ({ name, value, meaning }),
);

t.test('the example, the page for operators and the schema name the same variables in the same order', async (t) => {
  const names = inSchema.map(([name]) => name);
  t.strictSame(
    inExample.map(({ name }) => name),
    names,
  );
  t.strictSame(
    inPage.map(({ name }) => name),
    names,
  );
});

t.test('the page for operators and the example give the defaults, and the page says what is required', async (t) => {
  const required = new Set<string>(environmentSchema.required);
  for (const [name, schema] of inSchema) {
    const row = inPage.find((one) => one.name === name);
    const usedDefault: unknown = schema.default;
    const shown = usedDefault === undefined ? (required.has(name) ? 'required' : '') : `\`${usedDefault}\``;
    t.equal(row?.value, shown, name);
    if (usedDefault !== undefined) t.equal(inExample.find((one) => one.name === name)?.value, String(usedDefault));
  }
});

t.test('every log line that operators are told to watch for is one that the service writes', async (t) => {
  const watched = /^\| `msg` [\s\S]*?\n\n/m.exec(read('docs/operate.md'))?.[0] ?? '';
  const messages = [...watched.matchAll(/^\| `([^`]+)` \| /gm)].map(([, message = '']) => message).slice(1);
  t.not(messages.length, 0);
  const code = readdirSync(join(project, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(join('src', path)))
    .join('\n');
  for (const message of messages) t.ok(code.includes(`'${message}'`), message);
});
