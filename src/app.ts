import type pg from 'pg';
import type { Logger } from 'pino';
import { type Basket, basketRoutes, customerRoutes, type OpeningCounter, showSnapshot } from './baskets/index.ts';
import { catalogueRoutes, openItemCache } from './catalogue/index.ts';
import type { Config } from './config.ts';
import {
  confirmationPurpose,
  handoffRoutes,
  openRedemptionQueue,
  readSession,
  sessionOf,
  sessionPurpose,
  writeConfirmation,
} from './handoff/index.ts';
import { type Admission, endBasketsOfEvent, type Keeper, openCommitQueue, stockKeeper } from './holds/index.ts';
import { bearerAccess } from './http/access.ts';
import type { Api } from './http/api.ts';
import { sessionCors } from './http/cors.ts';
import { docsPage } from './http/docs-page.ts';
import { fingerprintBodies } from './http/idempotency.ts';
import { strictJson } from './http/json.ts';
import { openJwks } from './http/jwks.ts';
import { limits } from './http/limits.ts';
import { openApi } from './http/openapi.ts';
import { shedUnderPressure } from './http/pressure.ts';
import { probes } from './http/probes.ts';
import { methodsNotAllowed, problemHandling } from './http/problems.ts';
import { makeFastify } from './http/requests.ts';
import { traceRequests } from './http/traces.ts';
import { linkKidOf, linkRoutes, openLaravelKeys, startLinkOf, startLinkPurpose } from './links/index.ts';
import type { Metrics } from './metrics.ts';
import { openCompletionQueue, orderRoutes } from './orders/index.ts';
import { openBatchQueue } from './platform/batch-queue.ts';
import type { DatabaseClock } from './platform/clock.ts';
import { deriveKeyring, sealPurpose } from './platform/crypto.ts';
import type { Outbound } from './platform/outbound.ts';
import type { RedisConnection } from './platform/redis.ts';
import type { Tracing } from './platform/tracing.ts';
import {
  apiKeyRoutes,
  frontendOrigins,
  openApiKeyVerifier,
  openShopCache,
  type Shop,
  shopRoutes,
} from './shops/index.ts';
import {
  authorizationRoutes,
  eraseDynamicPackages,
  identPurpose,
  openListingCache,
  paymentPurpose,
  statePurpose,
  tebexRoutes,
} from './tebex/index.ts';
import { changeRoutes, wakeAfterChanges, webhookRoutes } from './webhooks/index.ts';

/** What the process has opened for the app. */
export type Resources = {
  pool: pg.Pool;
  redis: RedisConnection;
  admission: Admission;
  suspect: Keeper['suspect'];
  metrics: Metrics;
  clock: DatabaseClock;
  openings: Pick<OpeningCounter, 'count'>;
  outbound: Outbound;
  /** Says that there may be changes to send to webhooks. */
  wakeRelay: () => void;
  logger: Logger;
  /** Null: there are no traces. */
  tracing: Tracing | null;
  /** From when it listens until it is asked to stop. */
  isServing: () => boolean;
};

