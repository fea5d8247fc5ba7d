import { isDeepStrictEqual } from 'node:util';
import { type Answer, type Model, shownBy, take } from './model.ts';
import type { Step } from './steps.ts';

/** A call that was made: when it was sent and when it was answered, on one clock, and how. */
export type Act = { step: Step; sentMs: number; answeredMs: number; answer: Answer };

/**
 * Whether some order of the calls explains what happened: one in which each is answered as the model says, none comes
 * before another that was answered before it was sent, and which ends in what is shown. The search for linearizability
 * of Wing and Gong, "Testing and Verifying Concurrent Objects" (1993). `lanes` are the calls of each caller in turn.
 */
export function isExplained(model: Model, lanes: readonly (readonly Act[])[], shown: unknown): boolean {
  const heads = lanes.flatMap(([head]) => head ?? []);
  if (heads.length === 0) return isDeepStrictEqual(shownBy(model), shown);
  const firstAnsweredMs = Math.min(...heads.map(({ answeredMs }) => answeredMs));
  return lanes.some(([head, ...later], lane) => {
    if (head === undefined || head.sentMs > firstAnsweredMs) return false;
    const next = structuredClone(model);
    if (!changesNothing(head) && take(next, head.step) !== head.answer) return false;
    return isExplained(next, lanes.with(lane, later), shown);
  });
}

/**
 * Answers that the model does not give: the sweeper leaves alone what somebody is working on, and of two clicks at once
 * the later one's session is the valid one, whichever is redeemed first.
 */
function changesNothing({ step, answer }: Act): boolean {
  return (step.call === 'sweep' && answer === 'not_due') || answer === 'confirmation_used';
}
