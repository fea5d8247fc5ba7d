import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { fault } from '../support/fault.ts';
import type { Created } from '../support/journey.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';
import { until } from '../support/until.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];

/** Opens connections to a service that say nothing, and gives them. Those that it refuses are closed. */
async function openIdle(t: Test, serviceUrl: string, count: number): Promise<Socket[]> {
  const { port, hostname } = new URL(serviceUrl);
  const sockets = Array.from({ length: count }, () => connect(Number(port), hostname).on('error', () => {}));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))),
  );
  return sockets;
}

fault({
  id: 'F38',
  fault: 'a replica has no file descriptors left',
  how: 'the limit set to what it has open and eight more, 100 idle connections, and Postgres closing those it had',
  control: {
    what: 'a connection that cannot be opened for want of descriptors is an error like any other',
    altered: [{ file: 'src/platform/postgres.ts', find: '|EMFILE|ENFILE', replace: '' }],
  },
  async run(t, { altered }) {
    const shop = await openShopOnReplicas(t, { altered });
    const [replica] = shop.replicas;
    if (replica === undefined) throw new Error('there is a replica');
    const created: string[] = [];
    const violations: string[] = [];
    const send = () =>
      shop.backEnd.request<Created>('POST', '/v1/baskets', { items }).catch(() => ({ status: 0, text: '' }) as const);
    const create = async () => {
      const answer = await send();
      if ('body' in answer && answer.status === 201) created.push(answer.body.id);
      else if (answer.status !== 503 && answer.status !== 0)
        violations.push(`answered ${answer.status} ${answer.text}`);
      return answer.status;
    };
    // Connections of clients that are open before, on which requests still arrive.
    await Promise.all(Array.from({ length: 8 }, create));
    const open = readdirSync(`/proc/${replica.pid}/fd`).length;
    await promisify(execFile)('prlimit', [`--pid=${replica.pid}`, `--nofile=${open + 8}:${open + 8}`]);
    const idle = await openIdle(t, replica.url, 100);
    await shop.service.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'basketlink'`,
    );
    const filling = await openIdle(t, replica.url, 100);
    const statuses: number[] = [];
    for (let round = 0; round < 10; round += 1)
      statuses.push(...(await Promise.all(Array.from({ length: 8 }, create))));
    if (statuses.every((status) => status === 201)) violations.push('it had descriptors left');

    for (const socket of [...idle, ...filling]) socket.destroy();
    const recovered = await until('it serves again', 10_000, async () => (await create()) === 201).catch(() => false);
    if (!recovered) violations.push('it does not serve again');
    return accountFor(shop.service.pool, created, violations);
  },
});
