import { Type } from '@sinclair/typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  answerChange,
  BasketAnswer,
  basketExists,
  basketParams,
  basketRefusals,
  isSoldOut,
  maskAccount,
  type OpeningCounter,
} from '../baskets/index.ts';
import { type ProblemCode, problems, refuse } from '../errors.ts';
import type { Api } from '../http/api.ts';
import type { LimitInvalidClicks } from '../http/limits.ts';
import { contentSecurityPolicy } from '../http/pages.ts';
import { noteRefusal, sendProblem } from '../http/problems.ts';
import { OneOf, Problem, problemResponses, Shared, strict } from '../http/schema.ts';
import { formatMoney, totalsOf } from '../money/index.ts';
import { frontendOrigins, laravelParameters, type Shop, withParameters } from '../shops/index.ts';
import {
  type Click,
  type ClickDeps,
  type ClickedBasket,
  followLaravelLink,
  followStartLink,
  linkModeOf,
  type RefusedClick,
  readClicked,
} from './click.ts';
import type { LinkMetrics } from './metrics.ts';
import { mintStartLink, revokeStartLinks, startLinkOf } from './mint.ts';
import { continuePage, problemPage } from './page.ts';
import { isCrossSite, openerOf } from './visitor.ts';

/** What the click needs beside following the link. */
export type LinkRouteDeps = ClickDeps & {
  publicUrl: string;
  limitInvalidClicks: LimitInvalidClicks;
  openings: Pick<OpeningCounter, 'count'>;
  metrics: LinkMetrics;
  /** Makes the confirmation token that a person's click hands to the shop front end. */
  mintConfirmation: (click: { basketId: string; linkGeneration: number }, shop: Shop) => Promise<string>;
};

/** `POST` and `DELETE /v1/baskets/{id}/link`, and `GET`, `HEAD` and `POST` of the start link itself. */
export function linkRoutes(app: Api, deps: LinkRouteDeps): void {
  const minting = { access: { scopes: ['baskets:write'] }, exists: basketExists(deps.pool) } as const;
  const shared = {
    tags: ['Baskets'],
    params: basketParams,
    response: { 200: Shared(BasketAnswer), ...basketRefusals },
  };

  app.post(
    '/v1/baskets/:id/link',
    {
      config: minting,
      schema: {
        ...shared,
        summary: 'Mint a new start link; earlier ones stop working',
        operationId: 'mintStartLink',
        body: Type.Object({}, strict),
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => mintStartLink(deps, caller, basketId, conditions),
        async (shown, { basket, answer }) => ({
          ...shown,
          startBasketUrl: await startLinkOf(deps, basket, String(answer.linkKid)),
        }),
      ),
  );

  app.delete(
    '/v1/baskets/:id/link',
    {
      config: minting,
      schema: {
        ...shared,
        summary: 'Revoke all start links, and the session too if asked',
        operationId: 'revokeStartLinks',
        querystring: Type.Object({ sessions: Type.Optional(OneOf('true', 'false')) }, strict),
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) =>
          revokeStartLinks(deps, caller, basketId, conditions, request.query.sessions === 'true'),
        (shown) => shown,
      ),
  );

  app.register(async (scope: Api) => {
    // The page's form has no fields: whatever a browser sends as its body is not read.
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer' }, (_request, _body, done) =>
      done(null, {}),
    );
    const closedPolicy = contentSecurityPolicy({ formActionOrigins: [] });
    scope.addHook('onRequest', (_request, reply, done) => {
      reply
        .header('cache-control', 'no-store')
        .header('x-robots-tag', 'noindex')
        .header('referrer-policy', 'same-origin')
        .header('content-security-policy', closedPolicy);
      done();
    });
    /** Whoever guesses is slowed down. Valid links are never limited: a whole company may share an address. */
    const refuseClick = async (request: FastifyRequest, reply: FastifyReply, click: RefusedClick) => {
      deps.metrics.opened('refused');
      const secondsLeft = click.code === 'link_invalid' ? await deps.limitInvalidClicks(request) : null;
      if (secondsLeft === null) return sendRefusal(request, reply, click);
      return sendRefusal(request, reply.header('retry-after', secondsLeft), { ...click, code: 'rate_limited' });
    };
    const open = async (request: FastifyRequest, reply: FastifyReply, click: Click) => {
      if (click.outcome === 'refused') return refuseClick(request, reply, click);
      const { shop, basketId, said, link, now } = click;
      const { mode, askedFor } = linkModeOf(shop, link);
      const opener = openerOf(request.method, request.headers, mode === 'redirect' && askedFor);
      if (mode === 'redirect' && opener === 'person') {
        deps.openings.count({ shopId: shop.shopId, basketId }, opener, now);
        return sendToShop(request, reply, deps, click);
      }
      // What the page shows is in Postgres alone, and may be newer than what Redis has heard.
      const clicked = await readClicked(deps.pool, shop, said, now);
      if (clicked.outcome === 'refused') return refuseClick(request, reply, clicked);
      const { basket } = clicked;
      deps.openings.count(basket, opener, now);
      deps.metrics.opened('page');
      return reply
        .header('content-security-policy', contentSecurityPolicy({ formActionOrigins: frontendOrigins(shop) }))
        .type('text/html; charset=utf-8')
        .send(continuePageOf(shop, clicked, basket.waiting && (await isSoldOut(deps.pool, basket))));
    };
    const press = async (request: FastifyRequest, reply: FastifyReply, follow: () => Promise<Click>) => {
      if (isCrossSite(request.headers, deps.publicUrl)) {
        deps.metrics.opened('refused');
        return sendRefusal(request, reply, { code: 'cross_site', shop: null, basketId: null });
      }
      const click = await follow();
      if (click.outcome === 'refused') return refuseClick(request, reply, click);
      return sendToShop(request, reply, deps, click);
    };

    const response = clickAnswers();
    const schema = { tags: ['Start link'], params: Type.Object({ token: Type.String() }), response };
    scope.get(
      '/b/:token',
      { schema: { ...schema, summary: 'Open a start link', operationId: 'openStartLink' } },
      async (request, reply) => open(request, reply, await followStartLink(deps, request.params.token)),
    );
    scope.post(
      '/b/:token',
      { schema: { ...schema, summary: 'Press the button of the start link’s page', operationId: 'pressStartLink' } },
      (request, reply) => press(request, reply, () => followStartLink(deps, request.params.token)),
    );

    const laravelSchema = { tags: ['Start link'], params: Type.Object({ basketId: Type.String() }), response };
    // As it was sent: what is signed is every byte of it.
    const urlOf = (request: FastifyRequest) => deps.publicUrl + (request.raw.url ?? '');
    scope.get(
      '/basket/start/:basketId',
      { schema: { ...laravelSchema, summary: 'Open a link in Laravel’s format', operationId: 'openLaravelLink' } },
      async (request, reply) =>
        open(request, reply, await followLaravelLink(deps, request.params.basketId, urlOf(request))),
    );
    scope.post(
      '/basket/start/:basketId',
      { schema: { ...laravelSchema, summary: 'Press the button of its page', operationId: 'pressLaravelLink' } },
      (request, reply) => press(request, reply, () => followLaravelLink(deps, request.params.basketId, urlOf(request))),
    );
  });
}

