import fc from 'fast-check';
import t from 'tap';
import { type Discount, isDue, priceDiscounted } from '../../src/money/discounts.ts';
import { totalsOf } from '../../src/money/pricing.ts';
import { audit } from '../support/audit.ts';
import { activate, type Created, complete, patiently, type ShownProblem } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';
import { trials } from './commands.ts';

/* Random catalogues, codes and cards, and what callers do with them one after the other: what is shown must be what the
 * terms come to, and nothing may be used more often, or spent more than once, than there is. */

type Item = { price: number; taxRate: number };
type Code = Discount & { maxUses: number | null };
type Catalogue = { taxMode: 'exclusive' | 'inclusive'; items: Item[]; codes: Code[]; balances: number[] };
type Step =
  | { do: 'create'; lines: { item: number; quantity: number }[]; codes: number[]; cards: number[] }
  | { do: 'apply' | 'remove'; basket: number; kind: 'code' | 'card'; nth: number }
  | { do: 'quantity'; basket: number; line: number; quantity: number }
  | { do: 'change'; code: number; value: number }
  | { do: 'cancel'; basket: number }
  | { do: 'complete'; basket: number };

type Shown = Created &
  ShownProblem & {
    items: { lineId: string; itemId: string; unitPrice: number; quantity: number; subtotal: number }[];
    totals: { subtotal: number; discount: number; tax: number; total: number; giftCards: number; due: number };
    discountCodes: string[];
    giftCards: { last4: string; applied: number }[];
  };
type Basket = { id: string; link: string; live: boolean; codes: { nth: number; terms: Discount }[]; cards: number[] };

const small = fc.nat({ max: 3 });
const itemsOf = fc.option(fc.uniqueArray(fc.constantFrom('0', '1', '2'), { minLength: 1, maxLength: 2 }));
const terms = { itemIds: itemsOf, minimumSpend: fc.constantFrom(0, 500), maxUses: fc.constantFrom(null, 1, 2) };
const code: fc.Arbitrary<Code> = fc.oneof(
  fc.record({ type: fc.constant('percent' as const), value: fc.integer({ min: 1, max: 10_000 }), ...terms }),
  fc.record({ type: fc.constant('fixed' as const), value: fc.integer({ min: 1, max: 2000 }), ...terms }),
);
const item = fc.record({ price: fc.nat({ max: 999 }), taxRate: fc.constantFrom(0, 0.05, 0.2, 0.0825) });
const catalogue: fc.Arbitrary<Catalogue> = fc.record({
  taxMode: fc.constantFrom('exclusive', 'inclusive'),
  items: fc.array(item, { minLength: 3, maxLength: 3 }),
  codes: fc.array(code, { minLength: 4, maxLength: 4 }),
  balances: fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 4, maxLength: 4 }),
});
const few = fc.array(small, { maxLength: 2 });
const line = fc.record({ item: fc.nat({ max: 2 }), quantity: fc.integer({ min: 1, max: 4 }) });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('create' as const),
      lines: fc.array(line, { minLength: 1, maxLength: 3 }),
      codes: few,
      cards: few,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('apply' as const, 'apply' as const, 'remove' as const),
      basket: small,
      kind: fc.constantFrom('code' as const, 'card' as const),
      nth: small,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('quantity' as const),
      basket: small,
      line: small,
      quantity: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('change' as const), code: small, value: fc.integer({ min: 1, max: 999 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.oneof(
      fc.record({ do: fc.constant('cancel' as const), basket: small }),
      fc.record({ do: fc.constant('complete' as const), basket: small }),
    ),
  },
);

const shop = await openShop(t, {
  settings: { basket: { maxLiveBasketsPerCustomer: null } },
  config: { trustProxy: '127.0.0.1' },
});
let [runs, calls] = [0, 0];

