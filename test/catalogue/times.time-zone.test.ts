import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

/** Where the clocks are changed, and an hour that is left out there or comes twice. */
const zones = {
  'America/New_York': ['2027-03-14T02:30:00-05:00', '2027-11-07T01:30:00-04:00', '2027-11-07T01:30:00-05:00'],
  'Europe/London': ['2027-03-28T01:30:00Z', '2027-10-31T01:30:00+01:00', '2027-10-31T01:30:00Z'],
  'Australia/Lord_Howe': ['2027-10-03T02:15:00+10:30', '2027-04-04T01:45:00+11:00', '2027-04-04T01:45:00+10:30'],
  'Pacific/Apia': ['2011-12-29T23:59:59-10:00', '2011-12-31T00:00:00+14:00', '2027-01-01T00:00:00Z'],
};

const shop = await openShop(t, { settings: { basket: { ttlSeconds: 600 } } });
const ownZone = process.env.TZ;
t.teardown(() => {
  if (ownZone === undefined) delete process.env.TZ;
  else process.env.TZ = ownZone;
});

for (const [zone, moments] of Object.entries(zones)) {
  t.test(`with the clock of the machine in ${zone} a moment is kept and shown as the moment that it is`, async (t) => {
    process.env.TZ = zone;
    t.not(
      new Date(Date.UTC(2027, 0, 1)).getHours() + new Date(Date.UTC(2027, 6, 1)).getHours(),
      0,
      'the process is there',
    );
    for (const moment of moments) {
      const utc = new Date(moment).toISOString();
      const event = await shop.owner.request('PUT', '/v1/events/timed', { name: 'Timed', startsAt: moment });
      t.match(event.body, { startsAt: utc }, moment);
      t.match((await shop.owner.request('GET', '/v1/events/timed')).body, { startsAt: utc }, moment);
      const item = { name: 'Timed', price: 1, saleStartsAt: '2000-01-01T00:00:00Z', saleEndsAt: moment };
      t.match((await shop.owner.request('PUT', '/v1/items/timed', item)).body, { saleEndsAt: utc }, moment);
      t.match((await shop.owner.request('GET', '/v1/items/timed')).body, { saleEndsAt: utc }, moment);
    }
    const { createdAt, expiresAt, serverTime } = await createBasket(shop);
    t.equal(Date.parse(expiresAt) - Date.parse(createdAt), 600_000);
    t.ok(Math.abs(Date.parse(serverTime) - Date.now()) < 60_000, 'now is now');
    const { body } = await shop.backEnd.request<{ data: object[] }>('GET', `/v1/baskets?updatedAfter=${createdAt}`);
    t.same(body.data, [], 'nothing was changed after the last');
  });
}
