import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  type CheckedOut,
  type Created,
  createBasket,
  pressLink,
  readBasket,
  redeem,
  type ShownProblem,
} from '../support/journey.ts';
import { inspectRedis, partitionKeys } from '../support/redis.ts';
import { visit } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t);
t.beforeEach(() => setShop({}));

async function setShop(settings: object): Promise<void> {
  const { status, text } = await shop.owner.request('PUT', '/v1/shops/roxy', { ...shopSettings, ...settings });
  if (status !== 200) throw new Error(text);
}

let customers = 0;
function newCustomer(): { customer: { id: string } } {
  customers += 1;
  return { customer: { id: `cus-${customers}` } };
}
const statusOf = async ({ id }: Pick<Created, 'id'>) => (await readBasket(shop, id)).status;
const checkout = (basketId: string, body: object = {}) =>
  shop.payments.request<CheckedOut & ShownProblem>('POST', `/v1/baskets/${basketId}/checkout`, body);

t.test('an activation ends the customer’s other baskets, gives their stock back and kills their links', async (t) => {
  const customer = newCustomer();
  const open = await createBasket(shop, customer);
  const activated = await createBasket(shop, customer);
  await activate(shop, activated.startBasketUrl);
  const again = await createBasket(shop, { ...customer, items: [{ itemId: 'stalls', quantity: 3 }] });
  const ofAnother = await createBasket(shop, newCustomer());
  const guest = await createBasket(shop);
  t.equal(await statusOf(open), 'expired', 'by the first activation');

  const redeemed = await activate(shop, again.startBasketUrl);
  t.same(redeemed.expiredBasketIds, [activated.id]);
  t.match(await readBasket(shop, activated.id), { status: 'expired', statusReason: 'superseded' });
  t.match(await visit(activated.startBasketUrl, { accept: 'application/json' }), {
    status: 410,
    text: /basket_expired/,
  });
  t.same([await statusOf(ofAnother), await statusOf(guest)], ['open', 'open'], 'others are left alone');
  const keys = inspectRedis(t, shop.service.redisKeyPrefix);
  const holds = Object.entries(await keys.hgetall(partitionKeys.holds));
  // The click above has left a note that this one was asked for.
  t.notOk(
    holds.some(([key, text]) => key.includes(activated.id) && !text.startsWith('cold ')),
    'Redis has heard of it before the answer',
  );
  await audit(shop.service.pool);
});

t.test('a basket that is being paid is not superseded', async (t) => {
  const customer = newCustomer();
  const paying = await createBasket(shop, customer);
  await activate(shop, paying.startBasketUrl);
  await checkout(paying.id);
  const next = await createBasket(shop, customer);
  t.same((await activate(shop, next.startBasketUrl)).expiredBasketIds, []);
  t.equal(await statusOf(paying), 'checkout');
});

t.test('a shop that keeps other baskets has none superseded', async (t) => {
  await setShop({ link: { otherBaskets: 'keep' } });
  const customer = newCustomer();
  const first = await createBasket(shop, customer);
  const second = await createBasket(shop, customer);
  t.same((await activate(shop, second.startBasketUrl)).expiredBasketIds, []);
  t.equal(await statusOf(first), 'open');
});

t.test('a link that logs nobody in supersedes nothing until the customer has signed in', async (t) => {
  await setShop({ customer: { login: 'signIn' } });
  const customer = newCustomer();
  const { id: customerId } = customer.customer;
  const first = await createBasket(shop, customer);
  const second = await createBasket(shop, customer);
  t.same((await activate(shop, second.startBasketUrl)).expiredBasketIds, [], 'nobody is signed in');
  t.equal(await statusOf(first), 'open');
  const signedIn = await activate(shop, second.startBasketUrl, { customerId });
  t.same(signedIn.expiredBasketIds, [first.id], 'the customer is');
});

t.test('after signIn a checkout needs the customer, and supersedes then', async (t) => {
  await setShop({ customer: { login: 'signIn' } });
  const customer = newCustomer();
  const first = await createBasket(shop, customer);
  const second = await createBasket(shop, customer);
  const { session } = await activate(shop, second.startBasketUrl);
  const bySession = await shop.as(session.token).request('POST', `/v1/baskets/${second.id}/checkout`);
  t.match(bySession, { status: 409, body: { code: 'customer_mismatch' } });
  t.match(await checkout(second.id, { customerId: 'cus-other' }), { status: 409, body: { code: 'customer_mismatch' } });
  t.equal(await statusOf(first), 'open');
  t.equal((await checkout(second.id, { customerId: customer.customer.id })).status, 200);
  t.match(await readBasket(shop, first.id), { status: 'expired', statusReason: 'superseded' });
  await audit(shop.service.pool);
});

t.test('a shop that logs nobody in has nothing superseded, at redemption nor at checkout', async (t) => {
  await setShop({ customer: { login: 'none' } });
  const customer = newCustomer();
  const { id: customerId } = customer.customer;
  const first = await createBasket(shop, customer);
  const second = await createBasket(shop, customer);
  t.same((await activate(shop, second.startBasketUrl, { customerId })).expiredBasketIds, []);
  t.equal((await checkout(second.id, { customerId })).status, 200);
  t.equal(await statusOf(first), 'open');
});

