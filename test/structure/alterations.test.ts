import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** An object of a test's source with a `file`, a `find` and a `replace`, as `startReplica` takes them. */
type Found = { where: string; file?: string | undefined; find?: string | undefined };

function alterationsOf(path: string): Found[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const found: Found[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isObjectLiteralExpression(node)) {
      const texts = new Map<string, string | undefined>();
      for (const property of node.properties) {
        if (!ts.isPropertyAssignment(property) || !ts.isIdentifier(property.name)) continue;
        const value = property.initializer;
        texts.set(property.name.text, ts.isStringLiteralLike(value) ? value.text : undefined);
      }
      if (['file', 'find', 'replace'].every((name) => texts.has(name))) {
        const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
        found.push({ where: `${relative(project, path)}:${line}`, file: texts.get('file'), find: texts.get('find') });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const alterations = readdirSync(join(project, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .flatMap((name) => alterationsOf(join(project, 'test', name)));

t.test('what a test takes out of the source stands there exactly once', async (t) => {
  t.not(alterations.length, 0);
  for (const { where, file, find } of alterations) {
    if (file === undefined || find === undefined) t.fail(`${where} must name its file and text literally`);
    else if (find !== '') {
      const text = readFileSync(join(project, file), 'utf8');
      t.equal(text.split(find).length - 1, 1, `${where} looks in ${file} for ${find}`);
    }
  }
});
