import express from 'express';
import { GET as confirm } from './shop-front-end.ts';

/** The shop's server; `origin` is where customers reach it. */
export function openShopApp(origin: string) {
  const app = express();
  // Express has it answer HEAD as well, which the handler refuses by its method.
  app.get('/basket/confirm', async ({ method, url, headers }, response) => {
    const sent = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
    const answer = await confirm(new Request(new URL(url, origin), { method, headers: sent }));
    response
      .status(answer.status)
      .setHeaders(answer.headers)
      .end(await answer.text());
  });
  return app;
}
