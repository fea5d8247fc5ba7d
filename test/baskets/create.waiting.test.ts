import t from 'tap';
import { audit } from '../support/audit.ts';
import { createBasket, putItem, readBasket, type ShownProblem } from '../support/journey.ts';
import { cancel } from '../support/races.ts';
import { assertRefused } from '../support/refusal.ts';
import { visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: 1 } } });
const { pool } = shop.service;
const items = [{ itemId: 'stalls', quantity: 2 }];
const inDays = (days: number) => new Date(Date.now() + days * 24 * 60 * 60 * 1000).toISOString();
const mail = (more: object = {}) => createBasket(shop, { items, reserve: 'activation', ...more });
const change = (method: string, path: string, body: object = {}) =>
  shop.backEnd.request<ShownProblem>(method, `/v1/baskets/${path}`, body);

t.test('a basket that waits says until when, and holds nothing', async (t) => {
  const linkExpiresAt = inDays(89.9);
  const { id } = await mail({ linkExpiresAt });
  const shown = {
    status: 'open',
    reserve: 'activation',
    expiresAt: null,
    linkExpiresAt,
    extendableUntil: null,
    activatedAt: null,
  };
  t.match(await readBasket(shop, id), shown);
  const { linkExpiresAt: byDefault } = (await mail()) as unknown as { linkExpiresAt: string };
  t.ok(Math.abs(Date.parse(byDefault) - Date.parse(inDays(7))) < 60_000, 'in a week, if nobody says when');
  t.match(await shop.availability('stalls'), { held: 0 });
  await putItem(shop, 'gone', 0);
  t.match(await mail({ items: [{ itemId: 'gone', quantity: 1 }] }), { status: 'open' }, 'also of what is sold out now');
  await audit(pool);
});

t.test('a time that a link cannot have is refused', async (t) => {
  const refuses = (what: string, body: object, status: 400 | 422) =>
    assertRefused(t, shop, what, { status, code: status === 400 ? 'invalid_request' : 'link_expiry_not_allowed' }, () =>
      shop.backEnd.request('POST', '/v1/baskets', { items, ...body }),
    );
  const reserve = 'activation';
  await refuses('in the past', { reserve, linkExpiresAt: inDays(-1) }, 422);
  await refuses('this moment', { reserve, linkExpiresAt: inDays(0) }, 422);
  await refuses('in 91 days', { reserve, linkExpiresAt: inDays(91) }, 422);
  await refuses('with stock held from the creation on', { reserve: 'creation', linkExpiresAt: inDays(1) }, 400);
  await refuses('with nothing said of it', { linkExpiresAt: inDays(1) }, 400);
  await refuses('no time', { reserve, linkExpiresAt: 'tomorrow' }, 400);
  await refuses('a number', { reserve, linkExpiresAt: Date.now() + 1000 }, 400);
  await refuses('another word', { reserve: 'later' }, 400);
});

t.test('it counts in no limit of live baskets', async (t) => {
  const customer = { id: 'cus-1' };
  for (let made = 0; made < 3; made += 1) await mail({ customer });
  t.equal((await createBasket(shop, { customer })).status, 'open', 'the one that the customer may have');
  await mail({ customer });
  const refused = await shop.backEnd.request('POST', '/v1/baskets', { items, customer });
  t.match(refused, { status: 429, body: { code: 'live_basket_limit' } });
});

t.test('it can be edited, and neither stock nor time moves', async (t) => {
  await putItem(shop, 'rare', 0);
  const linkExpiresAt = new Date(Date.now() + 60_000).toISOString();
  const { id } = await mail({ linkExpiresAt });
  const held = await shop.availability('stalls');
  t.match(await change('POST', `${id}/lines`, { itemId: 'rare', quantity: 3 }), { status: 200 });
  t.match(await change('PATCH', `${id}/lines/1`, { quantity: 5 }), { status: 200 });
  t.match(await change('PATCH', `${id}/lines/1`, { quantity: 9 }), { status: 422, body: { code: 'quantity_limit' } });
  t.match(await change('DELETE', `${id}/lines/2`), { status: 200 });
  t.match(await change('PATCH', id, { reference: 'r-1', customer: { id: 'cus-5' } }), { status: 200 });
  t.match(await change('POST', `${id}/extend`), { status: 409, body: { code: 'extension_limit' } });
  t.match(await change('POST', `${id}/link`), { status: 200 });
  t.match(await readBasket(shop, id), { status: 'open', expiresAt: null, linkExpiresAt, totals: { due: 15_000 } });
  t.same(await shop.availability('stalls'), held);
  await audit(pool);
  t.equal((await cancel(shop, id)).status, 200);
  t.same(await shop.availability('stalls'), held, 'there was nothing to give back');
  await audit(pool);
});

t.test('it ends with its event', async (t) => {
  await shop.owner.request('PUT', '/v1/events/evt-2', { name: 'The Reading' });
  await putItem(shop, 'reading', 1, { eventId: 'evt-2' });
  const { id } = await mail({ items: [{ itemId: 'reading', quantity: 1 }] });
  t.equal((await shop.owner.request('POST', '/v1/events/evt-2/cancel')).status, 200);
  t.match(await readBasket(shop, id), { status: 'cancelled', statusReason: 'event_cancelled' });
  await audit(pool);
});

t.test('its link asks for a press unless the basket or the shop wants it otherwise', async (t) => {
  t.equal((await visit((await mail()).startBasketUrl)).status, 200);
  t.equal((await visit((await mail({ linkMode: 'redirect' })).startBasketUrl)).status, 303);
  t.equal((await visit((await createBasket(shop)).startBasketUrl)).status, 303, 'one that holds its stock');
});
