import type { Test } from 'tap';
import { expireListed } from '../../src/holds/arbiter.ts';
import { withTransaction } from '../../src/platform/postgres.ts';
import {
  type Created,
  checkout,
  complete,
  forgetLinks,
  redeem,
  type ShownBasket,
  type ShownProblem,
  type TestShop,
} from '../support/journey.ts';
import { openShop } from '../support/shop.ts';
import { type Answer, basketOf, capacities, items, limits, lineOf, orderOf } from './model.ts';
import type { Step } from './steps.ts';

/** One run on the service: a part of the shop's catalogue of its own, and what the callers have been given. */
export type Run = {
  shop: TestShop;
  name: string;
  baskets: { id: string; due: number; lines: string[]; links: string[]; leases: string[] }[];
};

type Answered = { status: number; body: unknown; text: string };

/**
 * Opens a shop whose baskets are swept when a step says so and at no other time, so that the same steps always come to
 * the same end. Everything else is the service as it is.
 */
export async function openUnsweptShop(t: Test, config: { trustProxy?: string } = {}): Promise<TestShop> {
  const { maxLiveBaskets, maxExtensions } = limits;
  const shop = await openShop(t, {
    settings: { basket: { maxLiveBasketsPerCustomer: maxLiveBaskets, maxExtensions } },
    config,
  });
  await shop.service.pool.query(`
    CREATE FUNCTION leave_to_the_model() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RETURN CASE WHEN current_setting('model.sweeps', true) = 'yes' THEN NEW END;
    END $$;
    CREATE TRIGGER leave_to_the_model BEFORE UPDATE ON baskets FOR EACH ROW
      WHEN (NEW.status = 'expired' AND OLD.status <> 'expired' AND NEW.status_reason = 'timeout')
      EXECUTE FUNCTION leave_to_the_model();`);
  return shop;
}

const events = ['concert', 'festival'];
let runs = 0;

/** Begins a run in a shop that others may have begun runs in before. */
export async function beginRun(shop: TestShop): Promise<Run> {
  runs += 1;
  const run: Run = { shop, name: `run-${runs}`, baskets: [] };
  const put = async (path: string, body: object) => {
    const { status, text } = await shop.owner.request('PUT', path, body);
    if (status !== 200) throw new Error(`PUT ${path}: ${text}`);
  };
  for (const event of events) await put(`/v1/events/${named(run, event)}`, { name: event });
  await put(`/v1/pools/${named(run, 'floor')}`, { name: 'floor', capacity: capacities.floor });
  await put('/v1/items', {
    items: Object.entries(items).map(([item, { stock, event }]) => ({
      itemId: named(run, item),
      name: item,
      price: 100,
      maxPerBasket: limits.maxPerBasket,
      eventId: named(run, event),
      ...(stock === item ? { capacity: capacities[stock] } : { poolId: named(run, stock) }),
    })),
  });
  return run;
}

function named({ name }: Run, what: string): string {
  return `${name}-${what}`;
}

function answerOf({ status, body, text }: Answered): Answer {
  if (status < 400) return 'done';
  const { code } = body as Partial<ShownProblem>;
  if (code === undefined || status >= 500) throw new Error(`${status} ${text}`);
  return code as Answer;
}

