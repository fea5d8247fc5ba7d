import { Agent, type IncomingMessage, request } from 'node:http';
import { Registry } from 'prom-client';
import type { Test } from 'tap';
import { expireListed } from '../../src/holds/arbiter.ts';
import { endBasketsOfCancelledEvents, holdMetrics } from '../../src/holds/index.ts';
import { shopScopes } from '../../src/http/access.ts';
import { withTransaction } from '../../src/platform/postgres.ts';
import { createBasket, openBasket, pressLink, type TestShop } from '../support/journey.ts';
import type { Call, Move } from './fuzz.calls.ts';
import type { Operation } from './fuzz.document.ts';
import { type FuzzAnswer, judge, succeeded } from './fuzz.judge.ts';
import { type Meant, meaningOf, type Sent, takesKey } from './fuzz.request.ts';
import { drawn, learn, type Run, type World } from './fuzz.run.ts';
import type { Draw } from './fuzz.values.ts';
import { openUnsweptShop } from './service.ts';

const origin = 'https://tickets.example';

/** Opens the service and the neighbour, and counts every row that is written from now on. */
export async function openWorld(t: Test, operations: readonly Operation[]): Promise<World> {
  const neighbour = await openUnsweptShop(t, { trustProxy: '127.0.0.1' });
  const { pool } = neighbour.service;
  const [open, inUse] = [await createBasket(neighbour), await openBasket(neighbour)];
  const key = { name: 'theirs', scopes: ['baskets:read'] };
  const made = await neighbour.owner.request<{ apiKeyId: string }>('POST', '/v1/shops/roxy/api-keys', key);
  // Deferred to the commit: what is rolled back was never written. The row of service_state changes with Redis, the
  // openings of links are counted aside, and what becomes of deliveries and how far webhooks have come is up to the relay.
  await pool.query(`
    CREATE TABLE fuzz_writes (write_number bigserial PRIMARY KEY, what text);
    CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO fuzz_writes (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;
    DO $$ DECLARE name text; BEGIN
      FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT IN ('service_state', 'link_openings', 'deliveries', 'fuzz_writes') LOOP
        EXECUTE format('CREATE CONSTRAINT TRIGGER count_write AFTER INSERT OR UPDATE %s OR DELETE ON %I
          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_write()',
          CASE name WHEN 'webhooks' THEN 'OF url, types, format, sealed_secret' END, name);
      END LOOP;
    END $$;`);
  return {
    neighbour,
    operations: new Map(operations.map((operation) => [operation.id, operation])),
    neighbourPools: {
      neighbourShop: ['roxy'],
      neighbourBasket: [open.id, inUse.id],
      neighbourApiKeyId: [made.body.apiKeyId],
      neighbourConfirmation: [await pressLink(open.startBasketUrl)],
      neighbourSession: [inUse.session.token],
    },
    runs: 0,
    writes: await readWrites(neighbour),
    calls: 0,
    byClass: {},
    byOperation: new Map(operations.map(({ id }) => [id, { calls: 0, successes: 0 }])),
  };
}

/**
 * Begins a run in a new shop that sells something, with a basket that is open and one that is in use. Its links have
 * this format, but for the first basket's.
 */
