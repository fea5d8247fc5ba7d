import { SignJWT } from 'jose';
import { variablesOf } from '../config.ts';
import { isId, shopScopes } from '../http/access.ts';
import { type Command, readArguments, UsageError } from './command.ts';

/** What a token shall say, as it is given on the command line. */
export type WantedToken = {
  shop?: string | undefined;
  scope?: string | undefined;
  partner?: string | undefined;
  sub?: string | undefined;
  ttlSeconds?: string | undefined;
};

const maxTtlSeconds = 366 * 86_400;

export const token: Command = {
  usage: `npx basketlink token --shop <id> --scope "baskets:read baskets:write" [--partner <id>] [--sub <text>]
                     [--ttl-seconds 3600]

Prints a JWT, for those without an issuer. --shop may be left out where the scope has platform.

Reads JWT_SECRET, and JWT_ISSUER and JWT_AUDIENCE where they are set. Exit codes: 0 made, 1 a variable is missing, 2 an
option is missing or wrong.
`,
  async run(args, environment, print) {
    const { values } = readArguments(args, {
      shop: { type: 'string' },
      scope: { type: 'string' },
      partner: { type: 'string' },
      sub: { type: 'string' },
      'ttl-seconds': { type: 'string' },
    });
    print(await makeToken(environment, { ...values, ttlSeconds: values['ttl-seconds'] }));
    return 0;
  },
};

/**
 * `npx basketlink token`: gives a JWT for people without an issuer, signed with the first of JWT_SECRET and with the
 * issuer and audience that the service asks for. Throws UsageError with everything that is wrong with what is wanted.
 */
export async function makeToken(environment: NodeJS.ProcessEnv, wanted: WantedToken): Promise<string> {
  const { JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE } = variablesOf(
    environment,
    ['JWT_SECRET'],
    ['JWT_ISSUER', 'JWT_AUDIENCE'],
  );
  const { shop, scope = '', partner, sub, ttlSeconds = '3600' } = wanted;
  const scopes = scope.split(/[ ,]+/).filter((word) => word !== '');
  const known: readonly string[] = ['platform', ...shopScopes];
  const unknown = scopes.filter((word) => !known.includes(word));
  const lifetimeSeconds = Number(ttlSeconds);
  const problems = [
    ...(scopes.length === 0 ? [`--scope is missing: some of ${known.join(', ')}`] : []),
    ...unknown.map((word) => `--scope has ${word}, which is none of ${known.join(', ')}`),
    ...(shop === undefined && !scopes.includes('platform') ? ['--shop is missing: the id of the shop to act for'] : []),
    ...Object.entries({ shop, partner })
      .filter(([, value]) => value !== undefined && !isId(value))
      .map(([name]) => `--${name} is not an id: 1 to 128 characters of A-Z a-z 0-9 _ . : -`),
    ...(/^\d+$/.test(ttlSeconds) && lifetimeSeconds >= 1 && lifetimeSeconds <= maxTtlSeconds
      ? []
      : [`--ttl-seconds is not a number from 1 to ${maxTtlSeconds}`]),
  ];
  if (problems.length > 0) throw new UsageError(['No token was made:', ...problems].join('\n  - '));

  const [secret = ''] = JWT_SECRET.split(',');
  const jwt = new SignJWT({ scope: scopes.join(' '), ...(shop && { shop }), ...(partner && { partner }) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt()
    .setExpirationTime(`${lifetimeSeconds} seconds`);
  if (sub !== undefined) jwt.setSubject(sub);
  if (JWT_ISSUER !== undefined) jwt.setIssuer(JWT_ISSUER);
  if (JWT_AUDIENCE !== undefined) jwt.setAudience(JWT_AUDIENCE);
  return jwt.sign(new TextEncoder().encode(secret));
}
