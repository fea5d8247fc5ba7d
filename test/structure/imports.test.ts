import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';

/** A source file, by its path below src/, with what the rules look at. */
type Source = { path: string; imports: string[]; texts: string[]; readsEnvironment: boolean; fetches: boolean };

/** A rule: what is wrong with a file, in words, or nothing. */
type Rule = (source: Source) => string[];

const project = fileURLToPath(new URL('../..', import.meta.url));
const { dependencies }: { dependencies: Record<string, string> } = JSON.parse(
  readFileSync(join(project, 'package.json'), 'utf8'),
);

/** From the bottom up: each may import what stands before it, but for what `reserved` says. */
const order = [
  ...['config.ts', 'errors.ts', 'platform', 'http', 'money', 'webhooks', 'shops', 'catalogue', 'holds', 'baskets'],
  ...['links', 'handoff', 'orders', 'tebex', 'metrics.ts', 'app.ts', 'server.ts', 'cli', 'client', 'dev'],
];
const rooms = ['money', 'webhooks', 'shops', 'catalogue', 'holds', 'baskets', 'links', 'handoff', 'orders', 'tebex'];
/** Who alone may import it. */
const reserved: Record<string, string[]> = {
  // tebex shows payments as webhooks do.
  webhooks: ['catalogue', 'holds', 'baskets', 'tebex', 'metrics.ts', 'app.ts', 'server.ts', 'cli'],
  tebex: ['app.ts', 'cli'],
  'server.ts': ['dev'],
  'app.ts': ['server.ts', 'dev'],
  cli: [],
  // The demo shop calls the service as its users do.
  client: ['dev'],
  dev: [],
};

function placeOf(path: string): string {
  return path.split('/')[0] ?? '';
}

