import { type Static, Type } from '@sinclair/typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { shopCaller } from '../http/access.ts';
import type { Api } from '../http/api.ts';
import { makeCursor, readCursor } from '../http/cursor.ts';
import { idempotencyKeyOf } from '../http/idempotency.ts';
import { schemaRefusal, sendProblem } from '../http/problems.ts';
import { Id, mergePatchOf, pageParameters, problemResponses, Shared, strict } from '../http/schema.ts';
import type { Keyring } from '../platform/crypto.ts';
import { mergePatch } from '../shops/index.ts';
import { adjustItem, adjustPool } from './adjust.ts';
import { type CatalogueDeps, changeEvent, changeItems, changePool } from './changes.ts';
import { codeRoutes } from './codes/routes.ts';
import { giftCardRoutes } from './gift-cards/routes.ts';
import {
  AdjustmentBody,
  BulkItemsAnswer,
  BulkItemsBody,
  EventAnswer,
  EventBody,
  type Item,
  ItemAnswer,
  ItemBody,
  ItemPage,
  PoolAnswer,
  PoolBody,
  type ShopEvent,
  toEventAnswer,
  toItemAnswer,
  toPoolAnswer,
  type WrittenEvent,
  type WrittenItem,
} from './model.ts';
import { listItems, readEvents, readItems, readPools } from './store.ts';

const writing = { scopes: ['shop:write'] } as const;
const reading = { scopes: ['catalogue:read', 'baskets:write', 'shop:write'] } as const;
const bulkBodyBytes = 1024 * 1024;