/** Plays steps on the service and throws where an answer is not what the terms come to. */
async function play({ taxMode, items, codes, balances }: Catalogue, steps: readonly Step[]): Promise<void> {
  runs += 1;
  const run = runs;
  const itemId = (nth: number | string) => `run-${run}-item-${nth}`;
  const codeOf = (nth: number) => `RUN-${run}-CODE-${nth}`;
  const numberOf = (nth: number) => `${run} CARD ${9000 + nth}`;
  const owner = async (method: string, path: string, body: object) => {
    const { status, text } = await shop.owner.request(method, path, body);
    if (status !== 200) throw new Error(`${path}: ${text}`);
  };
  const termsOf = (nth: number): Code => {
    const code = codes[nth % codes.length];
    if (code === undefined) throw new Error('there are codes');
    return { ...code, itemIds: code.itemIds?.map(itemId) ?? null };
  };
  await owner('PATCH', '/v1/shops/roxy', { tax: { mode: taxMode } });
  for (const [nth, item] of items.entries()) await owner('PUT', `/v1/items/${itemId(nth)}`, { name: 'x', ...item });
  for (const nth of codes.keys()) await owner('PUT', `/v1/discount-codes/${codeOf(nth)}`, termsOf(nth));
  for (const [nth, balance] of balances.entries()) {
    await owner('PUT', `/v1/gift-cards/${numberOf(nth)}`, { balance, currency: 'GBP' });
  }

  const baskets: Basket[] = [];
  const terms = codes.map((_, nth) => termsOf(nth));
  const uses = codes.map(() => 0);
  /** By basket and card what is held or spent of it. */
  const taken = new Map<Basket, number[]>();
  const free = (nth: number) =>
    (balances[nth] ?? 0) - [...taken.values()].reduce((sum, amounts) => sum + (amounts[nth] ?? 0), 0);
  const say = (step: Step, what: string) => new Error(`${what} after ${JSON.stringify(step)}`);
  // Failures are limited by address, which is another test's business.
  const call = (method: string, path: string, body?: object) => {
    calls += 1;
    const from = { 'x-forwarded-for': `10.${calls >> 16}.${(calls >> 8) & 255}.${calls & 255}` };
    return patiently(() => shop.backEnd.request<Shown>(method, path, body, from));
  };

  const check = (step: Step, basket: Basket, shown: Shown) => {
    const lines = shown.items.map(({ itemId: id, unitPrice, quantity }) => {
      const { price, taxRate } = items[Number(id.at(-1))] ?? { price: -1, taxRate: 0 };
      if (price !== unitPrice) throw say(step, 'another price');
      return { itemId: id, unitPriceMinor: price, quantity, taxRateTenThousandths: Math.round(taxRate * 10_000) };
    });
    const discounts = basket.codes.map(({ terms }) => terms);
    const totals = totalsOf(priceDiscounted(lines, discounts, taxMode));
    let { total: due } = totals;
    taken.delete(basket);
    const applied = basket.cards.map((nth) => {
      const amount = Math.min(due, free(nth));
      due -= amount;
      return { nth, last4: String(9000 + nth), applied: amount };
    });
    const amounts = balances.map((_, nth) => applied.find((card) => card.nth === nth)?.applied ?? 0);
    taken.set(basket, amounts);
    const expected = {
      totals: { ...totals, giftCards: totals.total - due, due },
      discountCodes: basket.codes.map(({ nth }) => codeOf(nth)),
      giftCards: applied.map(({ last4, applied }) => ({ last4, applied })),
    };
    const found = { totals: shown.totals, discountCodes: shown.discountCodes, giftCards: shown.giftCards };
    if (JSON.stringify(found) !== JSON.stringify(expected)) {
      throw say(step, `${JSON.stringify(found)}, not ${JSON.stringify(expected)},`);
    }
  };
  const isUsedUp = (nth: number) => (uses[nth] ?? 0) >= (terms[nth]?.maxUses ?? Infinity);
  const use = (nth: number, by: number) => {
    uses[nth] = (uses[nth] ?? 0) + by;
  };
  const pricedAs = (lines: readonly { itemId: string; quantity: number }[]) =>
    lines.map(({ itemId: id, quantity }) => {
      const unitPriceMinor = items[Number(id.at(-1))]?.price ?? 0;
      return { itemId: id, unitPriceMinor, quantity, taxRateTenThousandths: 0 };
    });

  for (const step of steps) {
    if (step.do === 'create') {
      const lines = step.lines.map(({ item, quantity }) => ({ itemId: itemId(item), quantity }));
      const wanted = [...new Set(step.codes)];
      const cards = [...new Set(step.cards)];
      const refusable =
        cards.some((nth) => free(nth) === 0) ||
        wanted.some((nth) => isUsedUp(nth) || !isDue(terms[nth] ?? termsOf(nth), pricedAs(lines)));
      const { status, body, text } = await call('POST', '/v1/baskets', {
        items: lines,
        discountCodes: step.codes.map(codeOf),
        giftCards: step.cards.map(numberOf),
      });
      if (status !== (refusable ? 422 : 201)) throw say(step, text);
      if (status !== 201) continue;
      const codes = wanted.map((nth) => ({ nth, terms: terms[nth] ?? termsOf(nth) }));
      const basket = { id: body.id, link: body.startBasketUrl, live: true, codes, cards };
      for (const nth of wanted) use(nth, 1);
      baskets.push(basket);
      check(step, basket, body);
      continue;
    }
    if (step.do === 'change') {
      const before = terms[step.code];
      if (before === undefined) continue;
      const after = { ...before, value: step.value };
      await owner('PUT', `/v1/discount-codes/${codeOf(step.code)}`, after);
      terms[step.code] = after;
      continue;
    }
    const basket = baskets[step.basket % Math.max(1, baskets.length)];
    if (basket === undefined || !basket.live) continue;
    const path = `/v1/baskets/${basket.id}`;
    if (step.do === 'cancel' || step.do === 'complete') {
      if (step.do === 'cancel') {
        const { status, text } = await call('POST', `${path}/cancel`);
        if (status !== 200) throw say(step, text);
        for (const { nth } of basket.codes) use(nth, -1);
        taken.delete(basket);
      } else {
        const { due } = (await activate(shop, basket.link)).basket.totals;
        const { status, text } = await complete(shop, basket.id, { orderId: `order-${basket.id}`, amount: due });
        if (status !== 200) throw say(step, text);
      }
      basket.live = false;
      continue;
    }
    const { items: present } = (await call('GET', path)).body;
    if (step.do === 'quantity') {
      const { lineId } = present[step.line % present.length] ?? { lineId: '1' };
      const { status, body, text } = await call('PATCH', `${path}/lines/${lineId}`, { quantity: step.quantity });
      if (status !== 200) throw say(step, text);
      check(step, basket, body);
      continue;
    }
    const { nth } = step;
    const [type, name] = step.kind === 'code' ? ['discount', codeOf(nth)] : ['giftCard', numberOf(nth)];
    const has = step.kind === 'code' ? basket.codes.some((one) => one.nth === nth) : basket.cards.includes(nth);
    if (step.do === 'remove') {
      const { status, body, text } = await call('DELETE', `${path}/codes/${type}/${name}`);
      if (status !== (has ? 200 : 404)) throw say(step, text);
      if (!has) continue;
      if (step.kind === 'code') use(nth, -1);
      basket.codes = basket.codes.filter((one) => step.kind !== 'code' || one.nth !== nth);
      basket.cards = basket.cards.filter((one) => step.kind !== 'card' || one !== nth);
      check(step, basket, body);
      continue;
    }
    const current = terms[nth] ?? termsOf(nth);
    const cannot = step.kind === 'card' ? free(nth) === 0 : isUsedUp(nth) || !isDue(current, pricedAs(present));
    const { status, body, text } = await call('POST', `${path}/codes`, { type, code: name });
    if (status !== (has || !cannot ? 200 : 422)) throw say(step, text);
    if (status !== 200) continue;
    if (!has && step.kind === 'code') {
      use(nth, 1);
      basket.codes.push({ nth, terms: current });
    }
    if (!has && step.kind === 'card') basket.cards.push(nth);
    if (!has) check(step, basket, body);
  }
}

t.test('whatever is sold with whatever codes and cards, baskets cost what their terms come to', async () => {
  const steps = fc.array(step, { minLength: 5, maxLength: 20 });
  await fc.assert(fc.asyncProperty(catalogue, steps, play), { ...trials, numRuns: 15 });
  await audit(shop.service.pool);
});
