import formbody from '@fastify/formbody';
import fastify, { type FastifyError, type FastifyRequest } from 'fastify';
import { createBasketlinkApi } from './api.ts';
import { sendPage } from './layout.ts';
import { shopProblemPage } from './pages.ts';
import { registerRoutes } from './routes.ts';
import { script } from './script.ts';
import { createSessions } from './sessions.ts';
import { stylesheet } from './stylesheet.ts';

/**
 * Starts the front end of a small ticket shop, a server of its own that knows basketlink only by its public HTTP API.
 * `apiUrl` is the origin of that API; `redeemToken` is a bearer with `confirmations:redeem`, `ordersToken` one with
 * `orders:write` and `baskets:read`, `catalogueToken` one with `catalogue:read`, all for the shop `shopId`, whose links lead
 * here: `confirmUrl` is `{url}/basket/confirm`, `basketUrl` `{url}/basket`, `errorUrl` `{url}/basket/problem`. With `port` 0
 * any free port is taken. `stop` cuts off whoever is connected. Rejects when the port is taken.
 */
export async function startDemoShop({
  port,
  host,
  apiUrl,
  shopId,
  redeemToken,
  ordersToken,
  catalogueToken,
}: {
  port: number;
  host: string;
  apiUrl: string;
  shopId: string;
  redeemToken: string;
  ordersToken: string;
  catalogueToken: string;
}): Promise<{ url: string; stop: () => Promise<void> }> {
  const sessions = createSessions(shopId);
  const app = fastify({
    // Nothing below a failure: a line for every request would carry the confirmation token of its address.
    logger: { level: 'error' },
    // HEAD would run the GET handler, and with it spend a confirmation token.
    exposeHeadRoutes: false,
    // Browsers open connections in advance, and Node would wait for each of them to say something.
    forceCloseConnections: true,
  });
  await app.register(formbody);

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // Not no-referrer: with that, browsers send the forms of these pages with `Origin: null`.
      'referrer-policy': 'same-origin',
    });
    if (request.method === 'POST' && !isSameOrigin(request)) {
      const page = shopProblemPage('Please start from our own pages', 'That form came from somewhere else.');
      return sendPage(reply, sessions.find(request.headers.cookie), page, 403);
    }
  });

  app.setNotFoundHandler((request, reply) => {
    const page = shopProblemPage('There is nothing here', 'The address may be incomplete, or the page has moved.');
    return sendPage(reply, sessions.find(request.headers.cookie), page, 404);
  });

  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const session = sessions.find(request.headers.cookie);
    const status = error.statusCode ?? 500;
    if (status < 500) {
      const page = shopProblemPage(
        'We did not understand that',
        'Something in the address or the form is missing or odd.',
      );
      return sendPage(reply, session, page, status);
    }
    request.log.error(error);
    return sendPage(reply, session, shopProblemPage('Something broke', 'It is our fault. Please try again.'), 500);
  });

  app.get('/roxy.css', async (_request, reply) => reply.type('text/css; charset=utf-8').send(stylesheet));
  app.get('/roxy.js', async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(script));
  registerRoutes(app, { api: createBasketlinkApi({ apiUrl, redeemToken, ordersToken, catalogueToken }), sessions });

  const url = await app.listen({ port, host });
  return { url, stop: () => app.close() };
}

// The cookie is sent with forms of other sites on the same host too, for which any port counts as the same site.
function isSameOrigin({ headers }: FastifyRequest): boolean {
  const fetchSite = headers['sec-fetch-site'];
  return fetchSite === undefined ? headers.origin === `http://${headers.host}` : fetchSite === 'same-origin';
}
