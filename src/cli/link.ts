import { namedSecretsOf, variablesOf } from '../config.ts';
import { problems } from '../errors.ts';
import { type Inspected, inspectStartLink, openLaravelKeys, startLinkPurpose } from '../links/index.ts';
import { openDatabaseClock } from '../platform/clock.ts';
import { deriveKeyring, sealPurpose } from '../platform/crypto.ts';
import { assertMigrated } from '../platform/migrations.ts';
import { openPostgres } from '../platform/postgres.ts';
import { openShopCache } from '../shops/index.ts';
import { type Command, type Print, readArguments, UsageError } from './command.ts';

export const link: Command = {
  usage: `npx basketlink link inspect <start link, or its token>

Says what a start link says of itself, which key signed it, how its basket is, and how a click on it would be answered
now, and why. Takes links of both formats, those in Laravel's whole. Changes nothing, counts no opening, and shows no
signature.

Reads LINK_KEYS, DATA_KEYS and DATABASE_URL. Exit codes: 0 the link leads to the shop, 1 it is refused, 2 it is no start
link.
`,
  async run(args, environment, print) {
    const { positionals } = readArguments(args, {}, ['inspect', 'start link']);
    const [what, text = ''] = positionals;
    if (what !== 'inspect') throw new UsageError(`what is "${what}"? There is: link inspect`);
    return runInspect(environment, text, print);
  },
};

/** `npx basketlink link inspect`: prints what it finds and gives the exit code. Throws UsageError for no start link. */
export async function runInspect(environment: NodeJS.ProcessEnv, text: string, print: Print): Promise<number> {
  const startLinkKeys = deriveKeyring(namedSecretsOf(environment, 'LINK_KEYS'), startLinkPurpose);
  const sealKeys = deriveKeyring(namedSecretsOf(environment, 'DATA_KEYS'), sealPurpose);
  const { DATABASE_URL } = variablesOf(environment, ['DATABASE_URL']);
  const pool = openPostgres(DATABASE_URL, () => {});
  try {
    await assertMigrated(pool);
    const shops = openShopCache(pool);
    const deps = { pool, shops, clock: openDatabaseClock(pool), startLinkKeys, laravelKeys: openLaravelKeys(sealKeys) };
    const inspected = await inspectStartLink(deps, text);
    if (inspected === null) throw new UsageError('This has not the form of a start link, nor of its token.');
    for (const [name, value] of linesOf(inspected)) print(`${name.padEnd(12)}${value}`);
    return inspected.answer === 'page' || inspected.answer === 'redirect' ? 0 : 1;
  } finally {
    await pool.end();
  }
}

function linesOf({ format, signature, kid, shop, basketId, basket, generation, expiresAt, answer }: Inspected) {
  const signed = {
    proven: `signed with ${kid}`,
    wrong: 'not proven: changed since it was signed, or made up',
    'unknown key': `not proven: ${kid === null ? 'the shop has no keys that can be read' : `${kid} is not listed in LINK_KEYS`}`,
  }[signature];
  const state = basket && [basket.status, basket.statusReason].filter((word) => word !== null).join(', ');
  return [
    ['format', format],
    ['signature', signed],
    ['shop', shop === null ? 'unknown' : `${shop.shopId} (${shop.name})`],
    ['basket', `${basketId}, ${state === null ? 'unknown or removed' : `${state}, version ${basket?.version}`}`],
    ['generation', generationText(generation, basket?.linkGeneration ?? null)],
    ['expires', expiresAt?.toISOString() ?? 'never by itself'],
    ['a click', answerText(answer)],
  ] as const;
}

/** A generation as its epoch and the number of the link within it. */
function generationText(said: number | null, present: number | null): string {
  const text = (generation: number) => `${Math.floor(generation / 2 ** 32)}.${generation % 2 ** 32}`;
  if (said === null) return 'none';
  if (present === null) return text(said);
  return said === present ? `${text(said)}, the present one` : `${text(said)}, the present one is ${text(present)}`;
}

function answerText(answer: Inspected['answer']): string {
  if (answer === 'page') return 'shows the page with one button, which leads to the shop';
  if (answer === 'redirect') return 'leads a person to the shop at once (303)';
  const { status, title } = problems[answer];
  return `is refused: ${answer} (${status}), ${title}`;
}
