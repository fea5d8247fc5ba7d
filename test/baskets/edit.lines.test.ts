import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  type Created,
  checkout,
  complete,
  createBasket,
  letBeSwept,
  openBasket,
  putItem,
  type ShownProblem,
} from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

type Line = {
  lineId: string;
  itemId: string;
  quantity: number;
  unitPrice: number;
  subtotal: number;
  tax: number;
  total: number;
  modifiable: boolean;
};
type Edited = Created & ShownProblem & { items: Line[]; totals: object };

const settings = { basket: { ttlSeconds: 100, maxLifetimeSeconds: 300, maxLines: 3 } };
const shop = await openShop(t, { settings });
const { pool } = shop.service;
const add = (id: string, body: unknown, headers: Record<string, string> = {}, client = shop.backEnd) =>
  client.request<Edited>('POST', `/v1/baskets/${id}/lines`, body, headers);
const change = (id: string, lineId: string, quantity: unknown, client = shop.backEnd) =>
  client.request<Edited>('PATCH', `/v1/baskets/${id}/lines/${lineId}`, { quantity });
const remove = (id: string, lineId: string, client = shop.backEnd) =>
  client.request<Edited>('DELETE', `/v1/baskets/${id}/lines/${lineId}`);
const read = async (id: string) => (await shop.backEnd.request<Edited>('GET', `/v1/baskets/${id}`)).body;
const shown = ({ items }: Edited) => items.map(({ lineId, itemId, quantity }) => `${lineId}: ${quantity} ${itemId}`);
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
const secondsLeft = ({ serverTime, expiresAt }: Edited) => (Date.parse(expiresAt) - Date.parse(serverTime)) / 1000;

t.test('lines are added, changed and taken out, down to the last, and everything is counted anew', async (t) => {
  await putItem(shop, 'programme', 10, { taxRate: 0.055 });
  const { id } = await createBasket(shop, { items: [{ itemId: 'stalls', quantity: 2 }] });
  const steps = [
    {
      step: () => add(id, { itemId: 'programme', quantity: 3 }),
      lines: ['1: 2 stalls', '2: 3 programme'],
      totals: { subtotal: 5300, discount: 0, tax: 1017, total: 6317, giftCards: 0, due: 6317 },
      held: [2, 3],
    },
    {
      step: () => change(id, '1', 5),
      lines: ['1: 5 stalls', '2: 3 programme'],
      totals: { subtotal: 12_800, discount: 0, tax: 2517, total: 15_317, giftCards: 0, due: 15_317 },
      held: [5, 3],
    },
    {
      step: () => change(id, '1', 1),
      lines: ['1: 1 stalls', '2: 3 programme'],
      totals: { subtotal: 2800, discount: 0, tax: 517, total: 3317, giftCards: 0, due: 3317 },
      held: [1, 3],
    },
    {
      step: () => remove(id, '1'),
      lines: ['2: 3 programme'],
      totals: { subtotal: 300, discount: 0, tax: 17, total: 317, giftCards: 0, due: 317 },
      held: [0, 3],
    },
    {
      step: () => remove(id, '2'),
      lines: [],
      totals: { subtotal: 0, discount: 0, tax: 0, total: 0, giftCards: 0, due: 0 },
      held: [0, 0],
    },
    {
      step: () => add(id, { itemId: 'programme', quantity: 1 }),
      lines: ['3: 1 programme'],
      totals: { subtotal: 100, discount: 0, tax: 6, total: 106, giftCards: 0, due: 106 },
      held: [0, 1],
    },
  ];
  for (const [at, { step, lines, totals, held }] of steps.entries()) {
    const { status, body, headers, text } = await step();
    t.equal(status, 200, text);
    t.equal(headers.get('etag'), `"${at + 2}"`);
    t.equal(body.version, at + 2);
    t.same(shown(body), lines);
    t.same(body.totals, totals);
    const now = [await shop.availability('stalls'), await shop.availability('programme')];
    t.match(now, [{ held: held[0] }, { held: held[1] }], `after ${lines}`);
    await audit(pool);
  }
  const { rows } = await pool.query<{ type: string }>(
    'SELECT type FROM outbox WHERE subject_id = $1 ORDER BY sequence',
    [id],
  );
  t.same(
    rows.map(({ type }) => type),
    ['basket.created', ...steps.map(() => 'basket.updated')],
  );
});

