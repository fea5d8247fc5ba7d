import { type Config, ConfigError, loadConfig, variablesOf } from '../../config.ts';
import { broken, type Finding, ok, warning } from './finding.ts';

/** The URLs of the servers where they can be used, also when other variables cannot. */
export type Servers = { databaseUrl: string | null; redisUrl: string | null };

/** Looks at all variables as the service does at its start, and at what it would start with and should not. */
export function checkConfiguration(environment: NodeJS.ProcessEnv): { servers: Servers; findings: Finding[] } {
  try {
    const config = loadConfig(environment);
    const findings = [ok('the configuration can be used'), ...doubts(config)];
    return { servers: { databaseUrl: config.databaseUrl, redisUrl: config.redisUrl }, findings };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems } = error;
    return {
      servers: {
        databaseUrl: urlOf(environment, 'DATABASE_URL', problems),
        redisUrl: urlOf(environment, 'REDIS_URL', problems),
      },
      findings: problems.map((problem) => broken(problem)),
    };
  }
}

function urlOf(
  environment: NodeJS.ProcessEnv,
  name: 'DATABASE_URL' | 'REDIS_URL',
  problems: readonly string[],
): string | null {
  if (problems.some((problem) => problem.startsWith(name))) return null;
  // Nothing else: other variables have problems, which are named already.
  const own = { [name]: environment[name], [`${name}_FILE`]: environment[`${name}_FILE`] };
  return variablesOf(own, [name])[name];
}

function doubts({ publicUrl, webhookAllowPrivate, jwtSecrets, linkKeys, dataKeys }: Config): Finding[] {
  const secrets = [...jwtSecrets, ...[...linkKeys, ...dataKeys].map(({ secret }) => secret)];
  const isPublic = publicUrl.startsWith('https:');
  return [
    ...(new Set(secrets).size < secrets.length
      ? [
          warning(
            'JWT_SECRET, LINK_KEYS and DATA_KEYS have a secret in common',
            'make one for each with `openssl rand -base64 32`: whoever learns one should not have the others',
          ),
        ]
      : []),
    ...(isPublic && webhookAllowPrivate
      ? [
          warning(
            'WEBHOOK_ALLOW_PRIVATE is true: whoever may register a webhook can reach into your network',
            'set it to false, or let a firewall say what the service may reach',
          ),
        ]
      : []),
    ...(isPublic
      ? []
      : [warning(`PUBLIC_URL is ${publicUrl}: only this machine can open links`, 'set it to the https:// origin')]),
  ];
}
