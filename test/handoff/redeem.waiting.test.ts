import t from 'tap';
import { auditRedis } from '../../src/cli/audit.ts';
import { audit } from '../support/audit.ts';
import {
  activate,
  createBasket,
  letBeSwept,
  pressLink,
  putItem,
  readBasket,
  redeem,
  type ShownProblem,
} from '../support/journey.ts';
import { cancel } from '../support/races.ts';
import { browserHeaders, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { readLink } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t, {
  settings: { basket: { ttlSeconds: 300, maxLifetimeSeconds: 900, checkoutSeconds: 600 } },
});
const { pool, admission } = shop.service;
const dayMs = 24 * 60 * 60 * 1000;
const secondsBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;
const mail = (itemId: string, more: object = {}) =>
  createBasket(shop, { items: [{ itemId, quantity: 1 }], reserve: 'activation', ...more });
const problemUrl = (code: string, basketId: string) =>
  `https://tickets.roxy.example/basket/problem?error=${code}&basket_id=${basketId}`;

async function booksAgree(): Promise<void> {
  await audit(pool);
  await until('Redis equals Postgres', 10_000, async () => (await auditRedis({ pool, admission }))?.length === 0);
}

t.test('fifty mailed links hold nothing until somebody activates one, and then what there is', async (t) => {
  await putItem(shop, 'mailed', 2);
  const entry = { items: [{ itemId: 'mailed', quantity: 1 }], reserve: 'activation', locale: 'de' };
  const { body } = await shop.backEnd.request<{ results: { basket: { id: string; startBasketUrl: string } }[] }>(
    'POST',
    '/v1/baskets/batch',
    { baskets: Array(50).fill(entry) },
  );
  t.match(await shop.availability('mailed'), { held: 0, available: 2 });
  const [first, second, third] = body.results.map(({ basket }) => basket);
  if (!first || !second || !third) throw new Error('they were not made');
  const page = await visit(third.startBasketUrl);
  t.equal(page.status, 200, 'its link asks a person to press');
  t.match(page.text, /Noch ist nichts reserviert/);
  t.notMatch(page.text, /reserviert bis/);
  await booksAgree();

  await activate(shop, first.startBasketUrl);
  await activate(shop, second.startBasketUrl);
  t.match(await shop.availability('mailed'), { held: 2, available: 0 });
  const soldOut = await visit(third.startBasketUrl);
  t.equal(soldOut.status, 200);
  t.match(soldOut.text, /Leider ist im Moment nicht alles davon verfügbar/);
  t.notMatch(soldOut.text, /<form/, 'there is nothing to press');

  const token = await pressLink(third.startBasketUrl);
  const refused = await redeem(shop, token);
  t.match(refused, {
    status: 409,
    body: {
      code: 'insufficient_stock',
      errors: [{ itemId: 'mailed', requested: 1, available: 0 }],
      redirectUrl: problemUrl('insufficient_stock', third.id),
    },
  });
  t.match(await readBasket(shop, third.id), { status: 'open', version: 1, expiresAt: null }, 'it waits on');

  t.equal((await cancel(shop, first.id)).status, 200);
  t.match((await visit(third.startBasketUrl)).text, /<form method="post">/);
  t.equal((await redeem(shop, token)).status, 200, 'the token was not spent');
  await booksAgree();
});

t.test('of two activations for the last unit one gets it, and the other’s link works when it comes back', async (t) => {
  await putItem(shop, 'last', 1);
  for (let round = 0; round < 5; round += 1) {
    const baskets = [await mail('last'), await mail('last')];
    const tokens = await Promise.all(baskets.map(({ startBasketUrl }) => pressLink(startBasketUrl)));
    const answers = await Promise.all(tokens.map((token) => redeem(shop, token)));
    t.same(answers.map(({ status }) => status).sort(), [200, 409]);
    const won = baskets[answers.findIndex(({ status }) => status === 200)];
    const lost = baskets[answers.findIndex(({ status }) => status === 409)];
    if (!won || !lost) throw new Error('nobody won');
    t.equal((await cancel(shop, won.id)).status, 200);
    t.equal((await activate(shop, lost.startBasketUrl)).basket.status, 'activated');
    t.equal((await cancel(shop, lost.id)).status, 200);
  }
  t.match(await shop.availability('last'), { held: 0 });
  await booksAgree();
});

t.test('time begins with the activation, and the link works for as long as the basket may then live', async (t) => {
  const linkExpiresAt = new Date(Date.now() + 30 * dayMs).toISOString();
  const { startBasketUrl } = await mail('stalls', { linkExpiresAt, ttlSeconds: 240 });
  const outerExpiry = readLink(shop, startBasketUrl).expiresAt;
  t.equal(Math.floor(secondsBetween(linkExpiresAt, outerExpiry.toISOString()) + 0.999), 1500);
  const { basket, session } = await activate(shop, startBasketUrl);
  const activatedAt = basket.activatedAt ?? '';
  t.match(basket, { status: 'activated', reserve: 'activation' });
  t.notOk('linkExpiresAt' in basket, 'it does not wait any more');
  t.equal(secondsBetween(activatedAt, basket.expiresAt), 240);
  t.equal(secondsBetween(activatedAt, basket.extendableUntil), 900);
  t.equal(secondsBetween(activatedAt, session.expiresAt), 1500);
  t.equal((await visit(startBasketUrl)).status, 200, 'the page again');
  t.equal((await activate(shop, startBasketUrl)).basket.expiresAt, basket.expiresAt, 'and no more time');
});