t.test(
  'what is equal in item, variables and custom data becomes one line, in whatever order it is written',
  async (t) => {
    await putItem(shop, 'package', 100, { variables: [{ name: 'server' }, { name: 'nick' }] });
    const line = {
      itemId: 'package',
      quantity: 1,
      variables: { server: 'eu', nick: 'J' },
      custom: { a: [1], b: { c: 2 } },
    };
    const { id } = await createBasket(shop, { items: [line] });
    const swapped = { ...line, quantity: 2, variables: { nick: 'J', server: 'eu' }, custom: { b: { c: 2 }, a: [1] } };
    t.same(shown((await add(id, swapped)).body), ['1: 3 package']);
    t.same(shown((await add(id, { ...line, variables: { server: 'us', nick: 'J' } })).body), [
      '1: 3 package',
      '2: 1 package',
    ]);
    const { body } = await add(id, { itemId: 'package', quantity: 4 });
    t.same(shown(body), ['1: 3 package', '2: 1 package', '3: 4 package']);
    t.same(shown((await add(id, { itemId: 'package', quantity: 1 })).body).at(-1), '3: 5 package');
    await audit(pool);
  },
);

t.test('no line gets the id of one that was taken out', async (t) => {
  const { id } = await createBasket(shop);
  await add(id, { itemId: 'stalls', quantity: 1, custom: { row: 'B' } });
  await remove(id, '2');
  t.same(shown((await add(id, { itemId: 'stalls', quantity: 1, custom: { row: 'C' } })).body), [
    '1: 1 stalls',
    '3: 1 stalls',
  ]);
  await assertRefused(t, shop, 'the id that is gone', { status: 404, code: 'not_found' }, () => change(id, '2', 3));
});

t.test('a line keeps the price and tax that it was added with, and a new line has those of now', async (t) => {
  await putItem(shop, 'dearer', 100, { price: 1000, taxRate: 0.1 });
  const { id } = await createBasket(shop, { items: [{ itemId: 'dearer', quantity: 1 }] });
  await putItem(shop, 'dearer', 100, { name: 'Dearer', price: 5000, taxRate: 0.2 });
  t.match((await change(id, '1', 2)).body.items, [
    { quantity: 2, unitPrice: 1000, subtotal: 2000, tax: 200, total: 2200 },
  ]);
  const { body } = await add(id, { itemId: 'dearer', quantity: 1 });
  t.match(body.items, [{ quantity: 3, unitPrice: 1000, subtotal: 3000, tax: 300, total: 3300, name: 'dearer' }]);
  const another = await add(id, { itemId: 'dearer', quantity: 1, custom: { row: 'A' } });
  t.match(another.body.items[1], { quantity: 1, unitPrice: 5000, tax: 1000, total: 6000, name: 'Dearer' });
  t.match(another.body.totals, { subtotal: 8000, tax: 1300, total: 9300 });
});

t.test(
  'nothing is added in another currency or tax mode than the basket’s, and what is there can still grow',
  async (t) => {
    const settingsNow = [{ currency: 'EUR' }, { tax: { mode: 'inclusive' } }];
    for (const changed of settingsNow) {
      const shop = await openShop(t);
      const { id } = await createBasket(shop);
      await shop.owner.request('PATCH', '/v1/shops/roxy', changed);
      const line = { itemId: 'stalls', quantity: 1 };
      await assertRefused(t, shop, JSON.stringify(changed), { status: 409, code: 'not_modifiable' }, () =>
        add(id, { ...line, custom: { row: 'A' } }, {}, shop.backEnd),
      );
      const { body } = await add(id, line, {}, shop.backEnd);
      t.match(body, { currency: 'GBP', totals: { subtotal: 5000, tax: 1000, total: 6000 } });
    }
  },
);

