import { fault } from '../support/fault.ts';
import type { Created } from '../support/journey.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];
const limit = 10;
const atOnce = 10;

fault({
  id: 'F36',
  fault: 'one customer and one partner take all they can get',
  how: `150 creations each, ${atOnce} at once, of an item of which there are 100; the limit is ${limit} live baskets`,
  control: {
    what: 'live baskets are not counted',
    altered: [
      {
        file: 'src/baskets/create.ts',
        find: 'await liveBasketLimit(deps.pool, shop, partner, customerId)',
        replace: 'null as Refusal | null',
      },
    ],
  },
  async run(t, { altered }) {
    const settings = { basket: { maxLiveBasketsPerCustomer: limit, maxLiveBasketsPerPartner: limit } };
    const shop = await openShopOnReplicas(t, { altered, settings });
    const partner = await shop.withScope('baskets:write', 'partner-1');
    const created: string[] = [];
    const violations: string[] = [];

    async function hoard(who: string, client: typeof partner, more: object): Promise<void> {
      let mine = 0;
      for (let asked = 0; asked < 150; asked += atOnce) {
        const answers = await Promise.all(
          Array.from({ length: atOnce }, () =>
            client.request<Created & { code: string }>('POST', '/v1/baskets', { items, ...more }),
          ),
        );
        for (const { status, body, text } of answers) {
          if (status === 201) created.push(body.id);
          if (status === 201) mine += 1;
          else if (body.code !== 'live_basket_limit') violations.push(`${who} was told ${status} ${text}`);
        }
      }
      // Creations at once may go past the limit, by those that were counted together.
      if (mine >= limit + atOnce) violations.push(`${who} got ${mine} baskets`);
    }
    await hoard('the customer', shop.backEnd, { customer: { id: 'hoarder' } });
    await hoard('the partner', partner, {});
    for (let at = 0; at < 20; at += 1) {
      const { status, body, text } = await shop.backEnd.request<Created>('POST', '/v1/baskets', {
        items,
        customer: { id: `cus-${at}` },
      });
      if (status === 201) created.push(body.id);
      else violations.push(`somebody else was told ${status} ${text}`);
    }
    return accountFor(shop.service.pool, created, violations);
  },
});
