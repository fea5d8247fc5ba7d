import fastify from 'fastify';
import { GET as confirm } from './shop-front-end.ts';

/** The shop's server; `origin` is where customers reach it. */
export function openShopServer(origin: string) {
  const app = fastify();
  app.get('/basket/confirm', { exposeHeadRoute: false }, async ({ url, headers }, reply) => {
    const sent = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
    return reply.send(await confirm(new Request(new URL(url, origin), { headers: sent })));
  });
  return app;
}
