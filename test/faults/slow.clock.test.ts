import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import type { Created } from '../support/journey.ts';
import { startLoad } from '../support/load.ts';
import { api, fromRunner, mintToken } from '../support/service.ts';
import { until } from '../support/until.ts';

/** Of Debian's package faketime. */
const shim = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
const hourMs = 3_600_000;
const ttlSeconds = 600;
/** What a request may take on a busy machine. */
const toleranceMs = 5000;

/** Environment of a process whose wall clock is off by what `set` says, from now on; its timers are right. */
async function wrongClock(): Promise<{ env: Record<string, string>; set(seconds: number): void }> {
  const file = join(await mkdtemp(join(fromRunner('TEST_DIRECTORY'), 'clock-')), 'offset');
  const set = (seconds: number) => writeFileSync(file, `${seconds >= 0 ? '+' : ''}${seconds}\n`);
  set(0);
  const env = {
    LD_PRELOAD: shim,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  return { env, set };
}

/** What a replica says that would be different by another clock than Postgres'; in words. */
async function judgeTimes(t: Test, url: string, which: string): Promise<string[]> {
  const found: string[] = [];
  const scope = 'baskets:read baskets:write';
  const valid = api(url, await mintToken({ shop: 'roxy', scope }));
  const expired = api(url, await mintToken({ shop: 'roxy', scope }, { ttlSeconds: -120 }));
  const create = (itemId: string) =>
    valid.request<Created & { code?: string }>('POST', '/v1/baskets', { items: [{ itemId, quantity: 1 }], ttlSeconds });

  const { status, body, text } = await create('closes-soon');
  if (status !== 201) found.push(`${which}: what is on sale was answered ${text}`);
  const offMs = Math.abs(Date.parse(body.expiresAt) - Date.now() - ttlSeconds * 1000);
  if (!(offMs < toleranceMs)) found.push(`${which}: expiresAt is ${body.expiresAt}`);
  const early = await create('opens-soon');
  if (early.body.code !== 'sale_not_open') found.push(`${which}: what is not on sale yet was answered ${early.status}`);
  const late = await create('closed');
  if (late.body.code !== 'sale_closed')
    found.push(`${which}: what is not on sale any more was answered ${late.status}`);
  const refused = await expired.request('GET', '/v1/baskets');
  if (refused.status !== 401) found.push(`${which}: a JWT that expired two minutes ago was answered ${refused.status}`);
  t.comment(`${which}: looked at`);
  return found;
}

fault({
  id: 'F12',
  fault: 'the wall clock of the service jumps an hour ahead and an hour back',
  how: 'libfaketime under two replicas, set to +1 h and −1 h under load, after which each is asked for things that are due by time',
  skip: !existsSync(shim) && 'faketime is not installed',
  control: {
    what: 'the time is the process’s own',
    altered: [
      {
        file: 'src/platform/clock.ts',
        find: 'return new Date(measured.databaseMs + performance.now() - measured.monotonicMs);',
        replace: 'return new Date();',
      },
    ],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, capacities: { stalls: 300, balcony: 100 } });
    const inTenMinutes = new Date(Date.now() + hourMs / 6).toISOString();
    const tenMinutesAgo = new Date(Date.now() - hourMs / 6).toISOString();
    const sales: Record<string, object> = {
      'closes-soon': { saleEndsAt: inTenMinutes },
      'opens-soon': { saleStartsAt: inTenMinutes },
      closed: { saleEndsAt: tenMinutesAgo },
    };
    for (const [itemId, sale] of Object.entries(sales)) {
      const body = { name: itemId, price: 100, capacity: 10, ...sale };
      const { status, text } = await fleet.shop.owner.request('PUT', `/v1/items/${itemId}`, body);
      if (status !== 200) throw new Error(text);
    }
    const clocks = [await wrongClock(), await wrongClock()] as const;
    const replicas = await Promise.all(clocks.map(({ env }) => fleet.start({ env })));
    const load = await startLoad(t, { replicas: () => replicas, itemIds: fleet.itemIds, creations: 400 });
    await until('the load is at work', 20_000, async () => load.acknowledged() > 50);
    const [ahead, behind] = clocks;
    ahead.set(3600);
    behind.set(-3600);
    const before = load.history.calls.length;
    await until('it goes on', 20_000, async () => load.history.calls.length > before + 100);
    const times: string[] = [];
    for (const [at, { url }] of replicas.entries()) {
      times.push(...(await judgeTimes(t, url, at === 0 ? 'an hour ahead' : 'an hour behind')));
    }
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    return { ...outcome, violations: [...times, ...outcome.violations] };
  },
});
