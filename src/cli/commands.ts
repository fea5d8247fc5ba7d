import { startProblem } from '../config.ts';
import { type Command, UsageError } from './command.ts';
import { doctor } from './doctor/command.ts';
import { items } from './items/command.ts';
import { link } from './link.ts';
import { prune } from './prune.ts';
import { reconcile } from './reconcile.ts';
import { restored } from './restored.ts';
import { shop } from './shop.ts';
import { token } from './token.ts';

const commands = new Map<string, Command>(
  Object.entries({ doctor, shop, items, link, reconcile, restored, prune, token }),
);

const usage = `npx basketlink <command>

  doctor      looks whether this service could run here, and says what to mend
  shop        creates a shop, or shows it
  items       imports items from a CSV file
  link        inspects a start link: what it says, and how a click would be answered now
  reconcile   compares Redis with Postgres, and repairs Redis; with --check the books, changing nothing
  restored    is run once after Postgres came back from a backup
  prune       removes what came to nothing long ago
  token       makes a JWT, for those without an issuer

npx basketlink <command> --help says more of one. All take the variables of the environment that the service takes.
Exit codes: 0 done, 1 something failed or is to be looked at, 2 the command was not called as it can be.
`;

/** Runs what `npx basketlink <words>` asks for, gives the exit code, and says on `err` what kept it from being done. */
export async function callCommand(
  [name = '', ...args]: readonly string[],
  environment: NodeJS.ProcessEnv,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  const command = commands.get(name);
  const wantsHelp = [name, ...args].some((word) => word === '--help' || word === '-h');
  if (wantsHelp) {
    out(command?.usage ?? usage);
    return 0;
  }
  if (command === undefined) {
    err(`${name === '' ? '' : `There is no command "${name}".\n\n`}${usage}`);
    return 2;
  }
  try {
    return await command.run(args, environment, (line) => out(`${line}\n`));
  } catch (error) {
    err(`${startProblem(error)}\n`);
    if (!(error instanceof UsageError)) return 1;
    err(`\n${command.usage}`);
    return 2;
  }
}
