import t from 'tap';
import { type Created, createBasket, letBeSwept, letExpire, pressLink, redeem } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
let events = 0;

/** A basket of an event of its own. */
async function basketOfOwnEvent(): Promise<Created & { eventId: string }> {
  events += 1;
  const eventId = `event-${events}`;
  await shop.owner.request('PUT', `/v1/events/${eventId}`, { name: 'An event of its own' });
  await shop.owner.request('PUT', `/v1/items/item-${events}`, { name: 'Seat', eventId, price: 100, capacity: 10 });
  return { ...(await createBasket(shop, { items: [{ itemId: `item-${events}`, quantity: 1 }] })), eventId };
}
const setEvent = (eventId: string, status: string) => shop.owner.request('PATCH', `/v1/events/${eventId}`, { status });

async function timesSpent(): Promise<number> {
  const { rows } = await shop.service.pool.query<{ n: number }>('SELECT count(*) AS n FROM spent_confirmations');
  return rows[0]?.n ?? 0;
}

type Meanwhile = Awaited<ReturnType<typeof basketOfOwnEvent>>;
type Row = { what: string; code: string; status: number; happens: (basket: Meanwhile) => Promise<unknown> };
const rows: Row[] = [
  {
    what: 'the link was revoked',
    code: 'link_revoked',
    status: 410,
    happens: ({ id }) => shop.backEnd.request('DELETE', `/v1/baskets/${id}/link`),
  },
  {
    what: 'the order was completed',
    code: 'link_used',
    status: 410,
    happens: async ({ id, startBasketUrl }) => {
      await redeem(shop, await pressLink(startBasketUrl));
      // As if the other click had been the earlier one: that a later one has taken its place is another refusal.
      await shop.service.pool.query('UPDATE baskets SET session_issued_at = created_at WHERE basket_id = $1', [id]);
      await shop.payments.request('POST', `/v1/baskets/${id}/complete`, { orderId: `order-${id}` });
    },
  },
  {
    what: 'the event was cancelled',
    code: 'event_cancelled',
    status: 410,
    happens: ({ eventId }) => setEvent(eventId, 'cancelled'),
  },
  {
    what: 'the event was cancelled and the basket is still to be ended',
    code: 'event_cancelled',
    status: 410,
    happens: ({ eventId }) =>
      shop.service.pool.query(`UPDATE events SET status = 'cancelled', baskets_ended = true WHERE event_id = $1`, [
        eventId,
      ]),
  },
  {
    what: 'the event was suspended',
    code: 'event_suspended',
    status: 409,
    happens: ({ eventId }) => setEvent(eventId, 'suspended'),
  },
  {
    what: 'the basket was cancelled',
    code: 'basket_cancelled',
    status: 410,
    happens: ({ id }) => shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`),
  },
  {
    what: 'the basket’s time ran out',
    code: 'basket_expired',
    status: 410,
    happens: ({ id }) => letExpire(shop, id),
  },
  {
    what: 'the basket was swept',
    code: 'basket_expired',
    status: 410,
    happens: ({ id }) => letBeSwept(shop, id),
  },
];

for (const { what, code, status, happens } of rows) {
  t.test(`a token is refused with ${code}, and not spent, when ${what} after the click`, async (t) => {
    const basket = await basketOfOwnEvent();
    const token = await pressLink(basket.startBasketUrl);
    await happens(basket);
    const spentBefore = await timesSpent();
    const refused = await redeem(shop, token);
    const redirectUrl = `https://tickets.roxy.example/basket/problem?error=${code}&basket_id=${basket.id}`;
    t.match({ status: refused.status, body: refused.body }, { status, body: { code, redirectUrl } }, refused.text);
    t.equal(await timesSpent(), spentBefore);
  });
}

t.test('a token that met a suspended event works when the event is scheduled again', async (t) => {
  const { eventId, startBasketUrl } = await basketOfOwnEvent();
  const token = await pressLink(startBasketUrl);
  await setEvent(eventId, 'suspended');
  t.equal((await redeem(shop, token)).status, 409);
  await setEvent(eventId, 'scheduled');
  t.equal((await redeem(shop, token)).status, 200);
});
