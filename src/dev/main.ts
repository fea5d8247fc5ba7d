import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import closeWithGrace from 'close-with-grace';
import { SignJWT } from 'jose';
import { loadConfig, startProblem } from '../config.ts';
import { migrate } from '../platform/migrations.ts';
import { startService } from '../server.ts';
import { createDemoBasket, setUpDemoShop } from './demo-data.ts';
import { startDemoShop } from './demo-shop/server.ts';
import { startPostgres, startRedis } from './services.ts';

const dataDirectory = fileURLToPath(new URL('../../.data/', import.meta.url));
const shopId = 'roxy';
const shopPort = 3001;
const tokenLifetime = '30d';

type Stoppable = { stop(): Promise<void> };

/**
 * `npm run dev`: everything, from nothing. Starts Postgres and Redis where no URL is given, migrates, starts the service
 * and the demo shop's front end, and prints a start link to click. State stays in `.data/`.
 */
async function main(): Promise<void> {
  const started: Stoppable[] = [];
  const stop = async () => {
    for (const service of started.splice(0).reverse()) await service.stop();
  };
  closeWithGrace({ delay: 15_000 }, async ({ err }) => {
    if (err) process.stderr.write(`${err.stack ?? err.message}\n`);
    else process.stdout.write('\nStopping…\n');
    await stop();
  });
  const start = async <T extends Stoppable>(service: Promise<T>): Promise<T> => {
    const running = await service;
    started.push(running);
    return running;
  };

  await mkdir(dataDirectory, { recursive: true });
  const { DATABASE_URL, REDIS_URL } = process.env;
  const postgres = DATABASE_URL
    ? { url: DATABASE_URL, description: 'Postgres at DATABASE_URL' }
    : await start(startPostgres({ dataDirectory: `${dataDirectory}postgres`, durable: true }));
  const redis = REDIS_URL
    ? { url: REDIS_URL, description: 'Redis at REDIS_URL' }
    : await start(startRedis({ dataDirectory: `${dataDirectory}redis`, persist: true }));

  const port = process.env.PORT ?? '3000';
  const config = loadConfig({
    HOST: '127.0.0.1',
    PUBLIC_URL: `http://localhost:${port}`,
    LOG_LEVEL: 'warn',
    WEBHOOK_ALLOW_PRIVATE: 'true',
    ...(await ownSecrets()),
    ...process.env,
    PORT: port,
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
  });
  await migrate(config.databaseUrl);
  await start(startService(config));

  const [secret = ''] = config.jwtSecrets;
  const tokenFor = (scope: string, sub: string) =>
    new SignJWT({ shop: shopId, scope, sub })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuedAt()
      .setExpirationTime(tokenLifetime)
      .sign(new TextEncoder().encode(secret));
  const shopUrl = `http://localhost:${shopPort}`;
  const ownerToken = await tokenFor('shop:write catalogue:read', 'demo-owner');
  await setUpDemoShop(config.publicUrl, ownerToken, shopId, shopUrl);
  await start(
    startDemoShop({
      port: shopPort,
      host: '127.0.0.1',
      apiUrl: config.publicUrl,
      shopId,
      redeemToken: await tokenFor('confirmations:redeem', 'demo-shop'),
      ordersToken: await tokenFor('orders:write baskets:read', 'demo-payments'),
      catalogueToken: await tokenFor('catalogue:read', 'demo-shop'),
    }),
  );
  const backEndToken = await tokenFor('baskets:read baskets:write catalogue:read customers:login', 'demo-back-end');
  const startLink = await createDemoBasket(config.publicUrl, backEndToken, shopUrl);

  const tour = [
    `export API=${config.publicUrl}`,
    `export TOKEN=${backEndToken}`,
    `export SHOP_TOKEN=${await tokenFor('confirmations:redeem orders:write baskets:read', 'demo-shop')}`,
    `export OWNER_TOKEN=${ownerToken}`,
  ];
  await writeFile(`${dataDirectory}tour.env`, `${tour.join('\n')}\n`, { mode: 0o600 });
  process.stdout.write(`
  basketlink   ${config.publicUrl}
  demo shop    ${shopUrl}
  ${postgres.description}
  ${redis.description}

  For curl:    source .data/tour.env

  Two seats and a programme are held for ten minutes. Click to take them over:

  ${startLink}

  Ctrl-C stops everything.
`);
}

/** Secrets made on the first run and kept, so that links and tokens survive a restart. */
async function ownSecrets(): Promise<Record<string, string>> {
  const path = `${dataDirectory}secrets.json`;
  if (existsSync(path)) return JSON.parse(await readFile(path, 'utf8')) as Record<string, string>;
  const random = () => randomBytes(32).toString('base64url');
  const secrets = { JWT_SECRET: random(), LINK_KEYS: `dev:${random()}`, DATA_KEYS: `dev:${random()}` };
  await writeFile(path, JSON.stringify(secrets, null, 2), { mode: 0o600 });
  return secrets;
}

main().catch((error: unknown) => {
  process.stderr.write(`${startProblem(error)}\n`);
  // Through the signal, so that whatever was started is stopped in order.
  process.exitCode = 1;
  process.kill(process.pid, 'SIGTERM');
});
