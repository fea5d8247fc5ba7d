import { type Static, Type } from '@sinclair/typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import type { HoldMetrics } from '../holds/index.ts';
import { callerOfRequest, shopCaller } from '../http/access.ts';
import type { Api } from '../http/api.ts';
import { makeCursor, readCursor } from '../http/cursor.ts';
import { idempotencyKeyOf, idempotencyKeysOf } from '../http/idempotency.ts';
import type { CountAsCalls, CountCodeTries } from '../http/limits.ts';
import { noteRefusal, problemBody, RefusalError, schemaRefusal, sendProblem } from '../http/problems.ts';
import {
  Id,
  mergePatchOf,
  Nullable,
  OneOf,
  pageParameters,
  problemResponses,
  Shared,
  strict,
  Time,
} from '../http/schema.ts';
import type { Keyring } from '../platform/crypto.ts';
import { mergePatch } from '../shops/index.ts';
import { applyCode, removeCode } from './apply.ts';
import { createBaskets } from './batch.ts';
import { type Answered, type BasketCaller, type Conditions, cancelBasket, getBasket, patchBasket } from './change.ts';
import { type CreateDeps, type Created, createBasket } from './create.ts';
import { editBasket, extendBasket } from './edit.ts';
import {
  type Basket,
  BasketAnswer,
  BatchAnswer,
  CampaignAnswer,
  CodeBody,
  CreateBasketBody,
  type CreateBasketRequest,
  CreateBasketsBody,
  codeParams,
  LineBody,
  PatchableBasket,
  QuantityBody,
  RecreatedBasket,
} from './model.ts';
import { recreateBasket } from './recreate.ts';
import { countCampaign, listBaskets } from './store.ts';
import { readTimeline, Timeline } from './timeline.ts';
import { showBasket, type Viewer } from './view.ts';

/** What the basket routes need beside what creation does. */
export type BasketRouteDeps = CreateDeps & {
  metrics: HoldMetrics;
  cursorKeys: Keyring;
  countCodeTries: CountCodeTries;
  /** The start link of a basket, signed with this key. */
  startLink: (basket: Basket, linkKid: string) => Promise<string>;
  countAsCalls: CountAsCalls;
  /** The token of a basket's session, and how long it works. */
  sessionOf: (basket: Basket) => Promise<{ token: string; expiresAt: Date }>;
};

export const basketParams = Type.Object({ id: Id });
const campaignParams = Type.Object({ campaign: Id });
const lineParams = Type.Object({ id: Id, lineId: Id });
const batchBodyBytes = 1024 * 1024;
/** One object for all requests: what is compiled for it is found again by it. */
const entryOfBatch = Shared(CreateBasketBody);
export const basketRefusals = problemResponses(400, 401, 403, 404, 409, 410, 412, 422, 429, 503);

/** Who calls a basket route: a back end with a shop, or a session. */
function basketCaller(request: FastifyRequest): BasketCaller {
  const caller = callerOfRequest(request);
  return caller.kind === 'session' ? caller : shopCaller(request);
}

/** As whom a caller sees a basket. */
function viewerOf(caller: BasketCaller): Viewer {
  return caller.kind === 'session' ? 'session' : 'backEnd';
}

/**
 * Handles a request that changes the basket in its path: `change` gets the caller and the conditions of the request's
 * headers, `show` makes the body of the answer.
 */
export async function answerChange(
  request: FastifyRequest,
  reply: FastifyReply,
  change: (caller: BasketCaller, basketId: string, conditions: Conditions) => Promise<Answered | Refusal>,
  show: (shown: BasketAnswer, result: Answered) => unknown,
): Promise<FastifyReply> {
  const caller = basketCaller(request);
  const { id: basketId } = request.params as Static<typeof basketParams>;
  const key = idempotencyKeyOf(request, caller);
  if (isRefusal(key)) throw new RefusalError(key);
  const result = await change(caller, basketId, { key, ifMatch: request.headers['if-match'] });
  if (isRefusal(result)) return sendProblem(reply, result);
  const shown = showBasket(result.basket, result.now, viewerOf(caller));
  return basketHeaders(reply, result.basket, result.replayed).send(await show(shown, result));
}

/** Sets the headers of an answer about a basket. */
export function basketHeaders(reply: FastifyReply, basket: Basket, replayed: boolean): FastifyReply {
  if (replayed) reply.header('idempotent-replayed', 'true');
  return reply.header('etag', `"${basket.version}"`);
}