/** Takes one step on the service and says how it was answered. */
export async function send(run: Run, step: Step): Promise<Answer> {
  const { shop } = run;
  const { backEnd, payments, owner } = shop;
  const customerId = (customer: string | null) => (customer === null ? null : named(run, customer));
  if (step.call === 'create') {
    const created = await backEnd.request<Created & ShownLines>('POST', '/v1/baskets', {
      items: step.lines.map(({ item, quantity }) => ({ itemId: named(run, item), quantity })),
      customer: step.customer === null ? {} : { id: customerId(step.customer) },
      reference: run.name,
    });
    if (created.status === 201) {
      const { id, startBasketUrl } = created.body;
      run.baskets.push({ id, ...linesOf(created.body), links: [startBasketUrl], leases: [] });
    }
    return answerOf(created);
  }
  if (step.call === 'cancelEvent') {
    return answerOf(await owner.request('POST', `/v1/events/${named(run, step.event)}/cancel`));
  }

  const basket = basketOf(run, step);
  const path = `/v1/baskets/${basket.id}`;
  switch (step.call) {
    case 'activate': {
      const link = basket.links.at(step.link === 'first' ? 0 : -1) ?? '';
      return activate(run, link, customerId(step.signedInAs));
    }
    case 'checkout': {
      const signedIn = step.customer === null ? {} : { customerId: customerId(step.customer) };
      const started = await checkout(shop, basket.id, signedIn);
      if (started.status === 200 && basket.leases.at(-1) !== started.body.leaseId) {
        basket.leases.push(started.body.leaseId);
      }
      return answerOf(started);
    }
    case 'back':
      return answerOf(await payments.request('DELETE', `${path}/checkout`));
    case 'fail': {
      const leaseId = step.lease === null ? undefined : basket.leases.at(step.lease === 'first' ? 0 : -1);
      return answerOf(await payments.request('POST', `${path}/checkout/fail`, { leaseId }));
    }
    case 'complete': {
      const leaseId = step.lease === null ? undefined : basket.leases.at(step.lease === 'first' ? 0 : -1);
      const amount = { right: basket.due, wrong: basket.due + 1, unsaid: undefined }[step.amount ?? 'unsaid'];
      return answerOf(await complete(shop, basket.id, { orderId: named(run, orderOf(run, step)), amount, leaseId }));
    }
    case 'cancel':
      return answerOf(await backEnd.request('POST', `${path}/cancel`));
    case 'expire':
      // Longer ago than any call under way began: each judges by the time when its transaction did.
      await shop.service.pool.query(
        `UPDATE baskets SET expires_at = now() - interval '1 minute' WHERE shop_id = $1 AND basket_id = $2`,
        [shop.shopId, basket.id],
      );
      await forgetLinks(shop, basket.id);
      return 'done';
    case 'sweep':
      return sweep(run, basket.id);
    case 'add': {
      const line = { itemId: named(run, step.item), quantity: step.quantity };
      return edited(basket, await backEnd.request('POST', `${path}/lines`, line));
    }
    case 'setQuantity': {
      const line = `${path}/lines/${lineOf(basket, step) ?? 'none'}`;
      const { quantity } = step;
      const answer = quantity === 0 ? backEnd.request('DELETE', line) : backEnd.request('PATCH', line, { quantity });
      return edited(basket, await answer);
    }
    case 'extend':
      return answerOf(await backEnd.request('POST', `${path}/extend`));
    case 'patch':
      return answerOf(await backEnd.request('PATCH', path, { customer: { id: customerId(step.customer) } }));
    case 'mint': {
      const minted = await backEnd.request<Created>('POST', `${path}/link`);
      if (minted.status === 200) basket.links.push(minted.body.startBasketUrl);
      return answerOf(minted);
    }
    case 'revoke':
      return answerOf(await backEnd.request('DELETE', `${path}/link?sessions=true`));
  }
}

/** What a caller learns of a basket's lines. */
function linesOf({ totals, items }: ShownLines): { due: number; lines: string[] } {
  return { due: totals.due, lines: items.map(({ lineId }) => lineId) };
}
type ShownLines = Pick<ShownBasket, 'totals'> & { items: { lineId: string; name: string; quantity: number }[] };

function edited(basket: Run['baskets'][number], answer: Answered): Answer {
  if (answer.status === 200) Object.assign(basket, linesOf(answer.body as ShownLines));
  return answerOf(answer);
}

/** Clicks, and redeems what the click gave. */
async function activate({ shop }: Run, link: string, customerId: string | null): Promise<Answer> {
  const click = await fetch(link, { method: 'POST', redirect: 'manual' });
  const location = new URL(click.headers.get('location') ?? '');
  const token = location.searchParams.get('token');
  if (token === null) return location.searchParams.get('error') as Answer;
  return answerOf(await redeem(shop, token, { customerId }));
}

/** What the sweeper does with a basket that it has found. */
async function sweep({ shop }: Run, basketId: string): Promise<Answer> {
  const [swept] = await withTransaction(shop.service.pool, async (tx) => {
    await tx.query(`SET LOCAL model.sweeps = 'yes'`);
    return expireListed(tx, [{ shopId: shop.shopId, basketId }]);
  });
  if (swept === undefined) return 'not_due';
  await shop.service.admission.release([{ shopId: shop.shopId, basketId }]);
  return 'done';
}

/** What the API shows of a run's baskets and stock, in the form that the model shows its own. */
export async function shownOf(run: Run) {
  const { shop, baskets } = run;
  const [list, ...stock] = await Promise.all([
    shop.backEnd.request<{ data: (ShownBasket & ShownLines & { extensionsLeft: number })[] }>(
      'GET',
      `/v1/baskets?reference=${run.name}&limit=100`,
    ),
    ...events.map((event) => stockOf(run, event)),
  ]);
  const shown = new Map(list.body.data.map((basket) => [basket.id, basket]));
  const unnamed = (text: string | null | undefined) => text?.replace(`${run.name}-`, '') ?? null;
  return {
    baskets: baskets.map(({ id }) => {
      const basket = shown.get(id);
      if (basket === undefined) throw new Error('a basket is not listed');
      const { status, statusReason, version, late, extensionsLeft } = basket;
      return {
        status,
        statusReason,
        version,
        late,
        extensionsLeft,
        customer: unnamed(basket.customer?.id),
        order: unnamed(basket.orderId),
        lines: basket.items.map(({ name, quantity }) => ({ item: name, quantity })),
      };
    }),
    stock: Object.fromEntries(stock.flat()),
  };
}

async function stockOf({ shop, name }: Run, event: string): Promise<[item: string, availability: object][]> {
  type Items = { data: { name: string; availability: object }[] };
  const { body } = await shop.owner.request<Items>('GET', `/v1/items?eventId=${name}-${event}`);
  return body.data.map((item) => [item.name, item.availability]);
}
