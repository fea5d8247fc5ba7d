import { fault } from '../support/fault.ts';
import { checkout, complete, openBasket, readBasket } from '../support/journey.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';

const rounds = 20;

fault({
  id: 'F39',
  fault: 'the shop’s callbacks come twice and in the wrong order',
  how: 'the failure of an earlier payment after the next has begun, completion before checkout, everything twice at once',
  control: {
    what: 'a failure is taken for that of the present payment, whichever lease it names',
    altered: [
      {
        file: 'src/orders/checkout.ts',
        find: 'if (leaseId !== null && leaseId !== basket.leaseId)',
        replace: 'if (leaseId === 0)',
      },
    ],
  },
  async run(t, { altered }) {
    const shop = await openShopOnReplicas(t, { altered });
    const created: string[] = [];
    const violations: string[] = [];
    const fail = (id: string, leaseId: string) =>
      shop.payments.request<{ code?: string }>('POST', `/v1/baskets/${id}/checkout/fail`, { leaseId });
    const expect = (what: string, told: string | number | null | undefined, expected: string | number) => {
      if (told !== expected) violations.push(`${what}: ${told}, not ${expected}`);
    };
    for (let round = 0; round < rounds; round += 1) {
      const { id } = await openBasket(shop);
      created.push(id);
      const twice = async <T>(send: () => Promise<T>): Promise<[T, T]> => Promise.all([send(), send()]);

      const [first, again] = await twice(() => checkout(shop, id));
      expect('the lease of a checkout that came twice', again.body.leaseId, first.body.leaseId);
      for (const failed of await twice(() => fail(id, first.body.leaseId))) expect('a failure', failed.status, 200);
      const { body: second } = await checkout(shop, id);
      for (const late of await twice(() => fail(id, first.body.leaseId))) {
        expect('the failure of the earlier payment', late.body.code, 'lease_superseded');
      }
      expect('the basket after it', (await readBasket(shop, id)).status, 'checkout');

      const order = { orderId: `order-${round}`, leaseId: second.leaseId };
      for (const completed of await twice(() => complete(shop, id, order))) expect('completion', completed.status, 200);
      expect('another order', (await complete(shop, id, { orderId: `other-${round}` })).body.code, 'already_completed');
      expect('a failure afterwards', (await fail(id, second.leaseId)).body.code, 'basket_not_live');
      expect('a checkout afterwards', (await checkout(shop, id)).body.code, 'basket_not_live');
      expect('the order', (await readBasket(shop, id)).orderId, order.orderId);

      const swapped = await openBasket(shop);
      created.push(swapped.id);
      const early = await complete(shop, swapped.id, { orderId: `early-${round}` });
      expect('completion before checkout', early.status, 200);
      expect('its checkout', (await checkout(shop, swapped.id)).body.code, 'basket_not_live');
    }
    return accountFor(shop.service.pool, created, violations);
  },
});