t.test('what is not modifiable stays as it is', async (t) => {
  const fixed = { status: 409, code: 'not_modifiable' } as const;
  const stalls = { itemId: 'stalls', quantity: 1 };
  const whole = await openBasket(shop, { items: [stalls], modifiable: false });
  const session = shop.as(whole.session.token);
  for (const client of [shop.backEnd, session]) {
    await assertRefused(t, shop, 'the basket: add', fixed, () =>
      add(whole.id, { ...stalls, custom: { a: 1 } }, {}, client),
    );
    await assertRefused(t, shop, 'the basket: merge', fixed, () => add(whole.id, stalls, {}, client));
    await assertRefused(t, shop, 'the basket: change', fixed, () => change(whole.id, '1', 2, client));
    await assertRefused(t, shop, 'the basket: remove', fixed, () => remove(whole.id, '1', client));
  }
  const { id } = await createBasket(shop, { items: [{ ...stalls, modifiable: false }] });
  await assertRefused(t, shop, 'the line: merge', fixed, () => add(id, stalls));
  await assertRefused(t, shop, 'the line: change', fixed, () => change(id, '1', 2));
  await assertRefused(t, shop, 'the line: remove', fixed, () => remove(id, '1'));

  const other = { ...stalls, custom: { row: 'B' } };
  t.match((await add(id, other)).body.items, [{ modifiable: false }, { modifiable: true }], 'others may be changed');
  const merged = await add(id, { ...other, modifiable: false });
  t.match(merged.body.items[1], { quantity: 2, modifiable: false }, 'until something fixed is added to them');
  await assertRefused(t, shop, 'the second line', fixed, () => change(id, '2', 3));

  const both = await createBasket(shop, { items: [{ ...stalls, modifiable: false }, stalls] });
  t.same(
    shown((await add(both.id, stalls)).body),
    ['1: 1 stalls', '2: 2 stalls'],
    'of two equal lines the free one grows',
  );
});

t.test('what may not be sold cannot be added, and can always be taken out', async (t) => {
  const closed = inHours(-1);
  await shop.owner.request('PUT', '/v1/events/evt-2', { name: 'Two' });
  await putItem(shop, 'seat', 50, { eventId: 'evt-2' });
  await putItem(shop, 'timed', 50);
  await putItem(shop, 'secret', 50);
  const { id } = await createBasket(shop, {
    items: [
      { itemId: 'seat', quantity: 4 },
      { itemId: 'timed', quantity: 4 },
      { itemId: 'secret', quantity: 4 },
    ],
  });
  await shop.owner.request('PATCH', '/v1/events/evt-2', { status: 'suspended' });
  await putItem(shop, 'timed', 50, { saleEndsAt: closed });
  await putItem(shop, 'secret', 50, { accessRequired: true });
  const cases = [
    { lineId: '1', itemId: 'seat', code: 'event_suspended', errors: [{ itemId: 'seat' }] },
    { lineId: '2', itemId: 'timed', code: 'sale_closed', errors: [{ itemId: 'timed', saleEndsAt: closed }] },
    { lineId: '3', itemId: 'secret', code: 'access_code_required', errors: [{ itemId: 'secret' }] },
  ] as const;
  for (const { lineId, itemId, code, errors } of cases) {
    const refused = { status: 422, code };
    for (const send of [() => change(id, lineId, 5), () => add(id, { itemId, quantity: 1 })]) {
      t.same(((await assertRefused(t, shop, `${code}: more`, refused, send)).body as ShownProblem).errors, errors);
    }
    t.equal((await change(id, lineId, 4)).status, 200, `${code}: as many`);
    t.equal((await change(id, lineId, 3)).status, 200, `${code}: fewer`);
    t.equal((await remove(id, lineId)).status, 200, `${code}: none`);
  }
});

t.test('what is added is checked as at creation, with its own place in the answer', async (t) => {
  await shop.owner.request('PUT', '/v1/events/off', { name: 'Off', status: 'cancelled' });
  await putItem(shop, 'off', 5, { eventId: 'off' });
  await putItem(shop, 'early', 5, { saleStartsAt: inHours(1) });
  await putItem(shop, 'server', 5, { variables: [{ name: 'server_id', required: true, options: ['eu'] }] });
  const { id } = await createBasket(shop, {
    items: [
      { itemId: 'stalls', quantity: 3, custom: { row: 'A' } },
      { itemId: 'stalls', quantity: 3, custom: { row: 'B' } },
    ],
  });
  const limit = { code: 'quantity_limit', errors: [{ itemId: 'stalls', maxPerBasket: 8 }] } as const;
  const variable = [{ pointer: '/variables/server_id', itemId: 'server', variable: 'server_id' }];
  const refused = [
    { line: { itemId: 'nothing', quantity: 1 }, code: 'unknown_item', errors: [{ itemId: 'nothing' }] },
    { line: { itemId: 'off', quantity: 1 }, code: 'event_cancelled', errors: [{ itemId: 'off' }] },
    { line: { itemId: 'early', quantity: 1 }, code: 'sale_not_open', errors: [{ itemId: 'early' }] },
    { line: { itemId: 'stalls', quantity: 3 }, ...limit },
    { line: { itemId: 'stalls', quantity: 3, custom: { row: 'A' } }, ...limit },
    { line: { itemId: 'server', quantity: 1 }, code: 'variable_required', errors: variable },
    {
      line: { itemId: 'server', quantity: 1, variables: { server_id: 'us' } },
      code: 'variable_required',
      errors: variable,
    },
  ] as const;
  for (const { line, code, errors } of refused) {
    const answer = await assertRefused(t, shop, JSON.stringify(line), { status: 422, code }, () => add(id, line));
    t.match((answer.body as ShownProblem).errors, errors);
  }
  await assertRefused(t, shop, 'a line’s share of the limit', { status: 422, code: 'quantity_limit' }, () =>
    change(id, '1', 6),
  );
  t.equal((await change(id, '1', 5)).status, 200, 'up to the limit');

  t.equal((await add(id, { itemId: 'server', quantity: 1, variables: { server_id: 'eu' } })).status, 200);
  await putItem(shop, 'plain', 5);
  const plain = { itemId: 'plain', quantity: 1 };
  const fourth = await assertRefused(t, shop, 'a line too many', { status: 422, code: 'quantity_limit' }, () =>
    add(id, plain),
  );
  t.same((fourth.body as ShownProblem).errors, [{ maxLines: 3 }]);
  await remove(id, '3');
  t.equal((await add(id, plain)).status, 200, 'when another has gone');
});

