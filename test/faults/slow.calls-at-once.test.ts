import { fault } from '../support/fault.ts';
import {
  type Created,
  complete,
  createBasket,
  openBasket,
  patiently,
  pressLink,
  readBasket,
  redeem,
} from '../support/journey.ts';
import { playRounds, possibleEnds, raceToEnd } from '../support/races.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];

fault({
  id: 'F24',
  fault: '64 creations with one idempotency key at once',
  how: 'sent to two replicas together',
  control: {
    what: 'the key is not kept',
    altered: [
      {
        file: 'src/baskets/create.ts',
        find: 'idempotency: key && { keyHash: key.keyHash, fingerprint: key.fingerprint, answer }',
        replace: 'idempotency: null',
      },
    ],
  },
  async run(t, { altered }) {
    const shop = await openShopOnReplicas(t, { altered, replicas: 2 });
    const clients = await Promise.all(shop.replicas.map((replica) => shop.at(replica.url, 'baskets:write')));
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, at) =>
        patiently(async () => {
          const client = clients[at % clients.length] ?? shop.backEnd;
          return client.request<Created>('POST', '/v1/baskets', { items }, { 'idempotency-key': 'together' });
        }),
      ),
    );
    const { rows } = await shop.service.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM baskets');
    const wrong = answers.filter(({ status, text }) => status !== 201 && !text.includes('idempotency_in_progress'));
    const created = answers.filter(({ status }) => status === 201).map(({ body }) => body.id);
    return accountFor(shop.service.pool, created, [
      ...wrong.map(({ status, text }) => `answered ${status} ${text}`),
      ...(rows[0]?.count === 1 ? [] : [`${rows[0]?.count} baskets came of one key`]),
      ...(new Set(created).size === 1 ? [] : [`${new Set(created).size} baskets were answered`]),
    ]);
  },
});

fault({
  id: 'F25',
  fault: 'completion, cancellation and expiry of one basket at once',
  how: '1,000 baskets, four at a time, each call first in a third of the rounds',
  control: {
    what: 'the basket is not locked before it is decided on',
    altered: [
      { file: 'src/baskets/store.ts', find: 'ORDER BY b.basket_id FOR UPDATE', replace: 'ORDER BY b.basket_id' },
    ],
  },
  async run(t, { altered, protection }) {
    const shop = await openShopOnReplicas(t, { altered });
    await shop.owner.request('PATCH', '/v1/items/stalls', { capacity: 2000 });
    const [created, violations]: [string[], string[]] = [[], []];
    await playRounds({ rounds: protection === 'on' ? 1000 : 60, atOnce: 4 }, async (round) => {
      const race = async () => {
        const { id } = await openBasket(shop);
        created.push(id);
        return raceToEnd(shop, id, round);
      };
      // Where baskets are not locked stock is waited for crosswise, and the next basket is refused for it.
      const end = await race().catch((error: Error) => error.message);
      if (!possibleEnds.includes(end)) violations.push(`round ${round}: ${end}`);
    });
    return accountFor(shop.service.pool, created, violations);
  },
});

fault({
  id: 'F26',
  fault: '200 completions of one basket with three order ids at once',
  how: 'ten baskets, one after the other',
  control: {
    what: 'a completed basket is completed again',
    altered: [
      {
        file: 'src/orders/complete.ts',
        find: `if (basket.status === 'completed') {`,
        replace: `if (basket.status === 'never') {`,
      },
    ],
  },
  async run(t, { altered, protection }) {
    const shop = await openShopOnReplicas(t, { altered });
    const [created, violations]: [string[], string[]] = [[], []];
    for (let round = 0; round < (protection === 'on' ? 10 : 1); round += 1) {
      const { id } = await openBasket(shop);
      created.push(id);
      const answers = await Promise.all(
        Array.from({ length: 200 }, async (_, at) => {
          const orderId = `order-${round}-${at % 3}`;
          return { orderId, ...(await patiently(() => complete(shop, id, { orderId }))) };
        }),
      );
      const { orderId: winner } = await readBasket(shop, id);
      for (const { orderId, status, body, text } of answers) {
        const told = status === 200 ? 'completed' : body.code;
        const expected = orderId === winner ? 'completed' : 'already_completed';
        if (told !== expected) violations.push(`${orderId} was told ${text}, and the order is ${winner}`);
      }
    }
    return accountFor(shop.service.pool, created, violations);
  },
});

