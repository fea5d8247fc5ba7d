import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from 'recheck';
import t from 'tap';
import ts from 'typescript';

const project = fileURLToPath(new URL('../..', import.meta.url));
const limitMs = 60_000;

// Without a program of its own for this machine the checker is many times slower.
t.setTimeout(600_000);

/** A regular expression of the source; `source` is null where it cannot be read off. */
type Pattern = { where: string; source: string | null; flags: string };

/** Every regular expression of a file: literals, what RegExp is made of, and `pattern` of JSON schemas, which Ajv reads. */
function patternsOf(path: string, text: string): Pattern[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const constants = new Map<string, string>();
  const found: Pattern[] = [];

  function textOf(node: ts.Expression | undefined): string | null {
    if (node === undefined) return null;
    if (ts.isStringLiteralLike(node)) return node.text;
    return ts.isIdentifier(node) ? (constants.get(node.text) ?? null) : null;
  }
  function visit(node: ts.Node): void {
    const where = `${path}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer) {
      if (ts.isStringLiteralLike(node.initializer)) constants.set(node.name.text, node.initializer.text);
    }
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      found.push({ where, source: node.text.slice(1, end), flags: node.text.slice(end + 1) });
    }
    if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === 'RegExp') {
      found.push({ where, source: textOf(node.arguments?.[0]), flags: textOf(node.arguments?.[1]) ?? '' });
    }
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'pattern') {
      found.push({ where, source: textOf(node.initializer), flags: 'u' });
    }
    ts.forEachChild(node, visit);
  }
  visit(file);
  return found;
}

/** Why a pattern may take long on a hostile text, or null. */
async function dangerOf({ source, flags }: Pattern): Promise<string | null> {
  if (source === null) return 'is not a literal, nor a constant of its file: nobody can tell';
  const result = await check(source, flags, { timeout: limitMs });
  if (result.status === 'safe') return null;
  if (result.status === 'unknown') return `could not be judged: ${result.error.kind}`;
  return `${result.complexity.summary} on ${result.attack.pattern}`;
}

const sources = readdirSync(join(project, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(project, 'src', name));
const patterns = sources.flatMap((path) => patternsOf(relative(project, path), readFileSync(path, 'utf8')));

t.test('no regular expression of the service takes longer than in proportion to what it reads', async (t) => {
  const places = new Map<string, Pattern[]>();
  for (const pattern of patterns) {
    const key = `/${pattern.source}/${pattern.flags}`;
    places.set(key, [...(places.get(key) ?? []), pattern]);
  }
  t.not(places.size, 0);
  for (const [key, [pattern, ...others]] of places) {
    if (pattern === undefined) continue;
    const where = [pattern, ...others].map(({ where }) => where).join(', ');
    t.equal(await dangerOf(pattern), null, `${key} in ${where}`);
  }
});

t.test('the patterns that callers read in openapi.yaml are those', async (t) => {
  const known = new Set(patterns.map(({ source }) => source));
  const document = readFileSync(join(project, 'openapi.yaml'), 'utf8');
  const documented = [...document.matchAll(/^ *(?:- )?pattern: (.*)$/gm)].map(([, pattern = '']) => pattern);
  t.not(documented.length, 0);
  t.strictSame(
    documented.filter((pattern) => !known.has(pattern)),
    [],
  );
});

t.test('one that is dangerous is found wherever it stands', async (t) => {
  const dangerous = [
    'const a = /^(a+)+$/;',
    `const b = new RegExp('^(a|a)*$');`,
    `const c = RegExp("\\\\s+$", 'g');`,
    `const text = '^([a-z]+,?)+$'; const d = { pattern: text };`,
    `const e = Type.String({ pattern: '^(https?://)?([^/]+/*)*x$' });`,
    'const f = (word: string) => new RegExp(word);',
    `const g = { pattern: '^' + word };`,
  ];
  for (const text of dangerous) {
    const found = patternsOf('example.ts', text);
    t.equal(found.length, 1, text);
    for (const pattern of found) t.type(await dangerOf(pattern), 'string', text);
  }
  const [harmless] = patternsOf('example.ts', '/^[a-z]{1,64}$/.test(a)');
  t.equal(harmless && (await dangerOf(harmless)), null);
});
