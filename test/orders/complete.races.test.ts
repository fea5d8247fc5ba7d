import t from 'tap';
import { audit } from '../support/audit.ts';
import { checkout, complete, createBasket, openBasket, readBasket } from '../support/journey.ts';
import { cancel, expire, playRounds, possibleEnds, raceToEnd, rotated } from '../support/races.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;
const often = { rounds: 40, atOnce: 4 };

t.test('of completion, cancellation and expiry at once exactly one wins, and the others are told so', async (t) => {
  await playRounds(often, async (round) => {
    const { id } = await openBasket(shop);
    const end = await raceToEnd(shop, id, round);
    t.ok(possibleEnds.includes(end), `round ${round}: ${end}`);
  });
  await audit(pool);
});

t.test('of cancellation and expiry at once of a basket that nobody opened exactly one wins', async (t) => {
  await playRounds(often, async (round) => {
    const { id } = await createBasket(shop);
    let cancelled = false;
    let swept = false;
    const acts = [
      async () => {
        cancelled = (await cancel(shop, id)).status === 200;
      },
      async () => {
        swept = await expire(shop, id);
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
  await playRounds(often, async (round) => {
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
