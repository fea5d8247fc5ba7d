import { type Command, type Print, readArguments } from '../command.ts';
import { checkConfiguration } from './configuration.ts';
import type { Finding } from './finding.ts';
import { checkPostgres } from './postgres.ts';
import { checkRedis } from './redis.ts';

export const doctor: Command = {
  usage: `npx basketlink doctor

Looks at the configuration, at Postgres and Redis with their settings, at the clocks, and says of each how it is: ✓ good,
! better changed, ✗ to be mended, and how. Changes nothing and shows no secrets. Of a Redis Cluster it looks at the nodes
that REDIS_URL names.

Reads all variables of the service. Exit codes: 0 nothing has to be mended, 1 something has.
`,
  async run(args, environment, print) {
    readArguments(args, {});
    return runDoctor(environment, print);
  },
};

const marks = { ok: '✓', warning: '!', broken: '✗' } as const;

/** Prints what it finds, a line each with how to mend it below, and gives the exit code: 1 when something is broken. */
export async function runDoctor(environment: NodeJS.ProcessEnv, print: Print): Promise<number> {
  const all: Finding[] = [];
  const show = (findings: readonly Finding[]) => {
    for (const { state, says, mend } of findings) {
      print(`${marks[state]} ${says}`);
      if (mend !== undefined) print(`    ${mend}`);
    }
    all.push(...findings);
  };
  const { servers, findings } = checkConfiguration(environment);
  show(findings);
  const postgres = servers.databaseUrl === null ? null : await checkPostgres(servers.databaseUrl);
  show(postgres?.findings ?? []);
  if (servers.redisUrl !== null) show(await checkRedis(servers.redisUrl, postgres?.aheadMs ?? null));
  const count = (state: Finding['state']) => all.filter((finding) => finding.state === state).length;
  const [toMend, warnings] = [count('broken'), count('warning')];
  print(toMend === 0 && warnings === 0 ? 'All is well.' : `${toMend} to be mended, ${warnings} to be considered.`);
  return toMend === 0 ? 0 : 1;
}