/** Documents what a click may be answered: browsers get pages, whoever asks for JSON problems. */
function clickAnswers() {
  const page = { 'text/html': { schema: Type.String() } };
  const problem = { 'application/problem+json': { schema: Shared(Problem) } };
  const refused = [403, 409, 410, 429].map((status) => [
    status,
    { description: 'Refused', content: { ...problem, ...page } },
  ]);
  return {
    200: { description: 'The page with the button', content: page },
    303: { description: 'To the shop: with a confirmation token, or to its problem page', type: 'null' },
    ...problemResponses(400, 413, 415, 503),
    ...(Object.fromEntries(refused) as object),
  };
}

/** What a click never passes on: our own. */
const ownParameters = ['token', ...laravelParameters];

async function sendToShop(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: LinkRouteDeps,
  { shop, basketId, link, cold }: Extract<Click, { outcome: 'proven' }>,
): Promise<FastifyReply> {
  deps.metrics.opened(cold ? 'redirected_cold' : 'redirected');
  const url = new URL(shop.frontend.confirmUrl);
  for (const [name, value] of new URL(request.url, deps.publicUrl).searchParams) {
    if (!ownParameters.includes(name) && isPassed(name, shop.link.passParams)) url.searchParams.append(name, value);
  }
  url.searchParams.set('token', await deps.mintConfirmation({ basketId, linkGeneration: link.generation }, shop));
  return reply.header('referrer-policy', 'no-referrer').redirect(url.href, 303);
}

/** Whether a parameter of the click is passed on: by its name, or by a prefix that ends in `*`. */
function isPassed(name: string, passParams: readonly string[]): boolean {
  return passParams.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
}

function continuePageOf(shop: Shop, { basket, events }: ClickedBasket, soldOut: boolean): string {
  const { content } = basket;
  const locale = content.locale ?? shop.locale;
  return continuePage({
    shopName: shop.name,
    locale,
    supportUrl: shop.supportUrl,
    items: basket.lines,
    events,
    heldUntil: basket.waiting ? null : basket.expiresAt,
    soldOut,
    account: maskAccount(content.customer),
    total: formatMoney(totalsOf(basket.lines).total, content.currency, locale),
  });
}

/**
 * A link that cannot be followed: once its signature is proven the customer is sent to the shop's problem page, and
 * whoever asks for JSON gets the problem; an unproven one is told the problem itself, a browser as a page.
 */
function sendRefusal(
  request: FastifyRequest,
  reply: FastifyReply,
  { code, shop, basketId }: { code: ProblemCode; shop: Shop | null; basketId: string | null },
): FastifyReply {
  const accept = request.headers.accept ?? '';
  const wantsJson = accept.includes('json') && !accept.includes('text/html');
  if (shop !== null && !wantsJson) {
    noteRefusal(reply, code);
    const url = withParameters(shop.frontend.errorUrl, { error: code, basket_id: basketId });
    return reply.header('referrer-policy', 'no-referrer').redirect(url, 303);
  }
  if (wantsJson || !accept.includes('text/html')) return sendProblem(reply, refuse(code));
  noteRefusal(reply, code);
  const [locale = 'en'] = (request.headers['accept-language'] ?? 'en').split(/[,;]/);
  return reply
    .code(problems[code].status)
    .type('text/html; charset=utf-8')
    .send(problemPage({ code, locale, shopName: null, supportUrl: null, requestId: request.id }));
}
