import type { Load } from '../generators/generator.ts';
import { basketOf, randomIds, sameIds, soldOutIds } from './catalogue.ts';
import { manyConnections, type Scenario } from './scenario.ts';
import type { Shop } from './shop.ts';

/** So many that no item is in step with the connections. */
const spread = Array.from({ length: 5000 }, randomIds);

function creation(baskets: readonly (readonly string[])[], expected: number, keyed: boolean) {
  return async ({ headers }: Shop): Promise<Load> => ({
    requests: baskets.map((ids) => ({ method: 'POST', path: '/v1/baskets', body: basketOf(ids) })),
    headers,
    keyed,
    once: false,
    expected,
  });
}

/** Creates baskets of three lines each, spread over all items, with idempotency keys. */
export const createSpread = creation(spread, 201, true);

/** The floor gets the very same requests. */
const both = (load: Scenario['ours']) => ({ ours: load, floors: load });

export const creations: readonly Scenario[] = [
  {
    name: 'create-spread',
    does: 'create a basket of three lines, spread over 1,000 items, with an idempotency key',
    floor: 'script-and-insert',
    connections: manyConnections,
    goal: { of: 'requests a second', atLeast: 1.2 },
    ...both(createSpread),
  },
  {
    name: 'create-same',
    does: 'the same where all want the same three items',
    floor: 'script-and-insert',
    connections: manyConnections,
    goal: { of: 'requests a second', atLeast: 1.2 },
    ...both(creation([sameIds], 201, true)),
  },
  {
    name: 'create-alone',
    does: 'create a basket of three lines, over one connection',
    floor: 'script-and-insert',
    connections: 1,
    goal: { of: 'p50', atMost: 1.3 },
    ...both(createSpread),
  },
  {
    name: 'sold-out',
    does: 'refuse a basket of three items that are sold out',
    floor: 'script',
    connections: manyConnections,
    goal: { of: 'requests a second', atLeast: 0.8 },
    ...both(creation([soldOutIds], 409, false)),
  },
  {
    name: 'sold-out-keyed',
    does: 'the same with an idempotency key, which is looked up',
    floor: 'script',
    connections: manyConnections,
    goal: null,
    ...both(creation([soldOutIds], 409, true)),
  },
];
