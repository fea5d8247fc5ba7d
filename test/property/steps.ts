import fc from 'fast-check';
import { type ItemName, items } from './model.ts';

const customers = ['anna', 'ben'] as const;
type Customer = (typeof customers)[number] | null;

/**
 * One call, or what time does. `basket` names a basket by how many were created after it, counted round and round, so
 * that a step still means something when an earlier one is taken away.
 */
export type Step =
  | { call: 'create'; lines: { item: ItemName; quantity: number }[]; customer: Customer }
  | { call: 'activate'; basket: number; link: 'first' | 'newest'; signedInAs: Customer }
  | { call: 'checkout'; basket: number; customer: Customer }
  | { call: 'back' | 'cancel' | 'expire' | 'sweep' | 'mint' | 'revoke' | 'extend'; basket: number }
  | { call: 'fail'; basket: number; lease: 'first' | 'newest' | null }
  | {
      call: 'complete';
      basket: number;
      order: 'own' | 'second' | 'shared';
      amount: 'right' | 'wrong' | null;
      lease: 'first' | 'newest' | null;
    }
  | { call: 'add'; basket: number; item: ItemName; quantity: number }
  | { call: 'setQuantity'; basket: number; line: number; quantity: number }
  | { call: 'patch'; basket: number; customer: Customer }
  | { call: 'cancelEvent'; event: 'concert' | 'festival' };

const basket = fc.nat({ max: 2 });
const customer = fc.constantFrom<Customer>(null, null, ...customers);

const item = fc.constantFrom(...(Object.keys(items) as ItemName[]));
const lease = fc.constantFrom(null, 'newest', 'first');

/** Every kind of step, as often as makes a run go far: most baskets are activated, few events cancelled. */
const weighted: { [Call in Step['call']]: { weight: number; arbitrary: fc.Arbitrary<Step & { call: Call }> } } = {
  create: {
    weight: 10,
    arbitrary: fc.record({
      call: fc.constant('create'),
      lines: fc.uniqueArray(
        fc.record({
          item,
          quantity: fc.integer({ min: 1, max: 2 }),
        }),
        { minLength: 1, maxLength: 2, selector: ({ item }) => item },
      ),
      customer,
    }),
  },
  activate: {
    weight: 16,
    arbitrary: fc.record({
      call: fc.constant('activate'),
      basket,
      link: fc.constantFrom('newest', 'newest', 'newest', 'first'),
      signedInAs: customer,
    }),
  },
  checkout: { weight: 12, arbitrary: fc.record({ call: fc.constant('checkout'), basket, customer }) },
  complete: {
    weight: 10,
    arbitrary: fc.record({
      call: fc.constant('complete'),
      basket,
      order: fc.constantFrom('own', 'own', 'second', 'shared'),
      amount: fc.constantFrom(null, 'right', 'right', 'wrong'),
      lease,
    }),
  },
  add: {
    weight: 5,
    arbitrary: fc.record({ call: fc.constant('add'), basket, item, quantity: fc.integer({ min: 1, max: 2 }) }),
  },
  setQuantity: {
    weight: 5,
    arbitrary: fc.record({
      call: fc.constant('setQuantity'),
      basket,
      line: fc.nat({ max: 2 }),
      quantity: fc.integer({ min: 0, max: 3 }),
    }),
  },
  extend: { weight: 3, arbitrary: fc.record({ call: fc.constant('extend'), basket }) },
  fail: {
    weight: 6,
    arbitrary: fc.record({
      call: fc.constant('fail'),
      basket,
      lease,
    }),
  },
  back: { weight: 5, arbitrary: fc.record({ call: fc.constant('back'), basket }) },
  cancel: { weight: 4, arbitrary: fc.record({ call: fc.constant('cancel'), basket }) },
  expire: { weight: 4, arbitrary: fc.record({ call: fc.constant('expire'), basket }) },
  sweep: { weight: 4, arbitrary: fc.record({ call: fc.constant('sweep'), basket }) },
  patch: { weight: 4, arbitrary: fc.record({ call: fc.constant('patch'), basket, customer }) },
  mint: { weight: 4, arbitrary: fc.record({ call: fc.constant('mint'), basket }) },
  revoke: { weight: 4, arbitrary: fc.record({ call: fc.constant('revoke'), basket }) },
  cancelEvent: {
    weight: 1,
    arbitrary: fc.record({ call: fc.constant('cancelEvent'), event: fc.constantFrom('concert', 'festival') }),
  },
};

/** Arbitraries of steps, one for each kind of call that is not left out, weighted by drawing some of them more often. */
export function stepsBut(...leftOut: Step['call'][]): fc.Arbitrary<Step>[] {
  return Object.entries(weighted).flatMap(([call, { weight, arbitrary }]) =>
    leftOut.includes(call as Step['call']) ? [] : Array<fc.Arbitrary<Step>>(weight).fill(arbitrary),
  );
}
