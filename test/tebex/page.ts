import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deviations } from './deviations.ts';
import type { Exchange } from './exchanges.ts';

/*
 * npm run docs:tebex
 *
 * Writes what the published clients got into the table of docs/tebex.md, from what test/tebex/clients.published.test.ts
 * left in .tap, and the deviations from Tebex' document into the other.
 */

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
export const tebexPageFile = file('docs/tebex.md');
const results = file('.tap/tebex.json');

/** What each client got from each call, as the table has it. */
type Results = { clients: string[]; rows: { call: string; cells: string[] }[] };

const account = '/api/accounts/[^/]+';
const basket = `(?:${account}|/api)/baskets/[^/]+`;
/** `…` stands for `/api/accounts/{publicToken}`, or where an ident follows also for `/api`. */
const calls: readonly [method: string, shown: string, pattern: string][] = [
  ['GET', '…', account],
  ['GET', '…/categories', `${account}/categories`],
  ['GET', '…/categories/{id or slug}', `${account}/categories/[^/]+`],
  ['GET', '…/packages', `${account}/packages`],
  ['GET', '…/packages/{id or slug}', `${account}/packages/[^/]+`],
  ['GET', '…/pages', `${account}/pages`],
  ['GET', '…/sidebar', `${account}/sidebar`],
  ['POST', '…/baskets', `${account}/baskets`],
  ['GET', '…/baskets/{ident}', basket],
  ['GET', '…/baskets/{ident}/auth', `${basket}/auth`],
  ['POST', '…/baskets/{ident}/packages', `${basket}/packages`],
  ['PUT', '…/baskets/{ident}/packages/{packageId}', `${basket}/packages/[^/]+`],
  ['POST', '…/baskets/{ident}/packages/remove', `${basket}/packages/remove`],
  ...['coupons', 'giftcards', 'creator-codes'].flatMap((kind): [string, string, string][] => [
    ['POST', `…/baskets/{ident}/${kind}`, `${basket}/${kind}`],
    ['POST', `…/baskets/{ident}/${kind}/remove`, `${basket}/${kind}/remove`],
  ]),
  ['PUT', '…/baskets/{ident}/dynamic-packages', `${basket}/dynamic-packages`],
  ['PATCH', '…/tiers/{tierId}', `${account}/tiers/[^/]+`],
  ['GET', '/api/payments/{secret}', '/api/payments/[^/]+'],
];

/** Sums up what the clients got. Throws for a call that has no row. */
export function sumUp(exchanges: readonly Exchange[]): Results {
  const clients = [...new Set(exchanges.map(({ client }) => client))];
  const rows = calls.map(([method, shown, pattern]) => {
    const whole = new RegExp(`^${pattern}/?$`);
    const ofCall = exchanges.filter((exchange) => exchange.method === method && whole.test(exchange.path));
    return { call: `${method} ${shown}`, ofCall };
  });
  const lost = exchanges.find((exchange) => !rows.some(({ ofCall }) => ofCall.includes(exchange)));
  if (lost) throw new Error(`the table has no row for ${lost.method} ${lost.path}`);
  return {
    clients,
    rows: rows.map(({ call, ofCall }) => ({
      call,
      cells: clients.map((client) => cellOf(ofCall.filter((exchange) => exchange.client === client))),
    })),
  };
}

/** Served, with a private key and by the public token alone where nothing else is said; or why not. */
function cellOf(exchanges: readonly Exchange[]): string {
  if (exchanges.length === 0) return '–';
  const ways = [true, false].map((hasKey) => {
    const ofWay = exchanges.filter((exchange) => exchange.hasKey === hasKey);
    if (ofWay.length === 0) return null;
    if (ofWay.some(({ status }) => status === 200)) return 'served';
    const codes = ofWay.map(({ status, body }) => `\`${(body as { error_code: string }).error_code}\` ${status}`);
    return [...new Set(codes)].join(', ');
  });
  const [withKey = null, byToken = null] = ways;
  if (withKey === null || byToken === null || withKey === byToken) return withKey ?? byToken ?? '–';
  return `with a key ${withKey}, else ${byToken}`;
}

/** Leaves the results for `npm run docs:tebex`. */
export function keepResults(kept: Results): void {
  writeFileSync(results, JSON.stringify(kept, null, 2));
}

/** The text of docs/tebex.md with both tables as they have to be. */
export function tebexPage({ clients, rows }: Results): string {
  const callTable = [
    `| call | ${clients.join(' | ')} |`,
    `|---|${clients.map(() => '---|').join('')}`,
    ...rows.map(({ call, cells }) => `| \`${call}\` | ${cells.join(' | ')} |`),
  ];
  const deviationTable = [
    '| where | what we send | why |',
    '|---|---|---|',
    ...deviations.map(({ where, sent, why }) => `| ${where} | ${sent} | ${why} |`),
  ];
  const page = readFileSync(tebexPageFile, 'utf8');
  return inTheMiddle(inTheMiddle(page, 'calls', callTable), 'deviations', deviationTable);
}

function inTheMiddle(page: string, name: string, lines: readonly string[]): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [before, , after] = page.split(new RegExp(`${begin}|${end}`));
  if (before === undefined || after === undefined) throw new Error(`docs/tebex.md lacks ${begin} or ${end}`);
  return `${before}${begin}\n${lines.join('\n')}\n${end}${after}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(tebexPageFile, tebexPage(JSON.parse(readFileSync(results, 'utf8')) as Results));
}
