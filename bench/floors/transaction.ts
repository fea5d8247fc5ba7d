import { type Static, Type } from '@sinclair/typebox';
import { startFloor } from './floor.ts';

/* A completion that is one transaction of two statements: a basket changes its state, and an order is written. */

const complete = {
  name: 'complete',
  text: `UPDATE floor_baskets SET status = 'completed' WHERE id = $1 AND status = 'activated'`,
};
const insert = { name: 'insert', text: 'INSERT INTO floor_orders (id, basket_id) VALUES ($1, $2)' };

const params = Type.Object({ id: Type.String() });
const body = Type.Object({ orderId: Type.String() });

await startFloor(async ({ app, pool }) => {
  await pool.query('CREATE TABLE floor_baskets (id text PRIMARY KEY, status text NOT NULL)');
  await pool.query('CREATE TABLE floor_orders (id text PRIMARY KEY, basket_id text NOT NULL)');
  const response = { 200: Type.Object({ orderId: Type.String() }), 409: Type.Object({ code: Type.String() }) };
  app.post<{ Params: Static<typeof params>; Body: Static<typeof body> }>(
    '/v1/baskets/:id/complete',
    { schema: { params, body, response } },
    async (request, reply) => {
      const { id } = request.params;
      const { orderId } = request.body;
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        const { rowCount } = await client.query({ ...complete, values: [id] });
        if (rowCount === 1) await client.query({ ...insert, values: [orderId, id] });
        await client.query(rowCount === 1 ? 'COMMIT' : 'ROLLBACK');
        return rowCount === 1 ? { orderId } : reply.code(409).send({ code: 'basket_not_live' });
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    },
  );
});
