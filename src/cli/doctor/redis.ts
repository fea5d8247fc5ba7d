import { Redis } from 'ioredis';
import { startProblem } from '../../config.ts';
import { aheadOfOursMs, checkRedisClock } from './clocks.ts';
import { broken, type Finding, ok, warning } from './finding.ts';

const patienceMs = 2000;
const oldestVersion = 7;

/**
 * Looks at each server that REDIS_URL names. `postgresAheadMs` is how far the clock of Postgres is ahead of ours; null:
 * not known.
 */
export async function checkRedis(redisUrl: string, postgresAheadMs: number | null): Promise<Finding[]> {
  const urls = redisUrl.split(',');
  const findings: Finding[] = [];
  for (const url of urls) findings.push(...(await checkServer(url, urls.length > 1, postgresAheadMs)));
  return findings;
}

async function checkServer(url: string, asCluster: boolean, postgresAheadMs: number | null): Promise<Finding[]> {
  if (!URL.canParse(url)) return [broken('REDIS_URL has an address that is none', 'write it as redis://host:port')];
  const name = asCluster ? `Redis at ${new URL(url).host}` : 'Redis';
  const client = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: patienceMs,
    commandTimeout: patienceMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let reported: Error | undefined;
  client.on('error', (error) => {
    reported ??= error;
  });
  try {
    await client.connect();
    const facts = factsOf(await client.info());
    await client.eval('return 1', 0);
    const aheadMs = await aheadOfOursMs(async () => {
      const [seconds, microseconds] = await client.time();
      return Number(seconds) * 1000 + Number(microseconds) / 1000;
    });
    return [
      ...judge(facts, name, asCluster),
      ...(postgresAheadMs === null ? [] : [checkRedisClock(aheadMs - postgresAheadMs)]),
    ];
  } catch (error) {
    // What was reported first is why the rest failed.
    const problem = startProblem(reported ?? error);
    return [broken(`${name} cannot be used: ${problem}`, howToConnect(problem))];
  } finally {
    client.disconnect();
  }
}

function howToConnect(problem: string): string {
  if (/WRONGPASS|NOAUTH|ERR AUTH/.test(problem)) return 'correct user and password in REDIS_URL';
  if (/NOPERM/.test(problem)) return 'allow the user of REDIS_URL all commands on all keys (ACL SETUSER)';
  return 'start it, and see that REDIS_URL names its address, with rediss:// for TLS';
}

/** The lines `name:value` of INFO. */
function factsOf(info: string): Map<string, string> {
  return new Map([...info.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name = '', value = '']) => [name, value]));
}

function judge(facts: Map<string, string>, name: string, asCluster: boolean): Finding[] {
  const version = facts.get('redis_version') ?? 'of an unknown version';
  const policy = facts.get('maxmemory_policy');
  const isCluster = facts.get('cluster_enabled') === '1';
  const policyMend = 'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or with the provider';
  return [
    Number.parseInt(version, 10) >= oldestVersion
      ? ok(`${name} ${version} answers`)
      : warning(
          `${name} is ${version}`,
          `upgrade it to ${oldestVersion} or later: the service is tried with no older one`,
        ),
    ...(policy === undefined
      ? [warning(`${name} does not say its maxmemory-policy`, `see that it is noeviction: ${policyMend}`)]
      : [
          policy === 'noeviction'
            ? ok(`maxmemory-policy of ${name} is noeviction`)
            : broken(`maxmemory-policy of ${name} is ${policy}: it may throw holds away`, policyMend),
        ]),
    ...(!asCluster && (facts.get('role') ?? 'master') !== 'master'
      ? [broken(`${name} is a replica, which takes no writes`, 'let REDIS_URL name the master')]
      : []),
    ...(isCluster && !asCluster
      ? [broken(`${name} is a node of a cluster`, 'name several of its nodes in REDIS_URL, separated by commas')]
      : []),
    ...(asCluster && !isCluster
      ? [broken(`${name} is no node of a cluster`, 'let REDIS_URL name one server, or the nodes of one cluster')]
      : []),
  ];
}
