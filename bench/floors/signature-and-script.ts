import { type Static, Type } from '@sinclair/typebox';
import { linkedIds } from '../scenarios/catalogue.ts';
import { defineScript, startFloor } from './floor.ts';
import { verifiedId } from './signature.ts';

/* A click that is one signature to verify, one script in Redis, and a redirect. */

const params = Type.Object({ token: Type.String() });

await startFloor(async ({ app, redis }) => {
  const stateOf = defineScript(redis, 'stateOf', 1, `return redis.call('HGET', KEYS[1], ARGV[1])`);
  await redis.hset('floor:states', Object.fromEntries(linkedIds.map((id) => [id, 'open'])));
  app.get<{ Params: Static<typeof params> }>('/b/:token', { schema: { params } }, async (request, reply) => {
    const id = verifiedId(request.params.token);
    if (id === null || (await stateOf('floor:states', id)) !== 'open') return reply.code(410).send();
    return reply.redirect(`https://tickets.roxy.example/basket/confirm?token=${id}`, 302);
  });
});