export async function beginRun(world: World, linkFormat: 'token' | 'laravel'): Promise<Run> {
  world.runs += 1;
  const shopId = `shop-${world.runs}`;
  const run: Run = {
    world,
    shopId,
    pools: { ...world.neighbourPools, shop: [shopId] },
    ...{ apiKeys: [], links: [], sessions: [], dead: new Set() },
  };
  const setUp = async (id: string, path: Record<string, unknown>, value: unknown) => {
    const operation = world.operations.get(id);
    if (operation === undefined) throw new Error(`openapi.yaml has no operation ${id}`);
    const none = { query: [], headers: {}, contentType: null, again: false };
    const right = { as: 'right', scope: 0, partner: false } as const;
    const body = value === null ? null : { value, breakage: null };
    const answer = await make(run, { operation, credential: right, path, body, ...none });
    if (!succeeded(answer)) throw new Error(`${id} of a run's beginning: ${answer.status} ${answer.text}`);
  };
  await setUp(
    'putShop',
    { shopId },
    {
      name: 'A shop',
      currency: 'GBP',
      frontend: { confirmUrl: `${origin}/confirm`, basketUrl: `${origin}/basket`, errorUrl: `${origin}/problem` },
      allowedRedirectOrigins: [origin, 'https://partner.example'],
      basket: { maxLiveBasketsPerCustomer: 20 },
      link: { format: linkFormat },
    },
  );
  if (linkFormat === 'laravel') await setUp('putLaravelKeys', { shopId }, { keys: ['a key of this very shop'] });
  for (const eventId of ['evt-1', 'evt-2']) await setUp('putEvent', { eventId }, { name: 'The Concert' });
  await setUp('putPool', { poolId: 'pool-1' }, { name: 'The hall', capacity: 1000 });
  const items = [
    { itemId: 'stalls', name: 'Stalls', price: 2500, taxRate: 0.2, eventId: 'evt-1', capacity: 1000 },
    { itemId: 'circle', name: 'Circle', price: 1500, eventId: 'evt-2', poolId: 'pool-1' },
    { itemId: 'mug', name: 'Mug', price: 999 },
  ];
  await setUp('putItems', {}, { items });
  await setUp('putDiscountCode', { code: 'TENTH' }, { type: 'percent', value: 1000 });
  await setUp('putDiscountCode', { code: 'FIVE' }, { type: 'fixed', value: 500, maxUses: 50, maxUsesPerCustomer: 2 });
  await setUp('putAccessCode', { code: 'DOOR' }, { itemIds: ['mug'], maxUses: 50 });
  await setUp('putGiftCard', { number: '4000 1234 5678' }, { balance: 5000, currency: 'GBP' });
  await setUp('putCreatorCode', { code: 'ACME' }, { walletRef: 'w-1', sharePercent: 5 });
  await setUp('putWebhook', { webhookId: 'hook-1' }, { url: 'https://receiver.example/hooks' });
  await setUp('testWebhook', { webhookId: 'hook-1' }, {});
  await setUp('createApiKey', { shopId }, { name: 'all', scopes: [...shopScopes] });
  const line = { itemId: 'mug', quantity: 2 };
  const coded = {
    campaign: 'spring',
    items: [line, { itemId: 'circle', quantity: 1 }],
    discountCodes: ['TENTH'],
    creatorCode: 'ACME',
  };
  await setUp('createBasket', {}, coded);
  await setUp('patchShop', { shopId }, { link: { format: linkFormat } });
  await setUp(
    'createBasket',
    {},
    { items: [line], customer: { id: 'anna', email: 'anna@example.com' }, discountCodes: ['TENTH'] },
  );
  await setUp(
    linkFormat === 'token' ? 'pressStartLink' : 'pressLaravelLink',
    linkFormat === 'token'
      ? { token: { $draw: 'link', nth: 0 } satisfies Draw }
      : { basketId: { $draw: 'laravelLink', nth: 0 } satisfies Draw },
    null,
  );
  await setUp('redeemConfirmation', {}, { token: { $draw: 'confirmation', nth: 0 } satisfies Draw });
  return run;
}

/** Sweeps what has run out of time, and lets the rest outlive the test: nobody works on it but the caller. */
export async function endRun(run: Run): Promise<void> {
  const { rows } = await pool(run).query<{ basket_id: string }>(
    `UPDATE baskets SET expires_at = CASE WHEN expires_at <= now() THEN expires_at ELSE now() + interval '1 day' END
     WHERE shop_id = $1 AND status IN ('open', 'activated', 'checkout') RETURNING basket_id`,
    [run.shopId],
  );
  const basketIds = rows.map(({ basket_id }) => basket_id);
  await sweep(run, basketIds);
  run.world.writes = await readWrites(run.world.neighbour);
}

/** Makes a move. Throws when something is wrong with an answer. */
export async function play(run: Run, move: Move): Promise<void> {
  if ('call' in move) {
    await make(run, move.call);
    return;
  }
  if ('lapse' in move) {
    const basketId = drawn(run, { $draw: 'basket', nth: move.lapse });
    await pool(run).query(
      `UPDATE baskets SET expires_at = now() - interval '1 minute' WHERE shop_id = $1 AND basket_id = $2`,
      [run.shopId, basketId],
    );
  } else {
    await sweep(run, [drawn(run, { $draw: 'basket', nth: move.sweep })]);
  }
  run.world.writes = await readWrites(run.world.neighbour);
}

async function sweep({ world, shopId }: Run, basketIds: readonly string[]): Promise<void> {
  const names = basketIds.map((basketId) => ({ shopId, basketId }));
  const swept = await withTransaction(world.neighbour.service.pool, async (tx) => {
    await tx.query(`SET LOCAL model.sweeps = 'yes'`);
    return expireListed(tx, names);
  });
  const { pool, admission } = world.neighbour.service;
  await admission.release(swept);
  // Before the service comes to it by itself, which would look like the doing of the next call.
  await endBasketsOfCancelledEvents({ pool, admission, metrics: holdMetrics(new Registry()) });
}

function pool({ world }: Pick<Run, 'world'>) {
  return world.neighbour.service.pool;
}