t.test('an edit that breaks the schema is a 400, and a line that is not there a 404, whatever is sent', async (t) => {
  const { id } = await createBasket(shop);
  const line = { itemId: 'stalls', quantity: 1 };
  const malformed: [pointer: string, send: () => ReturnType<typeof add>][] = [
    ['/itemId', () => add(id, { quantity: 1 })],
    ['/quantity', () => add(id, { itemId: 'stalls' })],
    ['/price', () => add(id, { ...line, price: 1 })],
    ['/custom', () => add(id, { ...line, custom: { text: 'a'.repeat(17 * 1024) } })],
    ['/custom', () => add(id, { ...line, custom: { a: [[[[[[[[]]]]]]]] } })],
    ...[0, -1, 1.5, '2', null, 10_001, 2 ** 53, 1e300].flatMap((quantity): [string, () => ReturnType<typeof add>][] => [
      ['/quantity', () => add(id, { ...line, quantity })],
      ['/quantity', () => change(id, '1', quantity)],
    ]),
  ];
  for (const [pointer, send] of malformed) {
    const answer = await assertRefused(t, shop, pointer, { status: 400, code: 'invalid_request' }, send);
    t.match((answer.body as ShownProblem).errors, [{ pointer }]);
  }
  for (const lineId of ['2', '01', 'x', '__proto__', '%00', 'a'.repeat(200)]) {
    for (const send of [() => change(id, lineId, 'two'), () => change(id, lineId, 2), () => remove(id, lineId)]) {
      await assertRefused(t, shop, lineId, { status: 404, code: 'not_found' }, send);
    }
  }
  t.same((await read(id)).version, 1);
});

t.test(
  'an edit gives the basket its whole time again, but none past its longest life, and never takes any',
  async (t) => {
    const { id } = await createBasket(shop);
    const left = (expires: string, lifetime: string) =>
      pool.query(
        `UPDATE baskets SET expires_at = date_trunc('milliseconds', now()) + $2::interval,
         lifetime_ends_at = date_trunc('milliseconds', now()) + $3::interval WHERE basket_id = $1`,
        [id, expires, lifetime],
      );
    const edits = [
      () => add(id, { itemId: 'stalls', quantity: 1 }),
      () => change(id, '1', 3),
      () => change(id, '1', 2),
      () => remove(id, '1'),
    ];
    for (const edit of edits) {
      await left('5 seconds', '300 seconds');
      t.equal(secondsLeft((await edit()).body), 100);
    }
    await left('5 seconds', '50 seconds');
    const capped = (await add(id, { itemId: 'stalls', quantity: 1 })).body;
    t.equal(capped.expiresAt, capped.extendableUntil);
    // As after Back, which leaves a minute also where the longest life has ended.
    await left('60 seconds', '-10 seconds');
    const before = await read(id);
    t.equal((await change(id, '2', 2)).body.expiresAt, before.expiresAt);
    await left('200 seconds', '300 seconds');
    const long = await read(id);
    t.equal((await change(id, '2', 1)).body.expiresAt, long.expiresAt);
  },
);