/** The table of contents: what every route shares, then the rooms from the bottom up. Opens nothing, listens nowhere. */
export async function buildApp(config: Config, resources: Resources): Promise<Api> {
  const { pool, admission, clock, metrics, tracing } = resources;
  const { publicUrl } = config;
  const startLinkKeys = deriveKeyring(config.linkKeys, startLinkPurpose);
  const confirmationKeys = deriveKeyring(config.linkKeys, confirmationPurpose);
  const sessionKeys = deriveKeyring(config.linkKeys, sessionPurpose);
  const stateKeys = deriveKeyring(config.linkKeys, statePurpose);
  const cursorKeys = deriveKeyring(config.dataKeys, 'cursor');
  const cardKeys = deriveKeyring(config.dataKeys, 'gift card');
  const sealKeys = deriveKeyring(config.dataKeys, sealPurpose);
  const shops = openShopCache(pool);
  const linkKeys = { startLinkKeys, laravelKeys: openLaravelKeys(sealKeys) };
  const apiKeys = openApiKeyVerifier({ pool, shops });
  const items = openItemCache(pool);
  const stock = stockKeeper(pool, admission);
  const openQueue = tracing?.openQueue ?? openBatchQueue;

  const app: Api = makeFastify(config, resources.logger, metrics.requests);
  if (tracing !== null) traceRequests(app, tracing);
  problemHandling(app, publicUrl);
  strictJson(app);
  fingerprintBodies(app, deriveKeyring(config.dataKeys, 'fingerprint'));
  bearerAccess(
    app,
    config,
    config.jwtJwksUrl === null ? null : openJwks(config.jwtJwksUrl, resources.outbound, resources.logger),
    clock,
    async (token) => (await readSession({ shops, sessionKeys }, token)) ?? (await apiKeys.verify(token)),
    async (publicToken, apiKey) => {
      const [shop, caller] = await Promise.all([shops.byPublicToken(publicToken), apiKeys.verify(apiKey)]);
      return shop !== null && caller?.shopId === shop.shopId ? caller : null;
    },
  );
  const { limitInvalidClicks, countCodeTries, countAsCalls } = await limits(app, config, resources.redis.count);
  sessionCors(app, async (shopId) => frontendOrigins(await shops.get(shopId)));
  await shedUnderPressure(app, config);
  await openApi(app);
  await docsPage(app);
  wakeAfterChanges(app, resources.wakeRelay);
  if (config.opsPort === null) probes(app, resources);

  shopRoutes(app, { pool, shops, sealKeys });
  apiKeyRoutes(app, { pool, cursorKeys, sealKeys, apiKeys });
  catalogueRoutes(app, {
    pool,
    cursorKeys,
    cardKeys,
    stock,
    stopEvent: async (shopId, eventId) => void (await admission.stopEvents([{ shopId, eventId }])),
    endBasketsOfEvent: (shopId, eventId) =>
      endBasketsOfEvent({ pool, admission, metrics: metrics.holds }, shopId, eventId),
  });
  const baskets = {
    pool,
    clock,
    shops,
    items,
    admission,
    metrics: metrics.holds,
    linkKid: (shop: Shop) => linkKidOf(linkKeys, shop),
    suspect: resources.suspect,
    commit: openCommitQueue(
      pool,
      admission.sawEpoch,
      { queue: metrics.queueOf('create'), holds: metrics.holds },
      openQueue,
    ),
    countCodeTries,
    cardKeys,
    startLink: (basket: Basket, linkKid: string) => startLinkOf({ ...linkKeys, shops, publicUrl }, basket, linkKid),
  };
  basketRoutes(app, {
    ...baskets,
    cursorKeys,
    countAsCalls,
    sessionOf: (basket) => sessionOf({ shops, sessionKeys }, basket),
  });
  customerRoutes(app, { pool, eraseBeside: eraseDynamicPackages });
  linkRoutes(app, {
    limitInvalidClicks,
    openings: resources.openings,
    metrics: metrics.links,
    pool,
    admission,
    clock,
    shops,
    ...linkKeys,
    publicUrl,
    mintConfirmation: async ({ basketId, linkGeneration }, { shopNumber }) =>
      writeConfirmation(confirmationKeys, { shopNumber, basketId, linkGeneration, issuedAt: await clock.now() }),
  });
  handoffRoutes(app, {
    pool,
    shops,
    admission,
    metrics: metrics.holds,
    confirmationKeys,
    sessionKeys,
    redeemTogether: openRedemptionQueue(pool, metrics.queueOf('redeem'), openQueue),
  });
  orderRoutes(app, {
    pool,
    shops,
    admission,
    metrics: metrics.holds,
    completeTogether: openCompletionQueue(pool, metrics.queueOf('complete'), openQueue),
  });
  webhookRoutes(app, {
    pool,
    cursorKeys,
    sealKeys,
    outbound: resources.outbound,
    allowPrivate: config.webhookAllowPrivate,
    shopExists: async (shopId) => (await shops.get(shopId)) !== null,
  });
  changeRoutes(app, { pool, cursorKeys, renderBasket: showSnapshot });
  authorizationRoutes(app, { pool, shops, stateKeys });
  tebexRoutes(app, {
    ...baskets,
    stock,
    listings: openListingCache(pool, clock),
    publicUrl,
    identKeys: deriveKeyring(config.linkKeys, identPurpose),
    paymentKeys: deriveKeyring(config.linkKeys, paymentPurpose),
    stateKeys,
  });
  methodsNotAllowed(app);
  return app;
}

/** Probes and metrics alone, for a port that nobody publishes. */
export function buildOpsApp(config: Config, resources: Resources): Api {
  const app: Api = makeFastify(config, resources.logger, resources.metrics.requests);
  problemHandling(app, config.publicUrl);
  probes(app, resources);
  methodsNotAllowed(app);
  return app;
}