/** A created basket as its creator is shown it. */
async function showCreated(
  { startLink }: Pick<BasketRouteDeps, 'startLink'>,
  { basket, answer }: Created,
): Promise<BasketAnswer> {
  const shown = showBasket(basket, basket.createdAt, 'backEnd');
  return answer.linkKid === null ? shown : { ...shown, startBasketUrl: await startLink(basket, answer.linkKid) };
}

/** Whether the basket in the path exists for the caller, for a 404 in place of a 400. */
export function basketExists(pool: pg.Pool): (request: FastifyRequest) => Promise<boolean> {
  return async (request) => {
    const { id: basketId } = request.params as Static<typeof basketParams>;
    return !isRefusal(await getBasket(pool, basketCaller(request), basketId));
  };
}

/** What the campaign in the path has come to, as far as the caller may know of it. */
function campaignOf(pool: pg.Pool, request: FastifyRequest): Promise<Static<typeof CampaignAnswer>> {
  const { shopId, partner } = shopCaller(request);
  const { campaign } = request.params as Static<typeof campaignParams>;
  return countCampaign(pool, shopId, partner, campaign);
}

/** Whether the line in the path exists for the caller. */
function lineExists(pool: pg.Pool): (request: FastifyRequest) => Promise<boolean> {
  return async (request) => {
    const { id: basketId, lineId } = request.params as Static<typeof lineParams>;
    const found = await getBasket(pool, basketCaller(request), basketId);
    return !isRefusal(found) && found.basket.lines.some((line) => line.lineId === lineId);
  };
}

/**
 * `POST` and `GET /v1/baskets`, `POST /v1/baskets/batch`, `GET` and `PATCH /v1/baskets/{id}`, `GET …/timeline`,
 * `POST …/lines`, `PATCH` and `DELETE …/lines/{lineId}`, `POST …/codes`, `DELETE …/codes/{type}/{code}`,
 * `POST …/extend`, `POST …/cancel`, `POST …/recreate`, and `GET /v1/campaigns/{campaign}`.
 */
