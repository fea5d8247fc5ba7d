import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { variablesOf } from '../config.ts';
import { isRefusal } from '../errors.ts';
import { isId } from '../http/access.ts';
import { checkWritten } from '../http/written.ts';
import { assertMigrated } from '../platform/migrations.ts';
import { openPostgres } from '../platform/postgres.ts';
import { mergePatch, readShop, ShopSettings, toShopAnswer, writeShop } from '../shops/index.ts';
import { type Command, type Print, readArguments, UsageError } from './command.ts';
import { refusalText } from './refusal.ts';

const flags = {
  name: { type: 'string' },
  currency: { type: 'string' },
  locale: { type: 'string' },
  'support-url': { type: 'string' },
  'confirm-url': { type: 'string' },
  'basket-url': { type: 'string' },
  'error-url': { type: 'string' },
  'redirect-origin': { type: 'string', multiple: true },
} as const;

export const shop: Command = {
  usage: `npx basketlink shop create <shop id> [--file settings.json] [--name <text>] [--currency GBP] [--locale en-GB]
                    [--support-url <url>] [--confirm-url <url>] [--basket-url <url>] [--error-url <url>]
                    [--redirect-origin <origin>]...
npx basketlink shop show <shop id>

Creates a shop by the rules of PUT /v1/shops/{shopId}, and prints it as GET does. The file has the body of that call, in
which the options have the last word; name, currency and the first three URLs must come from one of the two. A shop that
there is already is left as it is.

Reads DATABASE_URL. Exit codes: 0 printed, 1 refused, there already or not there, 2 not called as it can be.
`,
  async run(args, environment, print) {
    const { values, positionals } = readArguments(args, { ...flags, file: { type: 'string' } }, ['create', 'shop id']);
    const [what, shopId = ''] = positionals;
    const { file, ...given } = values;
    if (!isId(shopId)) throw new UsageError('<shop id> is not an id: 1 to 128 characters of A-Z a-z 0-9 _ . : -');
    if (what === 'create') return createShop(environment, shopId, writtenOf(file, given), print);
    if (what !== 'show') throw new UsageError(`what is "${what}"? There are: shop create, shop show`);
    if (Object.keys(values).length > 0) throw new UsageError('shop show has no options');
    return showShop(environment, shopId, print);
  },
};

type Given = Partial<Record<keyof typeof flags, string | string[]>>;

/** The settings of a file, if there is one, with what the options say. */
function writtenOf(file: string | undefined, given: Given): unknown {
  const { name, currency, locale, 'support-url': supportUrl } = given;
  const frontend = { confirmUrl: given['confirm-url'], basketUrl: given['basket-url'], errorUrl: given['error-url'] };
  const allowedRedirectOrigins = given['redirect-origin'];
  const said = { name, currency, locale, supportUrl, frontend, allowedRedirectOrigins };
  // Through JSON, which leaves out what was not said.
  return mergePatch(file === undefined ? {} : readJson(file), JSON.parse(JSON.stringify(said)));
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(
      `--file ${file} is no JSON that can be read: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** `npx basketlink shop create`: prints the shop, or why there is none, and gives the exit code. */
export async function createShop(
  environment: NodeJS.ProcessEnv,
  shopId: string,
  written: unknown,
  print: Print,
): Promise<number> {
  return withPostgres(environment, async (pool) => {
    const settings = checkWritten(ShopSettings)(written);
    if (!isRefusal(settings) && (await readShop(pool, shopId)) !== null) {
      print(`There is a shop ${shopId} already. Change it with PATCH /v1/shops/${shopId}, or choose another id.`);
      return 1;
    }
    const made = isRefusal(settings) ? settings : await writeShop(pool, shopId, settings);
    print(isRefusal(made) ? `No shop was created. ${refusalText(made)}` : JSON.stringify(toShopAnswer(made), null, 2));
    return isRefusal(made) ? 1 : 0;
  });
}

/** `npx basketlink shop show`: prints the shop and gives the exit code. */
export async function showShop(environment: NodeJS.ProcessEnv, shopId: string, print: Print): Promise<number> {
  return withPostgres(environment, async (pool) => {
    const found = await readShop(pool, shopId);
    print(found === null ? `There is no shop ${shopId}.` : JSON.stringify(toShopAnswer(found), null, 2));
    return found === null ? 1 : 0;
  });
}

async function withPostgres(environment: NodeJS.ProcessEnv, work: (pool: pg.Pool) => Promise<number>): Promise<number> {
  const { DATABASE_URL } = variablesOf(environment, ['DATABASE_URL']);
  const pool = openPostgres(DATABASE_URL, () => {});
  try {
    await assertMigrated(pool);
    return await work(pool);
  } finally {
    await pool.end();
  }
}
