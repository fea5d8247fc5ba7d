import { chmod, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import { fault, judge } from '../support/fault.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { nowMs } from '../support/history.ts';
import { startLoad } from '../support/load.ts';
import { startPgBouncer } from '../support/pgbouncer.ts';
import { fromRunner } from '../support/service.ts';
import { until } from '../support/until.ts';

/** What a busy machine adds to what the service waits for. */
const slackMs = 2000;

type Said = { violations: string[]; slowestMs: number };
type Client = ReturnType<Fleet['backEndAt']>;
const create = (client: Client) =>
  client.request('POST', '/v1/baskets', { items: [{ itemId: 'stalls', quantity: 1 }] });
const list = (client: Client) => client.request('GET', '/v1/baskets');

/**
 * Makes 40 calls to a replica at once while it cannot have what it needs, and gives what was wrong with the answers:
 * each must be a 503 with Retry-After within `withinMs`.
 */
async function askInVain(fleet: Fleet, withinMs: number, ask: typeof create): Promise<Said> {
  const [replica] = fleet.replicas;
  const client = fleet.backEndAt(replica?.url ?? '');
  const answers = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const startedMs = nowMs();
      const answer = await ask(client).catch((error: Error) => {
        const text = `${error.message}: ${String(error.cause)}`;
        return { status: 0, headers: new Headers(), text };
      });
      return { ...answer, tookMs: Math.round(nowMs() - startedMs) };
    }),
  );
  const wrong = answers.filter(
    ({ status, headers, tookMs }) => status !== 503 || !headers.has('retry-after') || tookMs > withinMs,
  );
  return {
    violations: wrong.map(({ status, text, tookMs }) => `after ${tookMs} ms: ${status} ${text.slice(0, 100)}`),
    slowestMs: Math.max(...answers.map(({ tookMs }) => tookMs)),
  };
}

/** A load that runs before and after what is done to Postgres, and the judgement of it all. */
async function aroundLoad(t: Test, fleet: Fleet, breakIt: () => Promise<Said>) {
  const load = await startLoad(t, {
    replicas: () => fleet.replicas,
    itemIds: fleet.itemIds,
    clients: 4,
    creations: 2000,
  });
  const goesOn = async (what: string) => {
    const before = load.acknowledged();
    await until(what, 20_000, async () => load.acknowledged() > before + 30);
  };
  await goesOn('the load is at work');
  const { violations, slowestMs } = await breakIt();
  await goesOn('it goes on by itself');
  await load.stop();
  const outcome = await judge(fleet.pool, load, fleet.stock);
  return {
    ...outcome,
    violations: [...violations, ...outcome.violations],
    note: `40 refused within ${(slowestMs / 1000).toFixed(1)} s`,
  };
}

const capacities = { stalls: 500, balcony: 200 };

fault({
  id: 'F18a',
  fault: 'all connections of the pool are busy',
  how: 'the table of baskets is locked, and the baskets are listed 40 times at once, under load',
  control: {
    what: 'no wait for a connection, a lock or a statement is bounded',
    altered: [
      { file: 'src/platform/postgres.ts', find: 'connectionTimeoutMillis: 1500,', replace: '' },
      { file: 'src/platform/postgres.ts', find: 'lock_timeout: 2000,', replace: '' },
      { file: 'src/platform/postgres.ts', find: 'statement_timeout: 4000,', replace: '' },
    ],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, capacities });
    return aroundLoad(t, fleet, () =>
      fleet.postgres.asAdministrator(async (client) => {
        await client.query('BEGIN');
        await client.query('LOCK TABLE baskets IN ACCESS EXCLUSIVE MODE');
        // The first wait for the lock for 2 s, the others for 1.5 s for a connection, and who gets one in the end for both.
        // Without a bound they would all be told after 5 s, in which every request is answered.
        return askInVain(fleet, 1500 + 2000 + 1000, list);
      }),
    );
  },
});

/** Takes all connections that Postgres gives, those of the service too, which it tries to have again. */
async function takeAllConnections(administrator: pg.Client, url: string): Promise<{ release(): Promise<void> }> {
  const taken: pg.Client[] = [];
  const takeOne = async () => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    taken.push(client);
  };
  const takeAllThereAre = async () => {
    while (
      await takeOne().then(
        () => true,
        () => false,
      )
    );
  };
  // A connection that is just ending gives its place to whoever asks next. Without a pause that is us more often than
  // the service, and whatever we have once we keep. Only some looks in a row that find none of the service's are proof.
  const giveUpMs = nowMs() + 20_000;
  for (let looks = 0; looks < 5; looks++) {
    await takeAllThereAre();
    const { rowCount } = await administrator.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'basketlink'`,
    );
    if (rowCount !== 0) looks = -1;
    if (nowMs() > giveUpMs) throw new Error('The service has connections still after 20 s.');
  }
  return {
    release: async () => {
      await Promise.all(taken.map((client) => client.end()));
    },
  };
}

fault({
  id: 'F18b',
  fault: 'Postgres takes no more connections',
  how: 'all of max_connections are taken, those of the service too, and 40 baskets are asked for under load',
  control: {
    what: 'that Postgres lacks resources is not told apart from a mistake in a program',
    altered: [{ file: 'src/platform/postgres.ts', find: '/^(08|53|57|58|', replace: '/^(08|57|58|' }],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, capacities, settings: { max_connections: '40' } });
    return aroundLoad(t, fleet, () =>
      fleet.postgres.asAdministrator(async (client) => {
        const connections = await takeAllConnections(client, fleet.postgres.url);
        const said = await askInVain(fleet, 1500 + slackMs, create);
        await connections.release();
        return said;
      }),
    );
  },
});

fault({
  id: 'F18c',
  fault: 'PgBouncer has no server connection left',
  how: 'its pool of two is taken by transactions that do nothing, and 40 baskets are asked for under load',
  control: {
    what: 'that PgBouncer gives up waiting is not told apart from a mistake in a program',
    altered: [{ file: 'src/platform/postgres.ts', find: '/^(08|53|57|58|', replace: '/^(53|57|58|' }],
  },
  async run(t, { altered }) {
    const directory = await mkdtemp(join(fromRunner('TEST_DIRECTORY'), 'pgbouncer-'));
    await chmod(directory, 0o755);
    let throughUrl = '';
    const fleet = await startFleet(t, {
      altered,
      capacities,
      async databaseUrl(postgresUrl) {
        const pgBouncer = await startPgBouncer(directory, postgresUrl, { poolSize: 2 });
        if (pgBouncer === null) throw new Error('pgbouncer is not installed');
        t.teardown(() => pgBouncer.stop());
        throughUrl = pgBouncer.url;
        return throughUrl;
      },
    });
    return aroundLoad(t, fleet, async () => {
      const idle: pg.Client[] = [];
      const takeOne = async () => {
        const client = new pg.Client({ connectionString: throughUrl });
        // The role's time for idle transactions ends it in the end.
        client.on('error', () => {});
        await client.connect();
        await client.query('BEGIN');
        idle.push(client);
      };
      // PgBouncer gives up on whoever has waited for two seconds, us too.
      await until('both are taken', 20_000, async () => {
        await takeOne().catch(() => {});
        return idle.length === 2;
      });
      const said = await askInVain(fleet, 5000 + slackMs, create);
      await Promise.all(idle.map((client) => client.end()));
      return said;
    });
  },
});
