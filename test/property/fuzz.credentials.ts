import { shopScopes } from '../../src/http/access.ts';
import { mintToken } from '../support/service.ts';
import type { Call } from './fuzz.calls.ts';
import { isObject } from './fuzz.json.ts';
import type { Expectation } from './fuzz.judge.ts';
import type { Sent } from './fuzz.request.ts';
import { drawn, neverGiven, newest, type Run } from './fuzz.run.ts';

const minted = new Map<string, Promise<string>>();

function tokenOf(claims: { shop?: string; scope: string; partner?: string }): Promise<string> {
  const name = JSON.stringify(claims);
  const token = minted.get(name) ?? mintToken(claims, { ttlSeconds: 3600 });
  // Those of earlier runs are of no use to anybody.
  if (minted.size > 1000) minted.clear();
  minted.set(name, token);
  return token;
}

/** Sets the credential, and says what alone may be answered to it. */
export async function credentialOf(
  run: Run,
  { operation, credential, contentType, body }: Call,
  path: Record<string, unknown>,
  headers: Sent['headers'],
  wrong: string[],
): Promise<Pick<Expectation, 'only'> & { asNeighbour: boolean }> {
  if (!operation.secured) return { only: null, asNeighbour: false };
  const bear = (token: string) => {
    headers.authorization = `Bearer ${token}`;
    if (run.dead.has(token)) wrong.push('the credential is dead');
  };
  // What is wrong with how the body comes may be said before anybody has looked at what it is about.
  const notEvenRead = [
    ...(headers['content-encoding'] === undefined ? [] : [415]),
    ...(contentType === null && !(body && 'bytes' in body) ? [] : [413, 415]),
  ];
  const only = (status: number, because: string) => ({
    only: { statuses: [status, ...notEvenRead], because },
    asNeighbour: credential.as === 'neighbour',
  });
  const { shopId } = run;
  const scope = operation.scopes[0] ?? '';
  const foreign = foreignIn(run, path);
  const badPath = Object.values(path).some((value) => isObject(value));
  // A path that cannot be read is refused as such.
  const anything = { only: null, asNeighbour: credential.as === 'neighbour' };
  switch (credential.as) {
    case 'right': {
      const needed = operation.scopes[credential.scope % operation.scopes.length] ?? scope;
      const shop = needed === 'platform' ? {} : { shop: shopId };
      bear(
        await tokenOf({
          ...shop,
          scope: `${needed} customers:login`,
          ...(credential.partner ? { partner: 'p1' } : {}),
        }),
      );
      if (badPath || foreign === null || needed === 'platform' || credential.partner) return anything;
      return only(404, `${foreign} is of another shop`);
    }
    case 'apiKey': {
      const apiKey = newest(run.apiKeys, credential.nth);
      bear(apiKey?.secret ?? (await tokenOf({ shop: shopId, scope })));
      const suffices = !apiKey || apiKey.scopes.some((scope) => operation.scopes.includes(scope));
      return suffices || badPath ? anything : only(403, 'the API key has none of the scopes');
    }
    case 'session': {
      const ofThis = run.sessions.filter(({ basketId }) => basketId === path.id);
      const session = newest(ofThis.length > 0 && credential.nth < 3 ? ofThis : run.sessions, credential.nth);
      if (session === undefined) {
        bear(neverGiven.session);
        return badPath ? anything : only(401, 'there is no such session');
      }
      bear(session.text);
      if (badPath) return anything;
      if (!operation.admitsSession) return only(403, 'sessions may not call this');
      if (path.id !== session.basketId) wrong.push('the session is of another basket');
      return anything;
    }
    case 'tooLittle': {
      bear(
        await tokenOf({ shop: shopId, scope: shopScopes.filter((one) => !operation.scopes.includes(one)).join(' ') }),
      );
      return badPath ? anything : only(403, 'the credential has none of the scopes');
    }
    case 'neighbour': {
      bear(await tokenOf({ shop: 'roxy', scope: operation.scopes.find((one) => one !== 'platform') ?? '' }));
      const own = path.shopId === shopId || (run.pools.basket ?? []).includes(String(path.id));
      return own && !badPath ? only(404, 'the credential is of another shop') : anything;
    }
    case 'nobody': {
      const header = await nobodysHeader(run, credential.how, credential.nth, scope);
      if (header !== null) headers.authorization = header;
      return badPath ? anything : only(401, `of the credential: ${credential.how}`);
    }
  }
}

function foreignIn({ pools }: Run, path: Record<string, unknown>): string | null {
  if ((pools.neighbourShop ?? []).includes(String(path.shopId))) return 'the shop';
  if ((pools.neighbourBasket ?? []).includes(String(path.id))) return 'the basket';
  if ((pools.neighbourApiKeyId ?? []).includes(String(path.apiKeyId))) return 'the API key';
  return null;
}

async function nobodysHeader(run: Run, how: string, nth: number, scope: string): Promise<string | null> {
  const claims = { shop: run.shopId, scope };
  switch (how) {
    case 'none':
      return null;
    case 'empty':
      return 'Bearer ';
    case 'basic':
      return 'Basic cGFydG5lcjpzZWNyZXQ=';
    case 'expired':
      return `Bearer ${await mintToken(claims, { ttlSeconds: -120 })}`;
    case 'otherSecret':
      return `Bearer ${await mintToken(claims, { secret: 'the secret of somebody else, as long as ours' })}`;
    case 'unsigned': {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
      return `Bearer ${part({ alg: 'none', typ: 'JWT' })}.${part({ ...claims, exp: 4_102_444_800 })}.`;
    }
    case 'tampered': {
      const [head = '', payload = '', signature = ''] = (await tokenOf(claims)).split('.');
      const said = Buffer.from(payload, 'base64url').toString().replace(run.shopId, 'roxy');
      return `Bearer ${head}.${Buffer.from(said).toString('base64url')}.${signature}`;
    }
    case 'unknownApiKey':
      return `Bearer sk_1_${'A'.repeat(43)}`;
    case 'deletedApiKey':
      return `Bearer ${
        newest(
          [...run.dead].filter((text) => text.startsWith('sk_')),
          nth,
        ) ?? 'sk_1_none'
      }`;
    case 'startLink':
      return `Bearer ${drawn(run, { $draw: 'link', nth })}`;
    case 'confirmation':
      return `Bearer ${drawn(run, { $draw: 'confirmation', nth })}`;
    case 'spoiltSession':
      return `Bearer ${drawn(run, { $draw: 'session', nth, alter: 'change' })}`;
    default:
      return 'Bearer garbage';
  }
}
