import { randomUUID } from 'node:crypto';
import { type Static, Type } from '@sinclair/typebox';
import { CreateBody, openAdmission } from './admission.ts';
import { startFloor } from './floor.ts';

/* A creation that is one script in Redis and nothing else. */

await startFloor(async ({ app, redis }) => {
  const admit = await openAdmission(redis);
  const response = { 201: Type.Object({ id: Type.String() }), 409: Type.Object({ code: Type.String() }) };
  app.post<{ Body: Static<typeof CreateBody> }>(
    '/v1/baskets',
    { schema: { body: CreateBody, response } },
    async (request, reply) => {
      const id = randomUUID();
      const admitted = await admit(id, request.body.items);
      return admitted ? reply.code(201).send({ id }) : reply.code(409).send({ code: 'insufficient_stock' });
    },
  );
});
