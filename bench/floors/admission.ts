import { type Static, Type } from '@sinclair/typebox';
import type { Redis } from 'ioredis';
import { itemIds, soldOutIds } from '../scenarios/catalogue.ts';
import { defineScript } from './floor.ts';

/** The body of a creation, as far as the floors read it. */
export const CreateBody = Type.Object({
  items: Type.Array(Type.Object({ itemId: Type.String(), quantity: Type.Integer({ minimum: 1 }) }), { minItems: 1 }),
});

const enough = 1_000_000_000;
const holdMs = 3_600_000;

// Takes all or nothing, and notes until when.
const admit = `
local ids = {}
for i = 3, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
local left = redis.call('HMGET', KEYS[1], unpack(ids))
for i = 1, #ids do
  if tonumber(left[i] or 0) < tonumber(ARGV[2 * i + 2]) then
    return 0
  end
end
for i = 1, #ids do
  redis.call('HINCRBY', KEYS[1], ids[i], -ARGV[2 * i + 2])
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1`;

/** Loads the stock into Redis and gives the admission: whether all lines of a basket could be taken. */
export async function openAdmission(
  redis: Redis,
): Promise<(id: string, items: Static<typeof CreateBody>['items']) => Promise<boolean>> {
  const run = defineScript(redis, 'admit', 2, admit);
  await redis.hset('floor:stock', Object.fromEntries(itemIds.map((itemId) => [itemId, enough])));
  await redis.hset('floor:stock', Object.fromEntries(soldOutIds.map((itemId) => [itemId, 0])));
  return async (id, items) => {
    const takes = items.flatMap(({ itemId, quantity }) => [itemId, quantity]);
    return (await run('floor:stock', 'floor:deadlines', id, Date.now() + holdMs, ...takes)) === 1;
  };
}