/** The number of the last row that was written, and what it was. */
async function readWrites({ service }: TestShop): Promise<string> {
  const { rows } = await service.pool.query<{ last: string }>(
    `SELECT write_number || ' ' || what AS last FROM fuzz_writes ORDER BY write_number DESC LIMIT 1`,
  );
  return rows[0]?.last ?? '';
}

async function make(run: Run, call: Call): Promise<FuzzAnswer> {
  const meant = await meaningOf(run, call);
  const answer = await exchange(run, meant);
  const replayed = answer.headers['idempotent-replayed'] === 'true';
  if (succeeded(answer) && !replayed && !meant.asNeighbour) learn(run, meant, answer);
  // An entry of a batch that was refused runs again.
  const partlyRefused = call.operation.id === 'createBaskets' && answer.text.includes('"problem":{');
  const isKept = succeeded(answer) && !partlyRefused && takesKey(call, meant.sent.headers);
  if (call.again && isKept && !replayed) {
    const again = await exchange(run, { ...meant, expectation: { only: null, wrong: [] } });
    const isTheSame = again.status === answer.status && again.text === answer.text;
    if (!isTheSame || again.headers['idempotent-replayed'] !== 'true') {
      fail(run, meant, again, [`not the stored answer of its idempotency key: ${answer.status} ${answer.text}`]);
    }
  }
  return answer;
}

/** Sends, counts and judges. */
async function exchange(run: Run, meant: Meant): Promise<FuzzAnswer> {
  const { world } = run;
  const { operation } = meant.call;
  const answer = await exchangeBytes(world, meant.sent);
  const count = world.byOperation.get(operation.id);
  if (count === undefined) throw new Error(`${operation.id} is not counted`);
  world.calls += 1;
  count.calls += 1;
  if (succeeded(answer)) count.successes += 1;
  const statusClass = `${Math.floor(answer.status / 100)}xx`;
  world.byClass[statusClass] = (world.byClass[statusClass] ?? 0) + 1;
  const replayed = answer.headers['idempotent-replayed'] === 'true';
  // A stored answer is given again also when what it was about is gone.
  const expectation = replayed ? { ...meant.expectation, wrong: [] } : meant.expectation;
  const found = judge(operation, expectation, answer);
  if (found.length > 0) fail(run, meant, answer, found);
  return answer;
}

function fail(run: Run, { call, sent }: Meant, answer: FuzzAnswer, found: readonly string[]): never {
  const body = sent.body === null ? 'no body' : sent.body.toString('latin1');
  throw new Error(
    [
      `${call.operation.id}: ${found.join('; ')}`,
      `call ${run.world.calls}, as ${JSON.stringify(call.credential)}`,
      `${sent.method} ${sent.path.slice(0, 500)}`,
      JSON.stringify(sent.headers).slice(0, 1500),
      body.slice(0, 3000),
      `answered ${answer.status} ${JSON.stringify(answer.headers)}`,
      answer.text.slice(0, 3000),
      `the last that was written: ${run.world.writes}`,
    ].join('\n  '),
  );
}

const agent = new Agent({ keepAlive: true });

async function exchangeBytes(world: World, sent: Sent): Promise<FuzzAnswer> {
  const sentAt = performance.now();
  const { status, headers, text } = await exchangeOnce(world, sent).catch((error: NodeJS.ErrnoException) => {
    // The service has closed a connection that was kept open, or one whose body it does not want to read.
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return exchangeOnce(world, sent);
    throw error;
  });
  const tookMs = performance.now() - sentAt;
  const writes = await readWrites(world.neighbour);
  const wrote = writes !== world.writes;
  world.writes = writes;
  return { status, headers, text, tookMs, wrote };
}

/**
 * As a proxy in front says it: behind what the caller says stands where the call comes from. Each run is somewhere else,
 * or the limits of an address would soon let nobody try a code.
 */
function forwardedFor({ runs }: World, said: string | string[] | undefined): string {
  return [said ?? [], `10.0.${Math.floor(runs / 256)}.${runs % 256}`].flat().join(', ');
}

function exchangeOnce(
  world: World,
  { method, path, headers, body }: Sent,
): Promise<Omit<FuzzAnswer, 'tookMs' | 'wrote'>> {
  return new Promise((resolve, reject) => {
    const { hostname: host, port } = new URL(world.neighbour.service.url);
    const length = body === null ? {} : { 'content-length': String(body.length) };
    const timeout = 20_000;
    const sent = { ...length, ...headers, 'x-forwarded-for': forwardedFor(world, headers['x-forwarded-for']) };
    const outgoing = request({ agent, host, port, method, path, headers: sent, timeout });
    outgoing.on('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const once = Object.entries(response.headers).map(([name, value]) => [name, [value].flat()[0]]);
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(once), text });
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path} was not answered`)));
    outgoing.on('error', reject);
    outgoing.end(body ?? undefined);
  });
}
