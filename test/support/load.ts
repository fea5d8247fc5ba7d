import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { type BasketCall, type Call, type History, newHistory, nowMs } from './history.ts';
import { seededRandom } from './random.ts';
import { api, mintToken } from './service.ts';

/** For how long an unknown outcome is asked after once the load has been stopped: faults have ended by then. */
const settleMs = 20_000;
const pauseMs = 50;
/**
 * What a client thinks between two calls, on average, for each client there is up to 16: so that a load asks some 35
 * times a second while it waits for a fault to end, and leaves the machine to what recovers.
 */
const thinkMsPerClient = 28;

type LoadOptions = {
  /** Where to send calls; read anew for each, so that replicas may come and go. */
  replicas: () => readonly { url: string }[];
  /** What is bought, one or two units at a time. Stock ids are those of items without a pool. */
  itemIds: readonly string[];
  clients?: number;
  /** How many baskets all clients together ask for before they stop by themselves. */
  creations?: number;
  /** The share of baskets that take two of the items, in either order. */
  pairs?: number;
  /** Of the baskets. */
  ttlSeconds?: number;
  /** No client waits longer, whatever breaks. Beyond the 5 s of the contract: what a busy machine adds. */
  patienceMs?: number;
};

type Load = {
  history: History;
  /** What broke a promise that every single answer is under: no 500, no 503 without Retry-After, none later than `patienceMs`. */
  problems: string[];
  /** How many calls were acknowledged with 2xx so far. */
  acknowledged(): number;
  /** Resolves when all creations were asked for, or after `stop`. */
  done: Promise<void>;
  /** Lets every client finish what it does, asking after unknown outcomes, and waits for that. */
  stop(): Promise<void>;
};

type Answer = { status: number; headers: Headers; body: Body };
type Body = { code?: string; errors?: { itemId: string; requested: number }[] } & Partial<Shown> & { basket?: Shown };
type Shown = { id: string; expiresAt: string; startBasketUrl?: string };

/** A basket that a client works on. `expiresAtMs` is what it was told last. */
type Mine = { id: string; link: string; takes: { itemId: string; quantity: number }[]; expiresAtMs: number };

/** Which of the tokens a call is made with. */
type Party = 'backEnd' | 'frontEnd' | 'payments';

/** What a call is sent with, and how it is told apart in the history. */
type Request = {
  operation: string;
  party: Party;
  path: string;
  key: string;
  body: object;
  basketId?: string;
  orderId?: string;
};

/**
 * Starts clients that create baskets, press and redeem their links, go to checkout and back, complete and cancel, in an
 * order that the seed decides; FAULT_SEED asks for one that was printed before. Every call has an idempotency key and is
 * sent again until its outcome is known. A load that a test leaves running is broken off after it.
 */
