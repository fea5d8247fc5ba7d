import t from 'tap';
import { expireListed } from '../../src/holds/arbiter.ts';
import { audit } from '../support/audit.ts';
import { checkout, complete, createBasket, letExpire, openBasket, readBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;
const rounds = 40;
const atOnce = 4;

const cancel = (basketId: string) => shop.backEnd.request('POST', `/v1/baskets/${basketId}/cancel`);
async function expire(basketId: string): Promise<boolean> {
  await letExpire(shop, basketId);
  return (await expireListed(pool, [{ shopId: shop.shopId, basketId }])).length === 1;
}

async function playRounds(play: (round: number) => Promise<void>): Promise<void> {
  let round = 0;
  const lane = async () => {
    while (round < rounds) {
      round += 1;
      await play(round);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** Puts what happens at once into another order in each round. */
function rotated<T>(all: readonly T[], by: number): T[] {
  return all.map((_, at) => all[(at + by) % all.length] as T);
}

t.test('of completion, cancellation and expiry at once exactly one wins, and the others are told so', async (t) => {
  await playRounds(async (round) => {
    const { id } = await openBasket(shop);
    const [completion, cancellation] = await raced(id, round);
    const { status, late } = await readBasket(shop, id);
    const told = `${completion}, ${cancellation}, ${status}${late ? ' late' : ''}`;
    t.ok(
      [
        'completed, basket_not_live, completed',
        // A late completion may follow an expiry, with the stock that is still there.
        'completed, basket_not_live, completed late',
        'basket_cancelled, cancelled, cancelled',
      ].includes(told),
      `round ${round}: ${told}`,
    );
  });
  await audit(pool);
});

async function raced(id: string, round: number): Promise<[completion: string, cancellation: string]> {
  let completion = '';
  let cancellation = '';
  const acts = [
    async () => {
      const { status, body } = await complete(shop, id, { orderId: `order-${id}` });
      completion = status === 200 ? 'completed' : body.code;
    },
    async () => {
      const { status, body } = await cancel(id);
      cancellation = status === 200 ? 'cancelled' : String((body as { code?: string }).code);
    },
    async () => void (await expire(id)),
  ];
  await Promise.all(rotated(acts, round).map((act) => act()));
  return [completion, cancellation];
}

t.test('of cancellation and expiry at once of a basket that nobody opened exactly one wins', async (t) => {
  await playRounds(async (round) => {
    const { id } = await createBasket(shop);
    let cancelled = false;
    let swept = false;
    const acts = [
      async () => {
        cancelled = (await cancel(id)).status === 200;
      },
      async () => {
        swept = await expire(id);
      },
    ];
    await Promise.all(rotated(acts, round).map((act) => act()));
    t.notOk(cancelled && swept, `round ${round}`);
    // The sweeper leaves alone what somebody is working on: the basket may be expired and not swept yet.
    t.match(await readBasket(shop, id), { status: cancelled ? 'cancelled' : 'expired', version: 2 });
  });
  await audit(pool);
});

t.test('of completion and Back at once the basket is completed, with its stock sold once', async (t) => {
  await playRounds(async (round) => {
    const { id } = await openBasket(shop);
    await checkout(shop, id);
    const acts = [
      () => complete(shop, id, { orderId: `order-${id}` }),
      () => shop.payments.request('DELETE', `/v1/baskets/${id}/checkout`),
    ];
    await Promise.all(rotated(acts, round).map((act) => act()));
    t.equal((await readBasket(shop, id)).status, 'completed', `round ${round}`);
  });
  await audit(pool);
});