t.test('the guest basket of the same browser is ended with it', async (t) => {
  const guest = await createBasket(shop);
  const { session } = await activate(shop, guest.startBasketUrl);
  const next = await createBasket(shop, newCustomer());
  const redeemed = await activate(shop, next.startBasketUrl, {
    currentBasketId: guest.id,
    sessionToken: session.token,
  });
  t.same(redeemed.expiredBasketIds, [guest.id]);
  t.match(await readBasket(shop, guest.id), { status: 'expired', statusReason: 'superseded' });
});

t.test('no other basket than the browser’s own guest basket is ended that way', async (t) => {
  const guest = await createBasket(shop);
  const { session } = await activate(shop, guest.startBasketUrl);
  const registered = await createBasket(shop, newCustomer());
  const registeredSession = (await activate(shop, registered.startBasketUrl)).session;
  const paying = await createBasket(shop);
  const payingSession = (await activate(shop, paying.startBasketUrl)).session;
  await checkout(paying.id);
  // One token in a thousand ends in AA by itself.
  const forged = session.token.slice(0, -2) + (session.token.endsWith('AA') ? 'BA' : 'AA');
  const claims: [what: string, claim: object][] = [
    ['without its session', { currentBasketId: guest.id }],
    ['with the session of another', { currentBasketId: guest.id, sessionToken: payingSession.token }],
    ['with a forged session', { currentBasketId: guest.id, sessionToken: forged }],
    ['of a customer', { currentBasketId: registered.id, sessionToken: registeredSession.token }],
    ['that is being paid', { currentBasketId: paying.id, sessionToken: payingSession.token }],
    ['that does not exist', { currentBasketId: 'bkt_none', sessionToken: session.token }],
  ];
  for (const [what, claim] of claims) {
    const next = await createBasket(shop, newCustomer());
    t.same((await activate(shop, next.startBasketUrl, claim)).expiredBasketIds, [], `a basket ${what}`);
  }
  t.same(
    [await statusOf(guest), await statusOf(registered), await statusOf(paying)],
    ['activated', 'activated', 'checkout'],
  );
  const itself = { currentBasketId: guest.id, sessionToken: session.token };
  t.same((await activate(shop, guest.startBasketUrl, itself)).expiredBasketIds, [], 'nor the basket itself');
  t.equal(await statusOf(guest), 'activated');
});

t.test(
  'of two baskets of one customer that are activated at once exactly one stays, whichever comes first',
  async (t) => {
    for (const round of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const customer = newCustomer();
      const both = [await createBasket(shop, customer), await createBasket(shop, customer)];
      const tokens = await Promise.all(both.map(({ startBasketUrl }) => pressLink(startBasketUrl)));
      const answers = await Promise.all(tokens.map((token) => redeem(shop, token)));
      const codes = answers.map(({ status, body }) => (status === 200 ? 'redeemed' : body.code)).sort();
      t.ok(
        codes.join() === 'redeemed,redeemed' || codes.join() === 'basket_expired,redeemed',
        `round ${round}: ${answers.map(({ text }) => text).join('\n')}`,
      );
      t.same((await Promise.all(both.map(statusOf))).sort(), ['activated', 'expired']);
    }
    await audit(shop.service.pool);
  },
);

t.test('of two guest baskets that one customer takes on at once exactly one stays', async (t) => {
  for (const round of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const customerId = newCustomer().customer.id;
    const both = [await createBasket(shop), await createBasket(shop)];
    const tokens = await Promise.all(both.map(({ startBasketUrl }) => pressLink(startBasketUrl)));
    const answers = await Promise.all(tokens.map((token) => redeem(shop, token, { customerId })));
    t.same(
      answers.map(({ status }) => status),
      [200, 200],
      `round ${round}`,
    );
    t.same((await Promise.all(both.map(statusOf))).sort(), ['activated', 'expired']);
  }
});

t.test('ending several baskets takes their stock rows in the order in which everybody locks them', async (t) => {
  const { pool } = shop.service;
  for (const itemId of ['a-row', 'z-row']) {
    await shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 100, capacity: 10 });
  }
  const customer = newCustomer();
  const of = (itemId: string) => ({ ...customer, items: [{ itemId, quantity: 1 }] });
  // Baskets are locked in the order of their ids, which is that of their creation: here the other way round.
  const others = [await createBasket(shop, of('z-row')), await createBasket(shop, of('a-row'))];
  const chosen = await createBasket(shop, customer);
  const token = await pressLink(chosen.startBasketUrl);

  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SELECT FROM stock WHERE stock_id = 'item:a-row' FOR UPDATE`);
    const redeeming = redeem(shop, token);
    await waitsForLock();
    // Whoever has the first row may have the last one too: waiting for the first, the redemption holds none after it.
    await t.resolves(client.query(`SELECT FROM stock WHERE stock_id = 'item:z-row' FOR UPDATE NOWAIT`));
    await client.query('COMMIT');
    t.same((await redeeming).body.expiredBasketIds, others.map(({ id }) => id).sort());
  } finally {
    client.release();
  }
  await audit(pool);

  async function waitsForLock(): Promise<void> {
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await until('the redemption waits for a row', 5000, async () => (await pool.query(waiting)).rowCount === 1);
  }
});