export function basketRoutes(app: Api, deps: BasketRouteDeps): void {
  app.addSchema(CreateBasketBody);
  app.addSchema(BasketAnswer);
  app.addSchema(Timeline);
  app.addSchema(RecreatedBasket);

  app.post(
    '/v1/baskets',
    {
      config: { access: { scopes: ['baskets:write'] } },
      schema: {
        tags: ['Baskets'],
        summary: 'Create a basket and hold its stock',
        operationId: 'createBasket',
        body: Shared(CreateBasketBody),
        response: { 201: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    async (request, reply) => {
      const caller = shopCaller(request);
      const key = idempotencyKeyOf(request, caller);
      if (isRefusal(key)) return sendProblem(reply, key);
      const created = await createBasket(deps, caller, request.body, key, () => deps.countCodeTries(request, null));
      if (isRefusal(created)) return sendProblem(reply, created);
      const { basket, replayed } = created;
      return basketHeaders(reply, basket, replayed)
        .code(201)
        .header('location', `/v1/baskets/${basket.basketId}`)
        .send(await showCreated(deps, created));
    },
  );

  app.post(
    '/v1/baskets/batch',
    {
      bodyLimit: batchBodyBytes,
      config: { access: { scopes: ['baskets:write'] }, batchOf: 'baskets' },
      schema: {
        tags: ['Baskets'],
        summary: 'Create up to 500 baskets, each on its own',
        operationId: 'createBaskets',
        body: CreateBasketsBody,
        response: { 200: BatchAnswer, ...basketRefusals },
      },
    },
    async (request, reply) => {
      const caller = shopCaller(request);
      const { baskets } = request.body;
      const keys = idempotencyKeysOf(request, caller);
      if (isRefusal(keys)) return sendProblem(reply, keys);
      await deps.countAsCalls(request, reply, baskets.length);
      const check = request.compileValidationSchema(entryOfBatch);
      const entries = baskets.map((entry) =>
        check(entry) ? (entry as CreateBasketRequest) : schemaRefusal(check.errors?.[0], 'body'),
      );
      const countTries = () => deps.countCodeTries(request, null);
      const created = await createBaskets(deps, caller, entries, keys, countTries, (error) =>
        request.log.error({ err: error }, 'an entry of a batch failed'),
      );
      const results = await Promise.all(
        created.map(async (one) => {
          if (!isRefusal(one)) return { status: 201, basket: await showCreated(deps, one) };
          noteRefusal(reply, one.refused);
          const problem = problemBody(one, app.publicUrl, request.id);
          return { status: problem.status, problem };
        }),
      );
      if (created.every((one) => !isRefusal(one) && one.replayed)) reply.header('idempotent-replayed', 'true');
      return reply.send({ results });
    },
  );

  app.get(
    '/v1/baskets',
    {
      config: { access: { scopes: ['baskets:read'] } },
      schema: {
        tags: ['Baskets'],
        summary: 'List baskets',
        operationId: 'listBaskets',
        querystring: Type.Object(
          {
            customerId: Type.Optional(Id),
            status: Type.Optional(OneOf('open', 'activated', 'checkout', 'completed', 'expired', 'cancelled')),
            reference: Type.Optional(Id),
            orderId: Type.Optional(Id),
            campaign: Type.Optional(Id),
            updatedAfter: Type.Optional(Time),
            ...pageParameters,
          },
          strict,
        ),
        response: {
          200: Type.Object({ data: Type.Array(Shared(BasketAnswer)), nextCursor: Nullable(Type.String()) }),
          ...basketRefusals,
        },
      },
    },
    async (request, reply) => {
      const { shopId, partner } = shopCaller(request);
      const { limit, cursor, ...wanted } = request.query;
      const list = ['baskets', shopId, partner ?? '', JSON.stringify(wanted)];
      const position = cursor === undefined ? [] : readCursor(deps.cursorKeys, list, cursor);
      if (isRefusal(position)) return sendProblem(reply, position);
      const filter = {
        partner,
        customerId: wanted.customerId ?? null,
        status: wanted.status ?? null,
        reference: wanted.reference ?? null,
        orderId: wanted.orderId ?? null,
        campaign: wanted.campaign ?? null,
        updatedAfter: wanted.updatedAfter ?? null,
      };
      const found = await listBaskets(deps.pool, shopId, filter, position[0] ?? null, limit + 1);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return reply.send({
        data: page.map(({ basket, now }) => showBasket(basket, now, 'backEnd')),
        nextCursor: last ? makeCursor(deps.cursorKeys, list, [last.basket.basketId]) : null,
      });
    },
  );

  app.get(
    '/v1/campaigns/:campaign',
    {
      config: {
        access: { scopes: ['baskets:read'] },
        exists: async (request) => (await campaignOf(deps.pool, request)).created > 0,
      },
      schema: {
        tags: ['Baskets'],
        summary: 'Count what the baskets of a campaign have come to',
        operationId: 'getCampaign',
        params: campaignParams,
        response: { 200: CampaignAnswer, ...basketRefusals },
      },
    },
    async (request, reply) => {
      const counts = await campaignOf(deps.pool, request);
      return counts.created === 0 ? sendProblem(reply, refuse('not_found')) : reply.send(counts);
    },
  );

  app.get(
    '/v1/baskets/:id',
    {
      config: { access: { scopes: ['baskets:read'], session: true }, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Read a basket',
        operationId: 'getBasket',
        params: basketParams,
        response: { 200: Shared(BasketAnswer), 304: Type.Null(), ...basketRefusals },
      },
    },
    async (request, reply) => {
      const caller = basketCaller(request);
      const found = await getBasket(deps.pool, caller, request.params.id);
      if (isRefusal(found)) return sendProblem(reply, found);
      const { basket, now } = found;
      basketHeaders(reply, basket, false);
      const known = request.headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
      if (known?.some((tag) => tag === `"${basket.version}"` || tag === '*')) return reply.code(304).send(null);
      return reply.send(showBasket(basket, now, viewerOf(caller)));
    },
  );

  app.get(
    '/v1/baskets/:id/timeline',
    {
      config: { access: { scopes: ['baskets:read'] }, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Read what happened to a basket and when',
        operationId: 'getTimeline',
        params: basketParams,
        response: { 200: Shared(Timeline), ...basketRefusals },
      },
    },
    async (request, reply) => {
      const timeline = await readTimeline(deps.pool, shopCaller(request), request.params.id);
      return isRefusal(timeline) ? sendProblem(reply, timeline) : reply.send(timeline);
    },
  );

  app.patch(
    '/v1/baskets/:id',
    {
      config: { access: { scopes: ['baskets:write'] }, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Change what was said of a basket',
        operationId: 'patchBasket',
        params: basketParams,
        body: mergePatchOf(PatchableBasket),
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) => {
      const check = request.compileValidationSchema(PatchableBasket);
      return answerChange(
        request,
        reply,
        (_caller, basketId, conditions) =>
          patchBasket(deps, shopCaller(request), basketId, conditions, (before) => {
            const known = Object.keys(PatchableBasket.properties);
            const patchable = Object.fromEntries(Object.entries(before).filter(([name]) => known.includes(name)));
            const merged = mergePatch(patchable, request.body);
            return check(merged) ? (merged as typeof before) : schemaRefusal(check.errors?.[0], 'body');
          }),
        (shown) => shown,
      );
    },
  );

  const editing = { scopes: ['baskets:write'], session: true } as const;

  app.post(
    '/v1/baskets/:id/lines',
    {
      config: { access: editing, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Add to a basket',
        operationId: 'addLine',
        params: basketParams,
        body: LineBody,
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => editBasket(deps, caller, basketId, conditions, { add: request.body }),
        (shown) => shown,
      ),
  );

  app.patch(
    '/v1/baskets/:id/lines/:lineId',
    {
      config: { access: editing, exists: lineExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Change the quantity of a line',
        operationId: 'changeLine',
        params: lineParams,
        body: QuantityBody,
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) =>
          editBasket(deps, caller, basketId, conditions, {
            lineId: request.params.lineId,
            quantity: request.body.quantity,
          }),
        (shown) => shown,
      ),
  );

  app.delete(
    '/v1/baskets/:id/lines/:lineId',
    {
      config: { access: editing, exists: lineExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Take a line out of a basket',
        operationId: 'removeLine',
        params: lineParams,
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) =>
          editBasket(deps, caller, basketId, conditions, { lineId: request.params.lineId, quantity: 0 }),
        (shown) => shown,
      ),
  );

  app.post(
    '/v1/baskets/:id/codes',
    {
      config: { access: editing, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Apply a code to a basket',
        operationId: 'applyCode',
        params: basketParams,
        body: CodeBody,
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        async (caller, basketId, conditions) => {
          const tries = await deps.countCodeTries(request, basketId);
          return applyCode(deps, caller, basketId, conditions, request.body, tries);
        },
        (shown) => shown,
      ),
  );

  app.delete(
    '/v1/baskets/:id/codes/:type/:code',
    {
      config: { access: editing, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Take a code away from a basket',
        operationId: 'removeCode',
        params: codeParams,
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => removeCode(deps, caller, basketId, conditions, request.params),
        (shown) => shown,
      ),
  );

  app.post(
    '/v1/baskets/:id/extend',
    {
      config: { access: editing, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Give a basket more time',
        operationId: 'extendBasket',
        params: basketParams,
        body: Type.Object({}, strict),
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => extendBasket(deps, caller, basketId, conditions),
        (shown) => shown,
      ),
  );

  app.post(
    '/v1/baskets/:id/recreate',
    {
      config: { access: editing, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Make a new basket of one that has expired or was cancelled',
        operationId: 'recreateBasket',
        params: basketParams,
        body: Type.Object({}, strict),
        response: { 201: Shared(RecreatedBasket), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => recreateBasket(deps, caller, basketId, conditions),
        async (shown, { basket, answer }) => {
          reply.code(201).header('location', `/v1/baskets/${basket.basketId}`);
          const forSession = callerOfRequest(request).kind === 'session' && basket.sessionId !== null;
          if (!forSession) return { ...shown, ...answer };
          const { token, expiresAt } = await deps.sessionOf(basket);
          return { ...shown, ...answer, session: { token, expiresAt: expiresAt.toISOString() } };
        },
      ),
  );

  app.post(
    '/v1/baskets/:id/cancel',
    {
      config: { access: { scopes: ['baskets:write'] }, exists: basketExists(deps.pool) },
      schema: {
        tags: ['Baskets'],
        summary: 'Cancel a basket and give its hold back now',
        operationId: 'cancelBasket',
        params: basketParams,
        body: Type.Object({}, strict),
        response: { 200: Shared(BasketAnswer), ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => cancelBasket(deps, caller, basketId, conditions),
        (shown) => shown,
      ),
  );
}