function isIn(path: string, ...places: string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`));
}

function importsOf(source: Source, isWanted: (specifier: string) => boolean): string[] {
  return source.imports.filter(isWanted).map((specifier) => `${source.path} imports ${specifier}`);
}

const isRelative = (specifier: string) => specifier.startsWith('.');
const targetOf = (source: Source, specifier: string) => normalize(join(dirname(source.path), specifier));

const roomsStandInOrder: Rule = (source) =>
  importsOf(source, (specifier) => {
    if (!isRelative(specifier)) return false;
    const [from, to] = [placeOf(source.path), placeOf(targetOf(source, specifier))];
    if (from === to) return false;
    const allowed = reserved[to]?.includes(from) ?? true;
    return !allowed || !order.includes(to) || order.indexOf(from) < order.indexOf(to);
  });

const roomsAreEnteredByTheirIndex: Rule = (source) =>
  importsOf(source, (specifier) => {
    const target = targetOf(source, specifier);
    const to = placeOf(target);
    return isRelative(specifier) && rooms.includes(to) && placeOf(source.path) !== to && target !== `${to}/index.ts`;
  });

const demoShopIsAStranger: Rule = (source) =>
  importsOf(source, (specifier) => {
    const within = isIn(source.path, 'dev/demo-shop');
    return within && isRelative(specifier) && !isIn(targetOf(source, specifier), 'dev/demo-shop', 'client');
  });

const fastifyIsKnownToRoutes: Rule = (source) => {
  const allowed = /(^|\/)routes\.ts$/.test(source.path) || isIn(source.path, 'http', 'app.ts', 'dev');
  return allowed ? [] : importsOf(source, (specifier) => /^@?fastify(\/|$)/.test(specifier));
};

const redisIsKnownToHolds: Rule = (source) => {
  // The probe asks whether it answers; app and server pass it on.
  const allowed = isIn(
    source.path,
    'holds',
    'platform/redis.ts',
    'http/probes.ts',
    'app.ts',
    'server.ts',
    'cli',
    'dev',
  );
  const isRedis = (specifier: string) => specifier === 'ioredis' || /platform\/redis\.ts$/.test(specifier);
  return allowed ? [] : importsOf(source, isRedis);
};

const sqlStandsInStores: Rule = (source) => {
  const allowed =
    /(^|\/)store\.ts$/.test(source.path) ||
    isIn(source.path, 'platform', 'holds/arbiter.ts', 'holds/stock.ts', 'http/idempotency.ts', 'http/probes.ts') ||
    // It asks about what all rooms have written, without their code.
    source.path === 'cli/audit.ts' ||
    isIn(source.path, 'webhooks/outbox.ts', 'dev');
  const sql =
    /^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|LOCK|CREATE|ALTER|DROP|SET|BEGIN|COMMIT|ROLLBACK)(\s+\w|$)|\bSELECT\b/;
  return allowed ? [] : source.texts.filter((text) => sql.test(text)).map((text) => `${source.path} says ${text}`);
};

const environmentIsReadByConfig: Rule = (source) => {
  // The server hands it to config.ts unread.
  const allowed = isIn(source.path, 'server.ts', 'cli', 'dev');
  return source.readsEnvironment && !allowed ? [`${source.path} reads process.env`] : [];
};

const requestsLeaveByOutbound: Rule = (source) => {
  // What dev/ and the client ask is our own service.
  if (isIn(source.path, 'platform/outbound.ts', 'client', 'dev')) return [];
  const fetches = source.fetches ? [`${source.path} calls fetch`] : [];
  return [...fetches, ...importsOf(source, (specifier) => ['undici', 'https', 'node:https'].includes(specifier))];
};

const packagesAreDependencies: Rule = (source) =>
  importsOf(source, (specifier) => {
    const name = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/');
    const isPackage = !isRelative(specifier) && !isBuiltin(specifier);
    return isPackage && !isIn(source.path, 'dev') && !Object.hasOwn(dependencies, name);
  });

const sources = readdirSync(join(project, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => read(path, readFileSync(join(project, 'src', path), 'utf8')));

/** Each rule with files that break it, which it must find: a rule that never speaks proves nothing. */
const guarantees: [string, Rule, [path: string, text: string][]][] = [
  [
    'rooms import downwards only, and webhooks are written to by those who announce changes',
    roomsStandInOrder,
    [
      ['money/pricing.ts', `import { Shop } from '../shops/index.ts';`],
      ['baskets/create.ts', `export { linkRoutes } from '../links/index.ts';`],
      ['platform/ids.ts', `import type { Basket } from '../baskets/index.ts';`],
      ['http/access.ts', `const shops = await import('../shops/index.ts');`],
      ['orders/complete.ts', `import { announceBaskets } from '../webhooks/index.ts';`],
      ['holds/stock.ts', `import { startPostgres } from '../dev/services.ts';`],
      ['links/page.ts', `import { html } from '../utils/html.ts';`],
      ['shops/rules.ts', `type Config = import('../app.ts').Resources;`],
    ],
  ],
  [
    'a room is entered by its index.ts',
    roomsAreEnteredByTheirIndex,
    [
      ['orders/complete.ts', `import { saveBasket } from '../baskets/store.ts';`],
      ['app.ts', `import { linkRoutes } from './links/routes.ts';`],
    ],
  ],
  [
    'the demo shop knows the service by its HTTP API alone, and by the packages for its callers',
    demoShopIsAStranger,
    [['dev/demo-shop/pages.ts', `import { problems } from '../../errors.ts';`]],
  ],
  [
    'only routes, http/, app.ts and dev/ know Fastify',
    fastifyIsKnownToRoutes,
    [
      ['baskets/change.ts', `import type { FastifyRequest } from 'fastify';`],
      ['shops/rules.ts', `import swagger from '@fastify/swagger';`],
    ],
  ],
  [
    'only holds/ works with Redis',
    redisIsKnownToHolds,
    [
      ['links/click.ts', `import { Redis } from 'ioredis';`],
      ['baskets/create.ts', `import { openRedis } from '../platform/redis.ts';`],
    ],
  ],
  [
    'SQL stands in the stores and in the reservation engine',
    sqlStandsInStores,
    [
      ['baskets/routes.ts', `pool.query('SELECT 1');`],
      ['orders/complete.ts', 'tx.query(`UPDATE baskets SET status = $1 ` + which);'],
      ['shops/rules.ts', `tx.query('COMMIT');`],
    ],
  ],
  [
    'only config.ts reads the environment, which the server hands to it',
    environmentIsReadByConfig,
    [
      ['platform/logger.ts', `const level = process.env.LOG_LEVEL;`],
      ['http/probes.ts', `const { env } = process;`],
    ],
  ],
  [
    'requests leave by platform/outbound.ts, which sees to where they go',
    requestsLeaveByOutbound,
    [
      ['http/jwks.ts', `const response = await fetch(url);`],
      ['webhooks/delivery/send.ts', `import { request } from 'undici';`],
      ['links/click.ts', `import { request } from 'node:https';`],
    ],
  ],
  [
    'what the service imports is installed without development dependencies',
    packagesAreDependencies,
    [['orders/store.ts', `import fc from 'fast-check';`]],
  ],
];

for (const [guarantee, rule, violations] of guarantees) {
  t.test(guarantee, async (t) => {
    t.strictSame(sources.flatMap(rule), []);
    for (const [path, text] of violations) {
      t.not(rule(read(path, text)).length, 0, `it would be found: ${path} with ${text}`);
    }
  });
}

t.test('every file stands in a room that has its place', async (t) => {
  t.strictSame(
    [...new Set(sources.map(({ path }) => placeOf(path)))].filter((place) => !order.includes(place)),
    [],
  );
});

function read(path: string, content: string): Source {
  const file = ts.createSourceFile(path, content, ts.ScriptTarget.ESNext, true);
  const source: Source = { path, imports: [], texts: [], readsEnvironment: false, fetches: false };
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) source.imports.push(specifier);
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) source.texts.push(node.text);
    if (ts.isTemplateMiddleOrTemplateTail(node)) source.texts.push(node.text);
    if (/^process\.env\b|^\{.*\benv\b.*\} = process\b/.test(node.getText(file))) source.readsEnvironment = true;
    if (ts.isCallExpression(node) && node.expression.getText(file) === 'fetch') source.fetches = true;
    ts.forEachChild(node, visit);
  };
  visit(file);
  return source;
}

/** What a node imports: an import or re-export, a dynamic import, or a type's import. */
function specifierOf(node: ts.Node): string | undefined {
  if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
    return ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : undefined;
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return node.argument.literal.text;
  }
  const [argument] =
    ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments : [];
  return argument && ts.isStringLiteral(argument) ? argument.text : undefined;
}