/** The routes of events, items, pools, codes and gift cards. */
export function catalogueRoutes(app: Api, deps: CatalogueDeps & { cursorKeys: Keyring; cardKeys: Keyring }): void {
  const { pool, stock } = deps;
  for (const schema of [EventAnswer, ItemAnswer, PoolAnswer]) app.addSchema(schema);
  const refusals = problemResponses(400, 401, 403, 404, 409, 422);

  const eventParams = Type.Object({ eventId: Id });
  const eventSchema = {
    tags: ['Catalogue'],
    params: eventParams,
    response: { 200: Shared(EventAnswer), ...refusals },
  };
  const eventExists = async (request: FastifyRequest) => {
    const { eventId } = request.params as Static<typeof eventParams>;
    return (await readEvents(pool, shopCaller(request).shopId, [eventId])).has(eventId);
  };
  app.put(
    '/v1/events/:eventId',
    {
      config: { access: writing },
      schema: { ...eventSchema, summary: 'Create or replace an event', operationId: 'putEvent', body: EventBody },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const written = request.body;
      const changed = await changeEvent(deps, shopId, request.params.eventId, () => toEventChange(written));
      return isRefusal(changed) ? sendProblem(reply, changed) : reply.send(changed.event);
    },
  );
  app.patch(
    '/v1/events/:eventId',
    {
      config: { access: writing, exists: eventExists },
      schema: { ...eventSchema, summary: 'Change an event', operationId: 'patchEvent', body: mergePatchOf(EventBody) },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const check = request.compileValidationSchema(EventBody);
      const changed = await changeEvent(deps, shopId, request.params.eventId, (before) => {
        if (before === null) return refuse('not_found');
        const { name, status } = before;
        const written = { name, status, startsAt: before.startsAt?.toISOString() ?? null };
        const merged = mergePatch(written, request.body);
        if (!check(merged)) return schemaRefusal(check.errors?.[0], 'body');
        return toEventChange(merged as WrittenEvent);
      });
      return isRefusal(changed) ? sendProblem(reply, changed) : reply.send(changed.event);
    },
  );
  app.get(
    '/v1/events/:eventId',
    {
      config: { access: reading, exists: eventExists },
      schema: { ...eventSchema, summary: 'Read an event', operationId: 'getEvent' },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const { eventId } = request.params;
      const event = (await readEvents(pool, shopId, [eventId])).get(eventId);
      return event ? reply.send(toEventAnswer(event)) : sendProblem(reply, refuse('not_found'));
    },
  );
  app.post(
    '/v1/events/:eventId/cancel',
    {
      config: { access: writing, exists: eventExists },
      schema: {
        ...eventSchema,
        summary: 'Cancel an event and its live baskets',
        operationId: 'cancelEvent',
        body: Type.Object({}, strict),
      },
    },
    async (request, reply) => {
      const caller = shopCaller(request);
      const key = idempotencyKeyOf(request, caller);
      if (isRefusal(key)) return sendProblem(reply, key);
      const cancel = (before: ShopEvent | null) =>
        before === null ? refuse('not_found') : { ...before, status: 'cancelled' as const };
      const cancelled = await changeEvent(deps, caller.shopId, request.params.eventId, cancel, key);
      if (isRefusal(cancelled)) return sendProblem(reply, cancelled);
      if (cancelled.replayed) reply.header('idempotent-replayed', 'true');
      return reply.send(cancelled.event);
    },
  );

  async function itemAnswers(shopId: string, items: Item[]): Promise<ItemAnswer[]> {
    const availability = await stock.availability(
      pool,
      shopId,
      items.map(({ stockId }) => stockId),
    );
    return items.map((item) => toItemAnswer(item, availability.get(item.stockId)));
  }
  async function answerOf(shopId: string, itemId: string): Promise<ItemAnswer | Refusal> {
    const item = (await readItems(pool, shopId, [itemId])).get(itemId);
    const [answer] = item ? await itemAnswers(shopId, [item]) : [];
    return answer ?? refuse('not_found');
  }

  const itemParams = Type.Object({ itemId: Id });
  const itemSchema = {
    tags: ['Catalogue'],
    params: itemParams,
    response: { 200: Shared(ItemAnswer), ...refusals },
  };
  const itemExists = async (request: FastifyRequest) => {
    const { itemId } = request.params as Static<typeof itemParams>;
    return (await readItems(pool, shopCaller(request).shopId, [itemId])).has(itemId);
  };
  app.put(
    '/v1/items/:itemId',
    {
      config: { access: writing },
      schema: { ...itemSchema, summary: 'Create or replace an item', operationId: 'putItem', body: ItemBody },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const { itemId } = request.params;
      const written = request.body;
      const refusal = await changeItems(deps, shopId, [itemId], () => new Map([[itemId, written]]));
      const answer = refusal ?? (await answerOf(shopId, itemId));
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.patch(
    '/v1/items/:itemId',
    {
      config: { access: writing, exists: itemExists },
      schema: { ...itemSchema, summary: 'Change an item', operationId: 'patchItem', body: mergePatchOf(ItemBody) },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const { itemId } = request.params;
      const check = request.compileValidationSchema(ItemBody);
      const known = Object.keys(ItemBody.properties);
      const refusal = await changeItems(deps, shopId, [itemId], (before) => {
        const item = before.get(itemId);
        if (item === undefined) return refuse('not_found');
        const written = Object.fromEntries(Object.entries(item).filter(([name]) => known.includes(name)));
        const merged = mergePatch(written, request.body);
        if (!check(merged)) return schemaRefusal(check.errors?.[0], 'body');
        return new Map([[itemId, merged as WrittenItem]]);
      });
      const answer = refusal ?? (await answerOf(shopId, itemId));
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.get(
    '/v1/items/:itemId',
    {
      config: { access: reading, exists: itemExists },
      schema: { ...itemSchema, summary: 'Read an item', operationId: 'getItem' },
    },
    async (request, reply) => {
      const answer = await answerOf(shopCaller(request).shopId, request.params.itemId);
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.post(
    '/v1/items/:itemId/adjustments',
    {
      config: { access: writing, exists: itemExists },
      schema: {
        ...itemSchema,
        summary: 'Change the capacity of an item by so many units',
        operationId: 'adjustItem',
        body: AdjustmentBody,
      },
    },
    (request, reply) => answerAdjustment(request, reply, deps, adjustItem, request.params.itemId, request.body),
  );
  app.put(
    '/v1/items',
    {
      bodyLimit: bulkBodyBytes,
      config: { access: writing },
      schema: {
        tags: ['Catalogue'],
        summary: 'Create or replace up to 1,000 items, all or none',
        operationId: 'putItems',
        body: BulkItemsBody,
        response: { 200: BulkItemsAnswer, ...refusals },
      },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const items = new Map(request.body.items.map(({ itemId, ...item }) => [itemId, item]));
      if (items.size < request.body.items.length) {
        const errors = [{ pointer: '/items', detail: 'names an item twice' }];
        return sendProblem(
          reply,
          refuse('invalid_request', { detail: '/items names an item twice.', extensions: { errors } }),
        );
      }
      const refusal = await changeItems(deps, shopId, [...items.keys()], () => items);
      if (refusal) return sendProblem(reply, refusal);
      const read = await readItems(pool, shopId, [...items.keys()]);
      const inOrder = [...items.keys()].flatMap((itemId) => read.get(itemId) ?? []);
      return reply.send({ items: await itemAnswers(shopId, inOrder) });
    },
  );
  app.get(
    '/v1/items',
    {
      config: { access: reading },
      schema: {
        tags: ['Catalogue'],
        summary: 'List items',
        operationId: 'listItems',
        querystring: Type.Object({ eventId: Type.Optional(Id), ...pageParameters }, strict),
        response: { 200: ItemPage, ...refusals },
      },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const { eventId = null, limit, cursor } = request.query;
      const list = ['items', shopId, eventId ?? ''];
      const position = cursor === undefined ? [] : readCursor(deps.cursorKeys, list, cursor);
      if (isRefusal(position)) return sendProblem(reply, position);
      const [createdAt, itemId] = position;
      const after = createdAt !== undefined && itemId !== undefined ? { createdAt, itemId } : null;
      const items = await listItems(pool, shopId, eventId, after, limit + 1);
      const page = items.slice(0, limit);
      const last = items.length > limit ? page.at(-1) : undefined;
      return reply.send({
        data: await itemAnswers(shopId, page),
        nextCursor: last ? makeCursor(deps.cursorKeys, list, [last.createdAt.toISOString(), last.itemId]) : null,
      });
    },
  );

  const poolParams = Type.Object({ poolId: Id });
  const poolSchema = {
    tags: ['Catalogue'],
    params: poolParams,
    response: { 200: Shared(PoolAnswer), ...refusals },
  };
  async function poolAnswerOf(shopId: string, poolId: string): Promise<PoolAnswer | Refusal> {
    const stockId = `pool:${poolId}`;
    const found = (await readPools(pool, shopId, [poolId])).get(poolId);
    const availability = (await stock.availability(pool, shopId, [stockId])).get(stockId);
    return found ? toPoolAnswer(found, availability) : refuse('not_found');
  }
  const poolExists = async (request: FastifyRequest) => {
    const { poolId } = request.params as Static<typeof poolParams>;
    return (await readPools(pool, shopCaller(request).shopId, [poolId])).has(poolId);
  };
  app.put(
    '/v1/pools/:poolId',
    {
      config: { access: writing },
      schema: { ...poolSchema, summary: 'Create or replace a pool', operationId: 'putPool', body: PoolBody },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const { poolId } = request.params;
      const refusal = await changePool(deps, shopId, poolId, request.body);
      const answer = refusal ?? (await poolAnswerOf(shopId, poolId));
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.get(
    '/v1/pools/:poolId',
    {
      config: { access: reading, exists: poolExists },
      schema: { ...poolSchema, summary: 'Read a pool', operationId: 'getPool' },
    },
    async (request, reply) => {
      const answer = await poolAnswerOf(shopCaller(request).shopId, request.params.poolId);
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.post(
    '/v1/pools/:poolId/adjustments',
    {
      config: { access: writing, exists: poolExists },
      schema: {
        ...poolSchema,
        summary: 'Change the capacity of a pool by so many units',
        operationId: 'adjustPool',
        body: AdjustmentBody,
      },
    },
    (request, reply) => answerAdjustment(request, reply, deps, adjustPool, request.params.poolId, request.body),
  );
  codeRoutes(app, deps);
  giftCardRoutes(app, deps);
}

/** Adjusts the capacity of what the path names and answers with it, as it is afterwards. */
async function answerAdjustment(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: CatalogueDeps,
  adjust: typeof adjustItem | typeof adjustPool,
  id: string,
  written: Static<typeof AdjustmentBody>,
): Promise<FastifyReply> {
  const caller = shopCaller(request);
  const key = idempotencyKeyOf(request, caller);
  if (isRefusal(key)) return sendProblem(reply, key);
  const adjusted = await adjust(deps, caller.shopId, id, { ...written, madeBy: caller.subject }, key);
  if (isRefusal(adjusted)) return sendProblem(reply, adjusted);
  if (adjusted.replayed) reply.header('idempotent-replayed', 'true');
  return reply.send(adjusted.answer);
}

function toEventChange(written: WrittenEvent) {
  const { name, startsAt, status } = written;
  return { name, status, startsAt: startsAt === null ? null : new Date(startsAt) };
}