fault({
  id: 'F27',
  fault: 'a customer opens baskets in two browsers at once',
  how: '30 times the same basket twice, and 30 times two baskets, at two replicas',
  control: {
    what: 'the other baskets of the customer are neither locked nor ended',
    altered: [
      {
        file: 'src/handoff/redeem.ts',
        find: '[basketId, ...otherIds, ...current]',
        replace: '[basketId, ...current]',
      },
    ],
  },
  async run(t, { altered }) {
    const shop = await openShopOnReplicas(t, { altered, replicas: 2 });
    const frontEnds = await Promise.all(shop.replicas.map(({ url }) => shop.at(url, 'confirmations:redeem')));
    const [created, violations]: [string[], string[]] = [[], []];
    for (let round = 0; round < 60; round += 1) {
      const customer = { id: `cus-${round}` };
      const first = await createBasket(shop, { customer });
      const second = round % 2 === 0 ? first : await createBasket(shop, { customer });
      created.push(first.id, second.id);
      const tokens = [await pressLink(first.startBasketUrl), await pressLink(second.startBasketUrl)];
      const answers = await Promise.all(
        tokens.map((token, at) => redeem({ ...shop, frontEnd: frontEnds[at] ?? shop.frontEnd }, token)),
      );
      const told = answers.map(({ status, body }) => (status === 200 ? 'activated' : body.code)).sort();
      const sessions = await Promise.all(
        answers.map(async ({ status, body }) =>
          status !== 200
            ? 0
            : (await shop.as(body.session.token).request('GET', `/v1/baskets/${body.basket.id}`)).status,
        ),
      );
      const states = [(await readBasket(shop, first.id)).status, (await readBasket(shop, second.id)).status];
      const seen = `${told.join(' and ')}; sessions ${sessions.join(' and ')}; ${states.join(' and ')}`;
      if (!(first === second ? isOneBasketOpened(told, sessions) : isOneSuperseded(told, states)))
        violations.push(seen);
    }
    return accountFor(shop.service.pool, created, violations);
  },
});

/** Each click gets in once, or finds that the later one has been before it; the session of one of them is valid. */
function isOneBasketOpened(told: readonly string[], sessions: readonly number[]): boolean {
  const allowed = ['activated and activated', 'activated and confirmation_used'];
  return allowed.includes(told.join(' and ')) && sessions.filter((status) => status === 200).length === 1;
}

/** Of two baskets one is activated and the other ended, before its own click was redeemed or after. */
function isOneSuperseded(told: readonly string[], states: readonly string[]): boolean {
  const allowed = ['activated and activated', 'activated and basket_expired'];
  return allowed.includes(told.join(' and ')) && [...states].sort().join() === 'activated,expired';
}

fault({
  id: 'F28',
  fault: 'a confirmation token is redeemed 100 times at once',
  how: 'at two replicas',
  control: {
    what: 'nobody asks whether it was spent',
    altered: [
      {
        file: 'src/handoff/store.ts',
        find: 'WHERE (shop_id, confirmation_id) IN',
        replace: 'WHERE false AND (shop_id, confirmation_id) IN',
      },
      { file: 'src/handoff/store.ts', find: 'ORDER BY 1, 2', replace: 'ORDER BY 1, 2 ON CONFLICT DO NOTHING' },
    ],
  },
  async run(t, { altered }) {
    const shop = await openShopOnReplicas(t, { altered, replicas: 2 });
    const frontEnds = await Promise.all(shop.replicas.map(({ url }) => shop.at(url, 'confirmations:redeem')));
    const { id, startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-1' } });
    const token = await pressLink(startBasketUrl);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        patiently(() => redeem({ ...shop, frontEnd: frontEnds[at % 2] ?? shop.frontEnd }, token)),
      ),
    );
    const redeemed = answers.filter(({ status }) => status === 200).length;
    const wrong = answers.filter(({ status, body }) => status !== 200 && body.code !== 'confirmation_used');
    return accountFor(
      shop.service.pool,
      [id],
      [
        ...(redeemed === 1 ? [] : [`it was redeemed ${redeemed} times`]),
        ...wrong.map(({ status, text }) => `answered ${status} ${text}`),
      ],
    );
  },
});
