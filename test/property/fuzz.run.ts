import type { TestShop } from '../support/journey.ts';
import type { Operation } from './fuzz.document.ts';
import { isObject } from './fuzz.json.ts';
import type { FuzzAnswer } from './fuzz.judge.ts';
import type { Meant } from './fuzz.request.ts';
import type { Draw, Kind } from './fuzz.values.ts';

/** The service under test, what has been counted, and the shop next door, which nobody of the runs' shops may reach. */
export type World = {
  neighbour: TestShop;
  operations: ReadonlyMap<string, Operation>;
  neighbourPools: Pools;
  runs: number;
  writes: string;
  calls: number;
  byClass: Record<string, number>;
  /** Of every operation how often it was called, and how often that succeeded. */
  byOperation: Map<string, { calls: number; successes: number }>;
};

type Pools = Partial<Record<Kind, string[]>>;

type ApiKey = { id: string; secret: string; scopes: string[] };

type OfBasket = { text: string; basketId: string };

/** One run: a shop of its own, and what its callers have been given. */
export type Run = {
  world: World;
  shopId: string;
  pools: Pools;
  apiKeys: ApiKey[];
  links: OfBasket[];
  sessions: OfBasket[];
  /** What must not work any more: deleted keys, revoked links, spent tokens, superseded sessions, removed lines. */
  dead: Set<string>;
};

export const neverGiven: Record<Kind, string> = {
  shop: 'nobodys-shop',
  basket: 'bkt_01h455vb4pex5vsknk084sn02q',
  basketInUse: 'bkt_01h455vb4pex5vsknk084sn02q',
  endedBasket: 'bkt_01h455vb4pex5vsknk084sn02q',
  line: '1',
  apiKeyId: 'key_01h455vb4pex5vsknk084sn02q',
  delivery: 'dlv_01h455vb4pex5vsknk084sn02q',
  lease: 'lse_01h455vb4pex5vsknk084sn02q',
  due: '1998',
  etag: '"1"',
  cursor: 'bm8gY3Vyc29y',
  link: 'bm8gc3RhcnQgdG9rZW4gYXQgYWxs',
  laravelLink: 'bkt_01h455vb4pex5vsknk084sn02q?expires=4102444800&g=1&shop=roxy&signature=00',
  confirmation: 'bm8gY29uZmlybWF0aW9uIHRva2Vu',
  spentConfirmation: 'bm8gY29uZmlybWF0aW9uIHRva2Vu',
  session: 'ses_bm8gc2Vzc2lvbiB0b2tlbg',
  neighbourShop: 'roxy',
  neighbourBasket: 'bkt_01h455vb4pex5vsknk084sn02q',
  neighbourApiKeyId: 'key_01h455vb4pex5vsknk084sn02q',
  neighbourConfirmation: 'bm8gY29uZmlybWF0aW9uIHRva2Vu',
  neighbourSession: 'ses_bm8gc2Vzc2lvbiB0b2tlbg',
};

export function newest<Value>(values: readonly Value[], nth: number): Value | undefined {
  return values[values.length - 1 - (nth % values.length)];
}

export function drawn({ pools }: Pick<Run, 'pools'>, { $draw, nth, alter }: Draw): string {
  const text = newest(pools[$draw] ?? [], nth) ?? neverGiven[$draw];
  switch (alter) {
    case 'cut':
      return text.slice(0, -1);
    case 'extend':
      return `${text}A`;
    case 'change': {
      const at = Math.floor(text.length / 2);
      return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    }
    default:
      return text;
  }
}

function isDraw(value: unknown): value is Draw {
  return isObject(value) && '$draw' in value;
}

/** The value with what was drawn in it. */
export function resolved(run: Run, value: unknown): unknown {
  if (isDraw(value)) return value.$draw === 'due' ? Number(drawn(run, value)) : drawn(run, value);
  if (Array.isArray(value)) return value.map((member) => resolved(run, member));
  if (!isObject(value) || '$raw' in value) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, resolved(run, member)]));
}

export function tokenIn(body: Buffer): string | null {
  try {
    const { token } = JSON.parse(body.toString()) as { token?: unknown };
    return typeof token === 'string' ? token : null;
  } catch {
    return null;
  }
}

type Shown = {
  id?: unknown;
  status?: unknown;
  items?: unknown;
  totals?: { due?: unknown };
  startBasketUrl?: unknown;
};

/** Keeps what an answer gives, and notes what does not work any more. */
export function learn(run: Run, { call: { operation }, path, sent }: Meant, answer: FuzzAnswer): void {
  const { apiKeys, links, sessions, dead } = run;
  const keep = (kind: Kind, value: unknown) => {
    if (typeof value === 'string' && value !== '') run.pools[kind] = [...(run.pools[kind] ?? []), value].slice(-8);
  };
  const bury = (things: OfBasket[], basketId: unknown) => {
    for (const { text } of things.filter((thing) => thing.basketId === basketId)) dead.add(text);
  };
  keep('etag', answer.headers.etag);
  const { location } = answer.headers;
  if (location?.startsWith('http')) keep('confirmation', new URL(location).searchParams.get('token'));
  const isJson = answer.headers['content-type']?.startsWith('application/json') && answer.text !== '';
  const body: Record<string, unknown> = isJson ? JSON.parse(answer.text) : {};
  keep('cursor', body.nextCursor);
  keep('lease', body.leaseId);
  keep('delivery', body.deliveryId);

  const basket = (isObject(body.basket) ? body.basket : body) as Shown;
  if (typeof basket.id === 'string') {
    const basketId = basket.id;
    if (!run.pools.basket?.includes(basketId)) keep('basket', basketId);
    if (basket.status === 'cancelled' || basket.status === 'expired') keep('endedBasket', basketId);
    keep('due', String(basket.totals?.due));
    for (const line of Array.isArray(basket.items) ? basket.items : []) keep('line', line.lineId);
    if (typeof basket.startBasketUrl === 'string') {
      bury(links, basketId);
      const text = basket.startBasketUrl.replace(/^.*?\/(b|basket\/start)\//, '');
      links.push({ text, basketId });
      keep(basket.startBasketUrl.includes('/b/') ? 'link' : 'laravelLink', text);
    }
    if (isObject(body.session) && typeof body.session.token === 'string') {
      bury(sessions, basketId);
      sessions.push({ text: body.session.token, basketId });
      keep('session', body.session.token);
      keep('basketInUse', basketId);
    }
  }
  const token = sent.body === null ? null : tokenIn(sent.body);
  if (operation.id === 'redeemConfirmation' && token !== null) {
    dead.add(token);
    run.pools.confirmation = run.pools.confirmation?.filter((other) => other !== token) ?? [];
    keep('spentConfirmation', token);
  }
  if (operation.id === 'createApiKey') {
    const { apiKeyId: id, apiKey: secret, scopes } = body as { apiKeyId: string; apiKey: string; scopes: string[] };
    apiKeys.push({ id, secret, scopes });
    keep('apiKeyId', id);
  }
  if (operation.id === 'deleteApiKey') {
    const deleted = apiKeys.find(({ id }) => id === path.apiKeyId);
    if (deleted) {
      dead.add(deleted.secret);
      apiKeys.splice(apiKeys.indexOf(deleted), 1);
    }
  }
  if (operation.id === 'removeLine') dead.add(`${path.id} ${path.lineId}`);
  if (operation.id === 'revokeStartLinks') {
    bury(links, path.id);
    if (sent.path.endsWith('sessions=true')) bury(sessions, path.id);
  }
}