t.test('only a live basket that is not being paid can be edited', async (t) => {
  const expired = await createBasket(shop);
  // Swept by now: the sweeper would write in the middle of a comparison.
  await letBeSwept(shop, expired.id);
  const cancelled = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const paying = await openBasket(shop);
  await checkout(shop, paying.id);
  const paid = await openBasket(shop);
  await complete(shop, paid.id, { orderId: 'order-paid' });
  const cases = [
    { id: expired.id, code: 'basket_not_live', said: { basketStatus: 'expired', statusReason: 'timeout' } },
    { id: cancelled.id, code: 'basket_not_live', said: { basketStatus: 'cancelled', statusReason: 'requested' } },
    { id: paid.id, code: 'basket_not_live', said: { basketStatus: 'completed', statusReason: null } },
    { id: paying.id, code: 'basket_in_checkout', said: {} },
  ] as const;
  for (const { id, code, said } of cases) {
    const sends = [() => add(id, { itemId: 'stalls', quantity: 1 }), () => change(id, '1', 1), () => remove(id, '1')];
    for (const send of sends) {
      t.match((await assertRefused(t, shop, id, { status: 409, code }, send)).body, said);
    }
  }
  await shop.payments.request('DELETE', `/v1/baskets/${paying.id}/checkout`);
  t.equal((await change(paying.id, '1', 2)).status, 200, 'once it has left checkout');
});

t.test('a basket without lines stays, and cannot be paid before something is in it', async (t) => {
  const { id } = await openBasket(shop);
  t.match((await remove(id, '1')).body, { status: 'activated', items: [], totals: { due: 0 } });
  await assertRefused(t, shop, 'nothing to pay', { status: 422, code: 'basket_empty' }, () => checkout(shop, id));
  await add(id, { itemId: 'stalls', quantity: 2 });
  t.match(await checkout(shop, id), { status: 200, body: { amountDue: 6000 } });
});

t.test('an edit that was decided on an older basket is refused', async (t) => {
  const { id } = await createBasket(shop);
  const line = { itemId: 'stalls', quantity: 1 };
  t.equal((await add(id, line, { 'if-match': '"1"' })).status, 200);
  await assertRefused(t, shop, 'an old version', { status: 412, code: 'version_conflict' }, () =>
    add(id, line, { 'if-match': '"1"' }),
  );
});

t.test('something added with an idempotency key is added once, and its answer given again', async (t) => {
  const { id } = await createBasket(shop);
  const line = { itemId: 'stalls', quantity: 1, custom: { row: 'A' } };
  const key = { 'idempotency-key': 'add-1', 'if-match': '"1"' };
  const first = await add(id, line, key);
  t.equal(first.status, 200, first.text);
  await change(id, '2', 4);
  const before = await contentsOf(pool);
  const again = await add(id, line, key);
  t.equal(again.text, first.text);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  t.same(await contentsOf(pool), before, 'a replay writes nothing');
  await assertRefused(t, shop, 'another line', { status: 422, code: 'idempotency_key_reused' }, () =>
    add(id, { ...line, quantity: 2 }, key),
  );
  const together = await Promise.all(Array.from({ length: 8 }, () => add(id, line, { 'idempotency-key': 'add-2' })));
  t.equal(new Set(together.map(({ text }) => text)).size, 1);
  t.match((await read(id)).items[1], { quantity: 5 });
});

t.test('a session edits its own basket and no other, and partners theirs', async (t) => {
  const opened = await openBasket(shop, { ipAddress: '203.0.113.7' });
  const other = await openBasket(shop);
  const session = shop.as(opened.session.token);
  const line = { itemId: 'stalls', quantity: 1 };
  const origin = { origin: 'https://tickets.roxy.example' };
  const added = await add(opened.id, line, origin, session);
  t.equal(added.status, 200, added.text);
  t.equal(added.headers.get('access-control-allow-origin'), origin.origin);
  t.notOk('ipAddress' in added.body, 'it sees no more than it reads');
  t.equal((await change(opened.id, '1', 1, session)).status, 200);
  t.equal((await remove(opened.id, '1', session)).status, 200);
  const stranger = await shop.withScope('baskets:write', 'partner-b');
  for (const [what, client] of [
    ['another basket’s session', session],
    ['a partner', stranger],
  ] as const) {
    for (const send of [() => add(other.id, line, {}, client), () => remove(other.id, '1', client)]) {
      await assertRefused(t, shop, what, { status: 404, code: 'not_found' }, send);
    }
  }
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(pool));
});
