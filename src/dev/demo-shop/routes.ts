import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { confirmHandler } from '../../client/shop.ts';
import { type BasketlinkApi, codeTypes, type Problem } from './api.ts';
import { pageAnswer, sendPage } from './layout.ts';
import * as pages from './pages.ts';
import type { Sessions, ShopSession } from './sessions.ts';

const Optional = Type.Optional(Type.String());

// Ids of customers as the API takes them.
const CustomerId = Type.String({ pattern: '^[A-Za-z0-9_.:-]{1,128}$' });

/** The shop's pages and forms. Every form is a POST that ends in a redirect, so that reloading repeats nothing. */
export function registerRoutes(
  instance: FastifyInstance,
  { api, sessions }: { api: BasketlinkApi; sessions: Sessions },
): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();

  app.get('/', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    return sendPage(reply, session, pages.homePage(session));
  });

  const signInBody = Type.Object({
    customerId: CustomerId,
    next: Type.Union([Type.Literal('/'), Type.Literal('/basket')]),
  });
  app.post('/sign-in', { schema: { body: signInBody } }, async (request, reply) => {
    const { customerId, next } = request.body;
    const session = sessions.find(request.headers.cookie);
    return reply.header('set-cookie', sessions.start({ ...session, customerId })).redirect(next, 303);
  });

  app.post('/sign-out', async (request, reply) => {
    // The basket goes too: whoever uses this browser next must not find it.
    const { staff } = sessions.find(request.headers.cookie);
    sessions.end(request.headers.cookie);
    const signedOut = { customerId: null, staff, basket: null, payment: null };
    return reply.header('set-cookie', sessions.start(signedOut)).redirect('/', 303);
  });

  const boxOfficeBody = Type.Object({ staff: Type.Union([Type.Literal('on'), Type.Literal('off')]) });
  app.post('/box-office', { schema: { body: boxOfficeBody } }, async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    const staff = request.body.staff === 'on';
    return reply.header('set-cookie', sessions.start({ ...session, staff })).redirect('/', 303);
  });

  const confirm = confirmHandler({
    client: api.redeemer,
    visitorOf: ({ headers }) => {
      const { customerId, staff, basket } = sessions.find(headers.get('cookie'));
      return {
        customerId,
        context: staff ? 'box_office' : 'customer',
        currentBasketId: basket?.id ?? null,
        sessionToken: basket?.sessionToken ?? null,
      };
    },
    logIn: ({ basket, customer, session: { token } }, { headers }) => {
      const session = sessions.find(headers.get('cookie'));
      const customerId = customer.login === 'auto' ? customer.id : session.customerId;
      const signInRequired = customer.registered && customer.login === 'signIn';
      const held = { id: basket.id, sessionToken: token, signInRequired };
      return { 'set-cookie': sessions.start({ ...session, customerId, basket: held, payment: null }) };
    },
    refused: (problem, { headers }) => problemAnswer(sessions.find(headers.get('cookie')), problem),
  });
  app.get('/basket/confirm', async ({ url, headers }, reply) => {
    const sent = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
    return reply.send(await confirm(new Request(new URL(url, `http://${headers.host}`), { headers: sent })));
  });

  app.get('/basket', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return sendPage(reply, session, pages.noBasketPage());
    const [basket, items] = await Promise.all([api.readBasket(session.basket), api.listItems()]);
    // The session token outlives the basket by a day; after that there is nothing to see here any more.
    if (basket.error && [401, 404].includes(basket.error.status)) {
      return sendPage(reply, session, pages.noBasketPage());
    }
    if (basket.error) return sendProblem(reply, session, basket.error);
    // What else could be bought is no reason to withhold the basket.
    return sendPage(reply, session, pages.basketPage(basket.data, items.data?.data ?? [], session));
  });

  const problemQuery = Type.Object({ error: Optional, basket_id: Optional });
  app.get('/basket/problem', { schema: { querystring: problemQuery } }, async (request, reply) => {
    const { error = '', basket_id: basketId = '' } = request.query;
    return sendPage(reply, sessions.find(request.headers.cookie), pages.linkProblemPage(error, basketId));
  });

  const newLineBody = Type.Object({ itemId: Type.String() });
  app.post('/basket/lines', { schema: { body: newLineBody } }, async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const added = await api.addLine(session.basket, request.body.itemId);
    return added.error ? sendProblem(reply, session, added.error) : reply.redirect('/basket', 303);
  });

  const lineParams = Type.Object({ lineId: Type.String() });
  const lineBody = Type.Object({
    quantity: Type.Integer({ minimum: 0, maximum: 10_000 }),
    remove: Type.Optional(Type.Literal('yes')),
  });
  app.post('/basket/lines/:lineId', { schema: { params: lineParams, body: lineBody } }, async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const { quantity, remove } = request.body;
    const wanted = remove === undefined ? quantity : 0;
    const changed = await api.changeLine(session.basket, request.params.lineId, wanted);
    return changed.error ? sendProblem(reply, session, changed.error) : reply.redirect('/basket', 303);
  });

  const codeBody = Type.Object({
    type: Type.Union(codeTypes.map((type) => Type.Literal(type))),
    code: Type.String(),
    remove: Type.Optional(Type.Literal('yes')),
  });
  app.post('/basket/codes', { schema: { body: codeBody } }, async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const { type, code, remove } = request.body;
    const changed = await (remove === undefined ? api.applyCode : api.removeCode)(session.basket, type, code.trim());
    return changed.error ? sendProblem(reply, session, changed.error) : reply.redirect('/basket', 303);
  });

  app.post('/basket/extend', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const extended = await api.extend(session.basket);
    return extended.error ? sendProblem(reply, session, extended.error) : reply.redirect('/basket', 303);
  });

  app.post('/basket/again', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const made = await api.recreate(session.basket);
    // The second half of a double click finds the new basket.
    if (made.error?.code === 'not_recreatable') return reply.redirect('/basket', 303);
    if (made.error) return sendProblem(reply, session, made.error);
    const { id, session: basketSession, unavailable } = made.data;
    if (basketSession === undefined) throw new Error('who asked by a session was given none');
    session.basket = { ...session.basket, id, sessionToken: basketSession.token };
    session.payment = null;
    if (unavailable.length === 0) return reply.redirect('/basket', 303);
    const items = await api.listItems();
    return sendPage(reply, session, pages.notAllLeftPage(unavailable, items.data?.data ?? []));
  });

  app.post('/basket/leave', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    const basket = session.basket && (await api.readBasket(session.basket));
    // A session may not end its basket: the tickets go back on sale when their time is over.
    session.basket = null;
    session.payment = null;
    return reply.redirect(basket?.data?.cancelRedirectUrl ?? '/', 303);
  });

  app.post('/basket/pay', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const started = await api.startCheckout(session.basket, session.customerId);
    if (started.error?.code === 'customer_mismatch') {
      return sendPage(reply, session, pages.signInToPayPage(), started.error.status);
    }
    if (started.error) return sendProblem(reply, session, started.error);
    const { basket, leaseId, leaseExpiresAt, amountDue } = started.data;
    session.payment = {
      leaseId,
      leaseExpiresAt,
      endsAtMs: Date.now() + Date.parse(leaseExpiresAt) - Date.parse(basket.serverTime),
      // One lease, one order: pressing Pay again, here or on the payment page, can only ever pay the same order.
      orderId: session.payment?.leaseId === leaseId ? session.payment.orderId : `order-${randomUUID()}`,
      amountDueMinor: amountDue,
      currency: basket.currency,
    };
    return reply.redirect('/pay', 303);
  });

  app.get('/pay', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.payment) return reply.redirect('/basket', 303);
    return sendPage(reply, session, pages.paymentPage(session.payment));
  });

  app.post('/pay', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket || !session.payment) return reply.redirect('/basket', 303);
    const completed = await api.complete(session.basket.id, session.payment, session.customerId);
    if (completed.error) return sendProblem(reply, session, completed.error);
    // The payment stays: the second half of a double click then gets the same answer and ends on the same page.
    return reply.redirect(completed.data.redirectUrl, 303);
  });

  app.get('/pay/late', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.payment) return reply.redirect('/basket', 303);
    return sendPage(reply, session, pages.latePaymentPage(session.payment));
  });

  // Money that arrives when the time is over: until then it is on its way.
  app.post('/pay/late', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket || !session.payment) return reply.redirect('/basket', 303);
    const basket = await api.readBasket(session.basket);
    if (basket.error) return sendProblem(reply, session, basket.error);
    if (basket.data.status === 'checkout') return reply.redirect('/pay/late', 303);
    const completed = await api.complete(session.basket.id, session.payment, session.customerId);
    return completed.error
      ? sendProblem(reply, session, completed.error)
      : reply.redirect(completed.data.redirectUrl, 303);
  });

  app.post('/pay/fail', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket || !session.payment) return reply.redirect('/basket', 303);
    const failed = await api.failCheckout(session.basket.id, session.payment, session.customerId);
    if (failed.error) return sendProblem(reply, session, failed.error);
    session.payment = null;
    return reply.redirect(failed.data.redirectUrl, 303);
  });

  app.post('/pay/back', async (request, reply) => {
    const session = sessions.find(request.headers.cookie);
    if (!session.basket) return reply.redirect('/basket', 303);
    const left = await api.leaveCheckout(session.basket);
    if (left.error) return sendProblem(reply, session, left.error);
    session.payment = null;
    return reply.redirect(left.data.redirectUrl, 303);
  });

  const thankYouQuery = Type.Object({ order_id: Optional, customer_id: Optional });
  app.get('/thank-you', { schema: { querystring: thankYouQuery } }, async (request, reply) => {
    // Anybody can write these parameters: only what the basket of this browser confirms is shown.
    const { order_id: orderId, customer_id: customerId } = request.query;
    const session = sessions.find(request.headers.cookie);
    const basket = session.basket && (await api.readBasket(session.basket));
    if (basket?.error && basket.error.status >= 500) return sendProblem(reply, session, basket.error);
    if (!orderId || basket?.data?.status !== 'completed' || basket.data.orderId !== orderId) {
      return sendPage(reply, session, pages.unknownOrderPage(), 404);
    }
    const confirmed = customerId !== undefined && customerId === basket.data.customer?.id ? customerId : null;
    return sendPage(reply, session, pages.thankYouPage(orderId, confirmed));
  });

  app.get('/payment-failed', async (request, reply) =>
    sendPage(reply, sessions.find(request.headers.cookie), pages.paymentFailedPage()),
  );
}

function sendProblem(reply: FastifyReply, session: ShopSession, problem: Problem): FastifyReply {
  return reply.send(problemAnswer(session, problem));
}

function problemAnswer(session: ShopSession, problem: Problem): Response {
  // A credential that the API does not take is the shop's fault, not the customer's.
  const status = problem.status === 401 || problem.status >= 500 ? 502 : problem.status;
  return pageAnswer(session, pages.apiProblemPage(problem), status);
}
