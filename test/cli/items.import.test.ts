import t from 'tap';
import { runImport } from '../../src/cli/items/command.ts';
import { createBasket } from '../support/journey.ts';
import { countedRow, inspectRedis } from '../support/redis.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { config, redisKeyPrefix, pool } = shop.service;
const environment = { DATABASE_URL: config.databaseUrl, REDIS_URL: config.redisUrl };
const keys = inspectRedis(t, redisKeyPrefix);

async function importCsv(csv: string, isTTY = false, shopId = 'roxy') {
  const lines: string[] = [];
  let drawn = '';
  const stream = {
    isTTY,
    write: (text: string) => {
      drawn += text;
    },
  };
  const given = { shopId, csv: Buffer.from(csv) };
  const code = await runImport(environment, given, (line) => lines.push(line), stream, redisKeyPrefix);
  return { code, text: lines.join('\n'), drawn };
}
const read = async (itemId: string) => (await shop.owner.request<object>('GET', `/v1/items/${itemId}`)).body;
const all = async () =>
  (
    await pool.query(
      'SELECT i.*, s.capacity, s.catalogue_version FROM items i JOIN stock s USING (shop_id, stock_id) ORDER BY item_id',
    )
  ).rows;

const csv = `\uFEFFitemId,name,price,taxRate,capacity,eventId,accessRequired,saleStartsAt,description,variables
circle,"Circle, ""best"" view",3500,0.2,40,evt-1,false,2027-01-01T10:00:00+01:00,"two
lines",
members,Members,1000,,,,true,,,"[{""name"":""card"",""required"":true}]"
`;

t.test('rows become the items that PUT makes of the same properties, and Redis knows them', async (t) => {
  t.same(await importCsv(csv), { code: 0, text: '2 of 2\n2 imported, 0 were so already, 0 refused.', drawn: '' });
  t.match(await read('circle'), {
    ...{ name: 'Circle, "best" view', price: 3500, taxRate: 0.2, capacity: 40, eventId: 'evt-1', maxPerBasket: 10_000 },
    ...{ saleStartsAt: '2027-01-01T09:00:00.000Z', description: 'two\nlines', variables: [] },
  });
  t.match(await read('members'), {
    ...{ accessRequired: true, capacity: null, taxRate: 0, eventId: null },
    variables: [{ name: 'card', required: true, type: 'text', options: [] }],
  });
  t.equal(await countedRow(keys, 'item:circle'), '40 0 0 0');
});

t.test('run again it changes nothing; what differs is changed, and nothing else', async (t) => {
  const before = await all();
  t.match(await importCsv(csv), { code: 0, text: /0 imported, 2 were so already, 0 refused/ });
  t.same(await all(), before);
  t.match(await importCsv(csv.replace('1000', '1100')), { code: 0, text: /1 imported, 1 were so already/ });
  t.match(await read('members'), { price: 1100 });
});

t.test('refused rows are named by line, code and what to mend, and lose nothing of the others', async (t) => {
  await createBasket(shop, { items: [{ itemId: 'stalls', quantity: 5 }] });
  const rows = [
    'itemId,name,price,capacity,eventId,packageId',
    'good-1,Good,100,5,,1',
    'pounds,Pounds,25.00,5,,',
    'nobodys,No event,100,5,evt-9,',
    'good-2,Good,100,5,evt-1,2',
    'good-1,Twice,100,5,,',
    'stalls,Stalls,2500,3,evt-1,',
    'nameless,,100,5,,',
    'bad id,Bad,100,5,,',
    'same-package,Same,100,5,,2',
    'too,many,1,2,,,cells',
    'nul,A\0B,100,5,,',
    ...Array.from({ length: 1500 }, (_, at) => `many-${at},Many,100,5,,`),
  ];
  const { code, text, drawn } = await importCsv(rows.join('\r\n'), true);
  t.equal(code, 1);
  const said = text.split('\n');
  t.equal(said[0], '1502 imported, 0 were so already, 9 refused.');
  for (const [at, pattern] of [
    /^line 3, pounds: invalid_request: \/price must be integer\.$/,
    /^line 4, nobodys: unknown_event: /,
    /^line 6, good-1: invalid_request: The item stands in line 2 already: keep one of the two\.$/,
    /^line 7, stalls: capacity_below_committed: /,
    /^line 8, nameless: invalid_request: \/name is required\.$/,
    /^line 9, bad id: invalid_request: \/itemId is not an id/,
    /^line 10, same-package: package_id_used: /,
    /^line 11, too: invalid_request: The row has more cells/,
    /^line 12, nul: invalid_request: A text has a NUL character/,
  ].entries()) {
    t.match(said[at + 1], pattern);
  }
  const { rows: counted } = await pool.query(`SELECT count(*)::int AS many FROM items WHERE item_id LIKE 'many-%'`);
  t.same(counted, [{ many: 1500 }]);
  t.match(await read('good-2'), { packageId: 2 });
  t.match(drawn, /^\r█+░+ 1000 of 1505\r█{30} 1505 of 1505\n$/, 'a terminal shows a bar');
});

t.test(
  'a file that cannot be meant is refused as a whole, with the reason, and so is a shop that is not there',
  async (t) => {
    for (const [csv, message] of [
      ['itemId,price,colour\nx,1,red', /there is no column "colour", the column "name" is missing/],
      ['', /the column "itemId" is missing/],
      ['itemId,name,price\n"x,1', /no CSV that can be read: /],
    ] as const) {
      await t.rejects(importCsv(csv), { message });
    }
    t.match(await importCsv(csv, false, 'nobody'), { code: 1, text: 'There is no shop nobody.' });
  },
);
