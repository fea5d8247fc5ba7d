import { randomUUID } from 'node:crypto';
import { type Static, Type } from '@sinclair/typebox';
import { CreateBody, openAdmission } from './admission.ts';
import { startFloor } from './floor.ts';

/* A creation that is one script in Redis, and then one row in Postgres in a transaction of its own. */

const insert = {
  name: 'insert',
  text: 'INSERT INTO floor_baskets (id, lines) VALUES ($1, $2)',
};

await startFloor(async ({ app, pool, redis }) => {
  await pool.query(
    'CREATE TABLE floor_baskets (id uuid PRIMARY KEY, lines json NOT NULL, created_at timestamptz NOT NULL DEFAULT now())',
  );
  const admit = await openAdmission(redis);
  const response = { 201: Type.Object({ id: Type.String() }), 409: Type.Object({ code: Type.String() }) };
  app.post<{ Body: Static<typeof CreateBody> }>(
    '/v1/baskets',
    { schema: { body: CreateBody, response } },
    async (request, reply) => {
      const id = randomUUID();
      const { items } = request.body;
      if (!(await admit(id, items))) return reply.code(409).send({ code: 'insufficient_stock' });
      await pool.query({ ...insert, values: [id, JSON.stringify(items)] });
      return reply.code(201).send({ id });
    },
  );
});