t.test('whoever nobody activates expires with its link, and gives nothing back', async (t) => {
  await putItem(shop, 'unwanted', 1);
  const { id, startBasketUrl } = await mail('unwanted');
  await activate(shop, (await mail('unwanted')).startBasketUrl);
  await letBeSwept(shop, id);
  t.match(await readBasket(shop, id), { status: 'expired', statusReason: 'timeout', version: 2, expiresAt: null });
  const clicked = await visit(startBasketUrl, { ...browserHeaders, accept: 'application/json' });
  t.match(clicked, { status: 410, text: /basket_expired/ });
  t.match(await shop.availability('unwanted'), { held: 1 });
  const { body } = await shop.backEnd.request<{ data: object[] }>('GET', `/v1/baskets/${id}/timeline`);
  t.match(body.data, [{ type: 'created' }, { type: 'ended', status: 'expired', statusReason: 'timeout' }]);
  await booksAgree();
});

t.test(
  'event, sale window and access are asked again at the activation, and the token is not spent on a no',
  async (t) => {
    await shop.owner.request('PUT', '/v1/events/evt-2', { name: 'The Reading' });
    await putItem(shop, 'guarded', 1, { eventId: 'evt-2' });
    const { id, startBasketUrl } = await mail('guarded');
    const token = await pressLink(startBasketUrl);
    const past = new Date(Date.now() - 60_000).toISOString();
    const future = new Date(Date.now() + dayMs).toISOString();
    const nos: [object, number, string][] = [
      [{ saleEndsAt: past }, 422, 'sale_closed'],
      [{ saleStartsAt: future }, 422, 'sale_not_open'],
      [{ accessRequired: true }, 422, 'access_code_required'],
      [{ capacity: 0 }, 409, 'insufficient_stock'],
    ];
    for (const [change, status, code] of nos) {
      await putItem(shop, 'guarded', 1, { eventId: 'evt-2', ...change });
      const { body, ...answer } = await redeem(shop, token);
      t.match({ ...answer, body }, { status, body: { code, redirectUrl: problemUrl(code, id) } });
    }
    // Prices and limits are those of when the line was added.
    await putItem(shop, 'guarded', 1, { eventId: 'evt-2', price: 999 });
    await shop.owner.request('PATCH', '/v1/events/evt-2', { status: 'suspended' });
    t.match(await redeem(shop, token), { status: 409, body: { code: 'event_suspended' } });
    await shop.owner.request('PATCH', '/v1/events/evt-2', { status: 'scheduled' });
    t.match(await redeem(shop, token), { status: 200, body: { basket: { totals: { due: 100 } } } });
    await booksAgree();
  },
);

t.test('those that wait are superseded by nothing, and an activation supersedes as any other', async (t) => {
  const customer = { id: 'cus-9' };
  await putItem(shop, 'own', 1);
  const waiting = await mail('stalls', { customer });
  const live = await createBasket(shop, { items: [{ itemId: 'own', quantity: 1 }], customer });
  const opened = await activate(shop, (await createBasket(shop, { customer })).startBasketUrl);
  t.same(opened.expiredBasketIds, [live.id]);
  t.match(await readBasket(shop, waiting.id), { status: 'open' });

  const holding = await createBasket(shop, { items: [{ itemId: 'own', quantity: 1 }], customer });
  const wants = await mail('own', { customer });
  const { basket, expiredBasketIds } = await activate(shop, wants.startBasketUrl);
  t.equal(basket.status, 'activated', 'what the customer’s own other basket held is there for this one');
  t.same(expiredBasketIds.sort(), [opened.basket.id, holding.id].sort());
  t.match(await readBasket(shop, waiting.id), { status: 'open' });
  await booksAgree();
});

t.test('a code is used by the activation, and one that is used up by then is dropped', async (t) => {
  const half = { type: 'percent', value: 5000, maxUses: 1 };
  t.equal((await shop.owner.request('PUT', '/v1/discount-codes/HALF', half)).status, 200);
  const [first, second] = [
    await mail('stalls', { discountCodes: ['half'] }),
    await mail('stalls', { discountCodes: ['HALF'] }),
  ];
  t.equal(second.totals.due, 1500);
  const used = async () => (await shop.owner.request<{ availability: object }>('GET', '/v1/discount-codes/HALF')).body;
  t.match(await used(), { availability: { held: 0 } }, 'nobody has used it yet');
  const paidHalf = await activate(shop, first.startBasketUrl);
  t.equal(paidHalf.basket.totals.due, 1500);
  t.notOk('droppedCodes' in paidHalf);
  t.match(await used(), { availability: { held: 1, available: 0 } });
  const paidFull = await activate(shop, second.startBasketUrl);
  t.match(paidFull, { droppedCodes: ['HALF'], basket: { discountCodes: [], totals: { due: 3000 } } });
  await booksAgree();
});

t.test('an item that was moved to a pool meanwhile is taken from the pool', async (t) => {
  await putItem(shop, 'moved', 5);
  const [first, second] = [await mail('moved'), await mail('moved')];
  await shop.owner.request('PUT', '/v1/pools/hall', { name: 'Hall', capacity: 1 });
  const moved = await shop.owner.request('PUT', '/v1/items/moved', { name: 'moved', price: 100, poolId: 'hall' });
  t.equal(moved.status, 200, moved.text);
  await activate(shop, first.startBasketUrl);
  const refused = await redeem(shop, await pressLink(second.startBasketUrl));
  t.match(refused, { status: 409, body: { code: 'insufficient_stock' } satisfies Partial<ShownProblem> });
  t.match(await shop.availability('moved'), { capacity: 1, held: 1 });
  await booksAgree();
});
