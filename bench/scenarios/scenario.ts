import type pg from 'pg';
import type { Load } from '../generators/generator.ts';
import type { Shop } from './shop.ts';

/** The programs in `floors/`. */
export type FloorName = 'script' | 'script-and-insert' | 'transaction' | 'signature-and-script';

/**
 * What the ratio of the service to its floor shall be: of requests a second at least, or of the median latency at most.
 */
type Goal = ({ of: 'requests a second' } & AtLeast) | ({ of: 'p50' } & AtMost);

type AtLeast = { atLeast: number };
type AtMost = { atMost: number };

/** What a figure shall be. */
export type Limit = AtLeast | AtMost;

/** A load on the service, and the load on the floor that it is compared with. */
export type Scenario = {
  name: string;
  /** In a few words, for the table of results. */
  does: string;
  floor: FloorName;
  connections: number;
  /** Null where only the figures are wanted. */
  goal: Goal | null;
  /** The load on the service. `count` is how many requests to make where each can be sent only once. */
  ours: (shop: Shop, count: number) => Promise<Load>;
  /** The load on the floor, whose tables are in `database`. */
  floors: (shop: Shop, count: number, database: pg.Client) => Promise<Load>;
};

/** How many connections a load comes over, unless it is about a single one. */
export const manyConnections = 64;
