import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const project = fileURLToPath(new URL('../..', import.meta.url));
const documents = ['README.md', ...readdirSync(join(project, 'docs')).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
);

t.test('every link of the documentation into the project leads somewhere', async (t) => {
  for (const path of documents) {
    const links = [...prose(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((link) => !/^https?:/.test(link))) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : join(dirname(path), file);
      t.ok(existsSync(join(project, target)), `${path} links to ${link}`);
      if (anchor !== undefined) t.ok(anchorsOf(target).includes(anchor), `${path} links to ${link}`);
    }
  }
});

t.test('every file that the documentation names by its path in the project exists', async (t) => {
  for (const path of documents) {
    for (const [, file = ''] of prose(path).matchAll(/\b((?:src|test|docs|migrations|bench)\/[\w./-]*\.\w+)/g)) {
      t.ok(existsSync(join(project, file)), `${path} names ${file}`);
    }
  }
});

t.test('every place in the documentation that the rest of the project names exists', async (t) => {
  const places = ['src', 'test', 'bench', 'deploy', 'migrations', '.github', '.env.example', 'Dockerfile', '.ci/run'];
  const files = places
    .filter((place) => existsSync(join(project, place)))
    .flatMap((place) =>
      statSync(join(project, place)).isFile()
        ? [place]
        : readdirSync(join(project, place), { recursive: true, encoding: 'utf8' }).map((path) => join(place, path)),
    )
    .filter((path) => statSync(join(project, path)).isFile());
  const named = files.flatMap((file) =>
    [...read(file).matchAll(/\bdocs\/([\w-]+\.md)(#[\w-]+)?/g)].map(([, page = '', anchor]) => ({
      file,
      page,
      anchor,
    })),
  );
  t.not(named.length, 0);
  for (const { file, page, anchor } of named) {
    const target = `docs/${page}`;
    t.ok(existsSync(join(project, target)), `${file} names ${target}`);
    if (anchor !== undefined) t.ok(anchorsOf(target).includes(anchor.slice(1)), `${file} names ${target}${anchor}`);
  }
});

t.test('every page of the documentation is linked from the README', async (t) => {
  const readme = prose('README.md');
  for (const path of documents.slice(1)) t.ok(readme.includes(`](${path})`), path);
});

t.test('every npm script that the project speaks of exists', async (t) => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(read('package.json'));
  const code = ['src', 'test', 'bench']
    .filter((directory) => existsSync(join(project, directory)))
    .flatMap((directory) =>
      readdirSync(join(project, directory), { recursive: true, encoding: 'utf8' }).map((path) => join(directory, path)),
    )
    .filter((path) => /\.(ts|lua|sql)$/.test(path));
  const configuration = ['.env.example', '.ci/run', 'Dockerfile', 'package.json'];
  for (const path of [...documents, ...code, ...configuration]) {
    for (const [mention, name = ''] of read(path).matchAll(/\bnpm run ([a-z][\w:-]*)/g)) {
      t.ok(Object.hasOwn(scripts, name), `${path}: ${mention}`);
    }
    for (const [mention, name = ''] of read(path).matchAll(/\bnpm (start|test)\b/g)) {
      t.ok(Object.hasOwn(scripts, name), `${path}: ${mention}`);
    }
  }
});

/** A document without its code blocks. */
function prose(path: string): string {
  return read(path).replace(/^```[\s\S]*?^```$/gm, '');
}

/** The anchors that GitHub gives the headings of a document. */
function anchorsOf(path: string): string[] {
  return [...prose(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function read(path: string): string {
  return readFileSync(join(project, path), 'utf8');
}
