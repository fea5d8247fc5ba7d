import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openApiPaths } from './openapi-document.ts';

const page = fileURLToPath(new URL('../../docs/security.md', import.meta.url));
const [begin, end] = ['<!-- calls: begin -->', '<!-- calls: end -->'];

/** What the table needs of an operation of the OpenAPI document. */
type Operation = { security?: { bearer?: string[]; session?: string[] }[]; 'x-no-partner'?: boolean };

/** The text of `docs/security.md` with its table of calls as the routes have it: who may make which. */
export async function securityPage(): Promise<string> {
  const [before, , after] = readFileSync(page, 'utf8').split(/<!-- calls: (?:begin|end) -->/);
  if (before === undefined || after === undefined) throw new Error(`${page} lacks ${begin} or ${end}`);
  const rows = Object.entries(await openApiPaths())
    .filter(([path]) => path.startsWith('/v1/'))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => rowOf(method.toUpperCase(), path, operation)),
    );
  const head = ['| call | scope, any of | session | limited to a partner | somebody else’s |', '|---|---|---|---|---|'];
  return `${before}${begin}\n${[...head, ...rows].join('\n')}\n${end}${after}`;
}

function rowOf(method: string, path: string, { security = [], 'x-no-partner': noPartner }: Operation): string {
  const scopes = security.flatMap(({ bearer = [] }) => bearer).map((scope) => `\`${scope}\``);
  const session = security.some((way) => way.session) ? 'its basket' : '403';
  const ofPartners = /^\/v1\/(baskets|confirmations|campaigns|changes|webhooks)/.test(path);
  const partner = noPartner ? '403' : ofPartners ? 'its own' : 'as the shop';
  const cells = [`\`${method} ${path}\``, scopes.join(', '), session, partner, toStrangers(method, path)];
  return `| ${cells.join(' | ')} |`;
}

/** What the call comes to with an id of somebody else. */
function toStrangers(method: string, path: string): string {
  if (path === '/v1/confirmations') return '404';
  // There is no list of customers: nobody is unknown, and baskets are looked for in the caller's shop alone.
  if (path.startsWith('/v1/customers/')) return 'finds nothing';
  if (!path.includes('{')) return method === 'GET' ? 'not listed' : 'no id';
  // Ids of events, items and pools are each shop's own.
  return method === 'PUT' && /\{(event|item|pool|webhook)Id\}$/.test(path) ? 'makes its own' : '404';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(page, await securityPage());
