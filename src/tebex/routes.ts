import type { Static, TSchema } from '@sinclair/typebox';
import type { FastifyError, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { type Basket, LineBody, PatchableBasket, RevenueShare } from '../baskets/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import type { ApiCaller } from '../http/access.ts';
import type { Api } from '../http/api.ts';
import { idempotencyKeyOf } from '../http/idempotency.ts';
import { RefusalError, refusalBehind, schemaRefusal, sendProblem } from '../http/problems.ts';
import { listProviders } from './authorization/providers.ts';
import {
  addPackage,
  applyStorefrontCode,
  type Check,
  codeKinds,
  createStorefrontBasket,
  type Done,
  findStorefrontBasket,
  removePackage,
  removeStorefrontCode,
  type StorefrontDeps,
  setQuantity,
  showStorefrontBasket,
} from './baskets.ts';
import { renderWebstore } from './catalogue/render.ts';
import { type CatalogueDeps, getCategory, getPackage, listCategories, listPackages } from './catalogue/show.ts';
import { type DynamicDeps, putDynamicPackages } from './dynamic/put.ts';
import { type Fields, fieldsOf, flagIn, textIn } from './fields.ts';
import type { Storefront, StorefrontBasket } from './model.ts';
import { showPayment } from './payment.ts';
import { tebexProblem } from './problems.ts';

const account = '/api/accounts/:publicToken';
/** Every basket is there in the account of its web store, and by its ident alone. */
const basketPaths = [`${account}/baskets/:ident`, '/api/baskets/:ident'];

const preflightHeaders = {
  'access-control-allow-methods': 'GET, POST, PUT, PATCH',
  // Authorization is not among what the asterisk stands for.
  'access-control-allow-headers': '*, Authorization',
  'access-control-max-age': '7200',
};

/**
 * The web store in Tebex' words, over the same baskets: `/api/accounts/{publicToken}/…` and `/api/baskets/{ident}/…`, with
 * and without a slash at the end. Tebex' own document describes them, so ours does not.
 */
export function tebexRoutes(app: Api, deps: StorefrontDeps & CatalogueDeps & DynamicDeps): void {
  app.register(async (store) => {
    store.setErrorHandler(async (error: FastifyError, request, reply) => {
      const refusal = await refusalBehind(error, request);
      return sendProblem(reply, refusal, tebexProblem(refusal, store.publicUrl, request.id));
    });
    store.addHook('onSend', async (_request, reply) => {
      reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', '*');
      reply.header('cache-control', 'no-store');
    });
    const preflighted = new Set<string>();

    function route(
      method: HTTPMethods,
      path: string,
      answer: (request: FastifyRequest, reply: FastifyReply) => unknown,
    ) {
      for (const url of [path, `${path}/`]) {
        const handler = async (request: FastifyRequest, reply: FastifyReply) => orThrow(await answer(request, reply));
        store.route({ method, url, config: { storefront: true }, schema: { hide: true }, handler });
        if (preflighted.has(url)) continue;
        preflighted.add(url);
        store.options(url, { schema: { hide: true } }, (_request, reply) =>
          reply.code(204).headers(preflightHeaders).send(),
        );
      }
    }

    /** A route of the web store that the path names. */
    function onStore(
      method: HTTPMethods,
      path: string,
      answer: (storefront: Storefront, request: FastifyRequest, reply: FastifyReply) => unknown,
    ) {
      route(method, account + path, async (request, reply) => answer(await storefrontOf(request), request, reply));
    }

    /** A route of the basket that the path names, in both families of paths. */
    function onBasket(
      method: HTTPMethods,
      path: string,
      answer: (at: StorefrontBasket, request: FastifyRequest, reply: FastifyReply) => unknown,
    ) {
      for (const base of basketPaths) {
        route(method, base + path, async (request, reply) => answer(await basketOf(request), request, reply));
      }
    }

    async function storefrontOf(request: FastifyRequest): Promise<Storefront> {
      const shop = await deps.shops.byPublicToken(param(request, 'publicToken'));
      if (!shop?.tebex.enabled) throw new RefusalError(refuse('webstore_not_found'));
      const caller = backEndOf(request);
      if (caller !== null && caller.shopId !== shop.shopId) throw new RefusalError(refuse('unauthorized'));
      return { shop, caller };
    }

    async function basketOf(request: FastifyRequest): Promise<StorefrontBasket> {
      const storefront = param(request, 'publicToken') === '' ? null : await storefrontOf(request);
      const found = await findStorefrontBasket(deps, storefront, param(request, 'ident'), backEndOf(request));
      return orThrow(found);
    }

    async function sendBasket(reply: FastifyReply, done: Done | Refusal) {
      const { replayed, ...at } = orThrow(done);
      if (replayed) reply.header('idempotent-replayed', 'true');
      return { data: await showStorefrontBasket(deps, at) };
    }

    /** The basket that a question about the catalogue is asked for, or null. */
    async function basketAskedFor(request: FastifyRequest, storefront: Storefront): Promise<Basket | null> {
      const ident = orThrow(textIn(fieldsIn(request.query), 'basketIdent'));
      if (ident === null) return null;
      return orThrow(await findStorefrontBasket(deps, storefront, ident, storefront.caller)).basket;
    }
    const categoryOptions = ({ query }: FastifyRequest) => ({
      includePackages: orThrow(flagIn(fieldsIn(query), 'includePackages')) === true,
    });

    onStore('POST', '/baskets', async (storefront, request, reply) => {
      const fields = { ...fieldsIn(request.query), ...fieldsIn(request.body) };
      // Strangers share the scope of a key: nobody must be given the basket of another.
      const key = storefront.caller === null ? null : keyOf(request, storefront);
      const checks = { details: checkOf(request, PatchableBasket), share: checkOf(request, RevenueShare) };
      return sendBasket(reply, await createStorefrontBasket(deps, storefront, fields, request.ip, checks, key));
    });
    onBasket('GET', '', async (at) => ({ data: await showStorefrontBasket(deps, at) }));
    onBasket('GET', '/auth', (at, request) => listProviders(deps, at, fieldsIn(request.query)));
    onBasket('POST', '/packages', async (at, request, reply) => {
      const check = checkOf(request, LineBody);
      return sendBasket(reply, await addPackage(deps, at, fieldsIn(request.body), check, keyOf(request, at)));
    });
    onBasket('POST', '/packages/remove', async (at, request, reply) =>
      sendBasket(reply, await removePackage(deps, at, fieldsIn(request.body), keyOf(request, at))),
    );
    onBasket('PUT', '/packages/:package_id', async (at, request, reply) => {
      const fields = { ...fieldsIn(request.body), package_id: param(request, 'package_id') };
      return sendBasket(reply, await setQuantity(deps, at, fields));
    });
    for (const kind of Object.keys(codeKinds) as (keyof typeof codeKinds)[]) {
      onBasket('POST', `/${kind}`, async (at, request) => {
        const tries = await deps.countCodeTries(request, at.basket.basketId);
        return applyStorefrontCode(deps, at, kind, fieldsIn(request.body), tries, keyOf(request, at));
      });
      onBasket('POST', `/${kind}/remove`, (at, request) =>
        removeStorefrontCode(deps, at, kind, fieldsIn(request.body), keyOf(request, at)),
      );
    }
    route('GET', '/api/payments/:secret', (request) => showPayment(deps, param(request, 'secret')));

    onStore('GET', '', ({ shop }) => ({ data: renderWebstore(shop) }));
    onStore('GET', '/pages', () => ({ data: [] }));
    onStore('GET', '/sidebar', () => ({ data: [] }));
    onStore('GET', '/packages', async (storefront, request) => {
      const basket = await basketAskedFor(request, storefront);
      return { data: await listPackages(deps, storefront, basket) };
    });
    onStore('GET', '/packages/:package', async (storefront, request) => {
      const basket = await basketAskedFor(request, storefront);
      return { data: orThrow(await getPackage(deps, storefront, basket, param(request, 'package'))) };
    });
    onStore('GET', '/categories', async (storefront, request) => {
      const basket = await basketAskedFor(request, storefront);
      return { data: await listCategories(deps, storefront, basket, categoryOptions(request)) };
    });
    onStore('GET', '/categories/:category', async (storefront, request) => {
      const basket = await basketAskedFor(request, storefront);
      const category = param(request, 'category');
      return { data: orThrow(await getCategory(deps, storefront, basket, categoryOptions(request), category)) };
    });
    onBasket('PUT', '/dynamic-packages', (at, request) => putDynamicPackages(deps, at, fieldsIn(request.body)));
    onStore('PATCH', '/tiers/:tier', () => refuse('not_supported'));
  });
}

/** The back end that calls, or null for anybody. */
function backEndOf({ caller }: FastifyRequest): ApiCaller | null {
  return caller?.kind === 'api' ? caller : null;
}

function keyOf(request: FastifyRequest, { shop, caller }: Storefront) {
  const anybody = { kind: 'api', partner: null, scopes: new Set<string>(), subject: '' } as const;
  return orThrow(idempotencyKeyOf(request, { ...(caller ?? anybody), shopId: shop.shopId }));
}

/** A parameter of the path; empty where the path has none of this name. */
function param({ params }: FastifyRequest, name: string): string {
  return (params as Record<string, string>)[name] ?? '';
}

function fieldsIn(written: unknown): Fields {
  return orThrow(fieldsOf(written));
}

function checkOf<T extends TSchema>(request: FastifyRequest, schema: T): Check<Static<T>> {
  const check = request.compileValidationSchema(schema);
  return (value) => (check(value) ? (value as Static<T>) : schemaRefusal(check.errors?.[0], 'body'));
}

function orThrow<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new RefusalError(value);
  return value;
}
