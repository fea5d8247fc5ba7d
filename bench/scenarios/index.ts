import { creations } from './create.ts';
import { handOvers } from './hand-over.ts';
import type { Scenario } from './scenario.ts';

/** All scenarios, in the order of the table of results. */
export const scenarios: readonly Scenario[] = [...creations, ...handOvers];