export async function startLoad(t: Test, options: LoadOptions): Promise<Load> {
  const { clients = 16, creations = 400, pairs = 0.15, ttlSeconds = 600, patienceMs = 10_000 } = options;
  const seed = Number(process.env.FAULT_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const name = `load-${seed}-${Math.floor(nowMs())}`;
  const scopes: Record<Party, string> = {
    backEnd: 'baskets:read baskets:write',
    frontEnd: 'confirmations:redeem',
    payments: 'orders:write',
  };
  const tokens = Object.fromEntries(
    await Promise.all(
      Object.entries(scopes).map(async ([party, scope]) => [party, await mintToken({ shop: 'roxy', scope })]),
    ),
  ) as Record<Party, string>;

  const history = newHistory();
  const problems: string[] = [];
  let asked = 0;
  let stoppedMs = Number.POSITIVE_INFINITY;
  t.teardown(() => {
    stoppedMs = Number.NEGATIVE_INFINITY;
  });
  t.comment(`FAULT_SEED=${seed}`);

  /** Sends one request once; null when nothing came back. */
  async function sendOnce(operation: string, send: () => Promise<Answer>): Promise<Answer | null> {
    const startedMs = nowMs();
    const answer = await Promise.race([send().catch(() => null), delay(patienceMs, 'late' as const, { ref: false })]);
    if (answer === 'late') {
      problems.push(`${operation} was not answered within ${patienceMs} ms, at ${Math.round(startedMs)}`);
      return null;
    }
    if (answer !== null && answer.status >= 500 && answer.status !== 503) {
      problems.push(`${operation} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    if (answer !== null && [400, 401, 403].includes(answer.status)) {
      problems.push(`${operation} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    if (answer?.status === 503 && !answer.headers.has('retry-after'))
      problems.push(`${operation}: 503 without Retry-After`);
    return answer;
  }

  /** Sends until the outcome is known. Gives the answer with the times it is valid for, null when it stays unknown. */
  async function settle(
    operation: string,
    random: () => number,
    send: (url: string) => Promise<Answer>,
  ): Promise<{ answer: Answer | null; firstMs: number; lastMs: number; endedMs: number }> {
    const firstMs = nowMs();
    for (;;) {
      const replicas = options.replicas();
      const replica = replicas[Math.floor(random() * replicas.length)];
      const lastMs = nowMs();
      const answer = replica === undefined ? null : await sendOnce(operation, () => send(replica.url));
      const endedMs = nowMs();
      const isKnown = answer !== null && answer.status < 500 && answer.body.code !== 'idempotency_in_progress';
      if (isKnown) return { answer, firstMs, lastMs, endedMs };
      if (endedMs > stoppedMs + settleMs) return { answer: null, firstMs, lastMs, endedMs };
      await delay(pauseMs + random() * pauseMs);
    }
  }

  /** Makes one call and records it. Gives its answer when it was a 2xx, and the times between which it took effect. */
  async function call(client: string, random: () => number, request: Request) {
    const { operation, party, path, key, body } = request;
    const { answer, firstMs, lastMs, endedMs } = await settle(
      operation,
      random,
      async (url) => await api(url, tokens[party]).request<Body>('POST', path, body, { 'idempotency-key': key }),
    );
    const isOk = answer !== null && answer.status < 300;
    const basketId = request.basketId ?? (isOk ? answer.body.id : undefined) ?? null;
    const outcome: Call['outcome'] = answer === null ? 'unknown' : isOk ? 'ok' : 'refused';
    // A refusal is true of its own try; what took effect may have done so in any of them.
    const invokedMs = outcome === 'refused' ? lastMs : firstMs;
    history.calls.push({
      ...{ client, operation, basketId, key: request.orderId ?? key },
      ...{ invokedMs, endedMs, outcome, status: answer?.status ?? null },
    });
    const took = {
      invokedMs,
      endedMs: outcome === 'unknown' ? Number.POSITIVE_INFINITY : endedMs,
      optional: outcome === 'unknown',
    };
    if (basketId !== null) {
      const refusedWith = outcome === 'refused' ? (answer?.body.code ?? 'no code') : undefined;
      const seen: BasketCall = {
        kind: operation,
        basketId,
        ...took,
        ...(refusedWith === undefined ? {} : { refusedWith }),
      };
      history.baskets.push(seen);
    }
    await delay(random() * 2 * thinkMsPerClient * Math.min(clients, 16));
    return { outcome, body: answer?.body ?? null, took };
  }

  function recordStock(
    kind: 'hold' | 'release' | 'refusal',
    takes: Mine['takes'],
    times: { invokedMs: number; endedMs: number; optional: boolean },
  ): void {
    for (const { itemId, quantity } of takes)
      history.stock.push({ kind, stockId: `item:${itemId}`, quantity, ...times });
  }

  async function create(client: string, random: () => number, at: number): Promise<Mine | null> {
    const first = Math.floor(random() * options.itemIds.length);
    const lines = random() < pairs && options.itemIds.length > 1 ? 2 : 1;
    const direction = random() < 0.5 ? 1 : options.itemIds.length - 1;
    const takes = Array.from({ length: lines }, (_, line) => ({
      itemId: options.itemIds[(first + line * direction) % options.itemIds.length] ?? '',
      quantity: random() < 0.3 ? 2 : 1,
    }));
    const key = `${name}-${at}`;
    const body = { items: takes, reference: key, generateBasketUrl: true, ttlSeconds };
    const {
      outcome,
      body: said,
      took,
    } = await call(client, random, { operation: 'create', party: 'backEnd', path: '/v1/baskets', key, body });
    if (outcome !== 'refused') recordStock('hold', takes, took);
    // Of several short rows only one need have been asked of Postgres.
    const [short, ...others] = said?.code === 'insufficient_stock' ? (said.errors ?? []) : [];
    if (short && others.length === 0) {
      recordStock('refusal', [{ itemId: short.itemId, quantity: short.requested }], took);
    }
    if (outcome !== 'ok' || !said?.id || !said.startBasketUrl) return null;
    return { id: said.id, link: said.startBasketUrl, takes, expiresAtMs: Date.parse(said.expiresAt ?? '') };
  }

  async function change(
    client: string,
    random: () => number,
    mine: Mine,
    operation: string,
    more: Partial<Request> = {},
  ) {
    const done = await call(client, random, {
      operation,
      party: 'payments',
      path: `/v1/baskets/${mine.id}/${operation}`,
      key: `${mine.id}-${operation}-${history.calls.length}`,
      body: {},
      basketId: mine.id,
      ...more,
    });
    const expiresAt = done.body?.basket?.expiresAt;
    if (expiresAt !== undefined) mine.expiresAtMs = Date.parse(expiresAt);
    return done;
  }

  async function cancel(client: string, random: () => number, mine: Mine): Promise<void> {
    const { outcome, took } = await change(client, random, mine, 'cancel', { party: 'backEnd' });
    if (outcome !== 'refused') recordStock('release', mine.takes, took);
    if (outcome !== 'ok') recordExpiry(mine);
  }

  /** Presses the link at any replica and redeems what it gives. Gives whether the basket is activated for certain. */
  async function activate(client: string, random: () => number, mine: Mine): Promise<boolean> {
    const { pathname } = new URL(mine.link);
    const pressed = await settle('press', random, async (url) => {
      const { status, headers } = await fetch(new URL(pathname, url), { method: 'POST', redirect: 'manual' });
      return { status, headers, body: {} };
    });
    const token = new URL(pressed.answer?.headers.get('location') ?? 'none:').searchParams.get('token');
    if (token === null) return false;
    const { outcome } = await change(client, random, mine, 'activate', {
      party: 'frontEnd',
      path: '/v1/confirmations',
      body: { token, customerId: null, context: 'customer' },
    });
    return outcome === 'ok';
  }

  function complete(client: string, random: () => number, mine: Mine) {
    const orderId = `order-${mine.id}`;
    return change(client, random, mine, 'complete', { body: { orderId }, orderId });
  }

  /** What a live basket may come to by itself from now on. */
  function recordExpiry({ id, takes, expiresAtMs }: Mine): void {
    const times = { invokedMs: expiresAtMs, endedMs: Number.POSITIVE_INFINITY, optional: true };
    recordStock('release', takes, times);
    history.baskets.push({ kind: 'expire', basketId: id, ...times });
  }

  async function runClient(at: number): Promise<void> {
    const client = `client-${at}`;
    const random = seededRandom(seed + at);
    const open: Mine[] = [];
    while (nowMs() < stoppedMs && asked < creations) {
      const [oldest] = open;
      if (oldest && random() < 0.4) {
        open.shift();
        await cancel(client, random, oldest);
        continue;
      }
      asked += 1;
      const mine = await create(client, random, asked);
      if (mine === null) continue;
      if (random() < 0.5) {
        open.push(mine);
        continue;
      }
      const isActivated = await activate(client, random, mine);
      const paying = isActivated && random() < 0.5 ? await change(client, random, mine, 'checkout') : null;
      if (paying?.outcome === 'ok' && random() < 0.3) {
        await change(client, random, mine, 'leave', { path: `/v1/baskets/${mine.id}/checkout/fail` });
      }
      const paid = isActivated && random() < 0.7 ? await complete(client, random, mine) : null;
      if (paid?.outcome !== 'ok') recordExpiry(mine);
    }
    for (const mine of open) recordExpiry(mine);
  }

  const done = Promise.all(Array.from({ length: clients }, (_, at) => runClient(at))).then(() => {});
  return {
    history,
    problems,
    acknowledged: () => history.calls.filter(({ outcome }) => outcome === 'ok').length,
    done,
    async stop() {
      stoppedMs = nowMs();
      await done;
    },
  };
}
