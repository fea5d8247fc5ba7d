import t from 'tap';
import { writeConfirmation, writeSession } from '../../src/handoff/tokens.ts';
import { startLinkPurpose, writeStartToken } from '../../src/links/token.ts';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { newId } from '../../src/platform/ids.ts';
import {
  activate,
  type Created,
  createBasket,
  forgetLinks,
  letBeSwept,
  letExpire,
  pressLink,
  type ShownProblem,
} from '../support/journey.ts';
import { browserHeaders, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { forgeLink, keyringsOf, readLink, tokenIn } from '../support/tokens.ts';

const shop = await openShop(t);

/** Puts an event with one item of it into the shop, and gives a basket with that item. */
let events = 0;
async function basketOfOwnEvent(): Promise<Created & { eventId: string }> {
  events += 1;
  const eventId = `event-${events}`;
  await shop.owner.request('PUT', `/v1/events/${eventId}`, { name: 'An event of its own' });
  await shop.owner.request('PUT', `/v1/items/item-${events}`, { name: 'Seat', eventId, price: 100, capacity: 10 });
  return { ...(await createBasket(shop, { items: [{ itemId: `item-${events}`, quantity: 1 }] })), eventId };
}

async function complete({ id, startBasketUrl }: Created): Promise<void> {
  await activate(shop, startBasketUrl);
  await shop.payments.request('POST', `/v1/baskets/${id}/complete`, { orderId: `order-${id}` });
}
const cancel = ({ id }: Created) => shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`);
const setEvent = (eventId: string, status: string) => shop.owner.request('PATCH', `/v1/events/${eventId}`, { status });
const revoke = async ({ id }: Created) => {
  await shop.service.pool.query('UPDATE baskets SET link_generation = link_generation + 1 WHERE basket_id = $1', [id]);
  await forgetLinks(shop, id);
};
const expired = (link: string) => forgeLink(shop, link, { expiresAt: new Date(Date.now() - 1000) });

type State = { state: string; code: string; status: number; arrange: () => Promise<string> };
const states: State[] = [
  {
    state: 'whose outer expiry has passed',
    code: 'link_expired',
    status: 410,
    arrange: async () => expired((await createBasket(shop)).startBasketUrl),
  },
  {
    state: 'whose outer expiry has passed, of a basket that is unknown',
    code: 'link_expired',
    status: 410,
    arrange: async () =>
      forgeLink(shop, expired((await createBasket(shop)).startBasketUrl), { basketId: newId('bkt') }),
  },
  {
    state: 'of an earlier generation',
    code: 'link_revoked',
    status: 410,
    arrange: async () => {
      const basket = await createBasket(shop);
      await revoke(basket);
      return basket.startBasketUrl;
    },
  },
  {
    state: 'of an earlier generation, whose outer expiry has passed',
    code: 'link_expired',
    status: 410,
    arrange: async () => {
      const basket = await createBasket(shop);
      await revoke(basket);
      return expired(basket.startBasketUrl);
    },
  },
  {
    state: 'of an earlier generation, of a completed basket',
    code: 'link_revoked',
    status: 410,
    arrange: async () => {
      const basket = await createBasket(shop);
      await complete(basket);
      await revoke(basket);
      return basket.startBasketUrl;
    },
  },
  {
    state: 'of a completed basket',
    code: 'link_used',
    status: 410,
    arrange: async () => {
      const basket = await createBasket(shop);
      await complete(basket);
      return basket.startBasketUrl;
    },
  },
  {
    state: 'of a completed basket whose event was cancelled since',
    code: 'link_used',
    status: 410,
    arrange: async () => {
      const basket = await basketOfOwnEvent();
      await complete(basket);
      await setEvent(basket.eventId, 'cancelled');
      return basket.startBasketUrl;
    },
  },
  {
    state: 'of a basket that is unknown',
    code: 'basket_expired',
    status: 410,
    arrange: async () => forgeLink(shop, (await createBasket(shop)).startBasketUrl, { basketId: newId('bkt') }),
  },
  {
    state: 'of a basket whose time has run out, not swept yet',
    code: 'basket_expired',
    status: 410,
    arrange: async () => {
      const { id, startBasketUrl } = await createBasket(shop);
      await letExpire(shop, id);
      return startBasketUrl;
    },
  },
  {
    state: 'of a basket that was swept',
    code: 'basket_expired',
    status: 410,
    arrange: async () => {
      const { id, startBasketUrl } = await createBasket(shop);
      await letBeSwept(shop, id);
      return startBasketUrl;
    },
  },
  {
    state: 'of a basket that was superseded',
    code: 'basket_expired',
    status: 410,
    arrange: async () => {
      const earlier = await createBasket(shop, { customer: { id: 'cus-superseded' } });
      const later = await createBasket(shop, { customer: { id: 'cus-superseded' } });
      await activate(shop, later.startBasketUrl);
      return earlier.startBasketUrl;
    },
  },
  {
    state: 'of a basket that has expired, of a suspended event',
    code: 'basket_expired',
    status: 410,
    arrange: async () => {
      const { id, eventId, startBasketUrl } = await basketOfOwnEvent();
      await letExpire(shop, id);
      await setEvent(eventId, 'suspended');
      return startBasketUrl;
    },
  },
  {
    state: 'of a cancelled basket',
    code: 'basket_cancelled',
    status: 410,
    arrange: async () => {
      const basket = await createBasket(shop);
      await cancel(basket);
      return basket.startBasketUrl;
    },
  },
  {
    state: 'of a cancelled basket whose event was cancelled since',
    code: 'basket_cancelled',
    status: 410,
    arrange: async () => {
      const basket = await basketOfOwnEvent();
      await cancel(basket);
      await setEvent(basket.eventId, 'cancelled');
      return basket.startBasketUrl;
    },
  },
  {
    state: 'of a basket that was cancelled with its event',
    code: 'event_cancelled',
    status: 410,
    arrange: async () => {
      const { eventId, startBasketUrl } = await basketOfOwnEvent();
      await setEvent(eventId, 'cancelled');
      return startBasketUrl;
    },
  },
  {
    state: 'of a basket that has not been ended yet although its event is cancelled',
    code: 'event_cancelled',
    status: 410,
    arrange: async () => {
      const { id, eventId, startBasketUrl } = await basketOfOwnEvent();
      await shop.service.pool.query(
        `UPDATE events SET status = 'cancelled', baskets_ended = true WHERE event_id = $1`,
        [eventId],
      );
      await forgetLinks(shop, id);
      return startBasketUrl;
    },
  },
  {
    state: 'of a suspended event',
    code: 'event_suspended',
    status: 409,
    arrange: async () => {
      const { eventId, startBasketUrl } = await basketOfOwnEvent();
      await setEvent(eventId, 'suspended');
      return startBasketUrl;
    },
  },
];

for (const { state, code, status, arrange } of states) {
  t.test(`a link ${state} answers ${code}: a browser at the shop’s problem page, a program as a problem`, async (t) => {
    const link = await arrange();
    const { basketId } = readLink(shop, link);
    const problemUrl = `https://tickets.roxy.example/basket/problem?error=${code}&basket_id=${basketId}`;
    for (const method of ['GET', 'HEAD', 'POST']) {
      const answer = await visit(link, method === 'POST' ? { accept: 'text/html' } : browserHeaders, method);
      t.equal(answer.status, 303, method);
      t.equal(answer.headers.location, problemUrl, method);
      t.equal(answer.headers['referrer-policy'], 'no-referrer', method);
    }
    for (const method of ['GET', 'POST']) {
      const answer = await visit(link, { accept: 'application/json' }, method);
      t.equal(answer.status, status, `${method}: ${answer.text}`);
      t.equal(answer.headers['content-type'], 'application/problem+json');
      t.equal(problemIn(answer.text).code, code);
    }
  });
}

t.test('a link of a suspended event works again once the event is scheduled again', async (t) => {
  const { eventId, startBasketUrl } = await basketOfOwnEvent();
  await setEvent(eventId, 'suspended');
  t.equal((await visit(startBasketUrl)).status, 303);
  await setEvent(eventId, 'scheduled');
  t.ok(await pressLink(startBasketUrl));
});

t.test('whatever is not a start link of this service answers one and the same link_invalid', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const token = tokenIn(startBasketUrl);
  const { startLink, confirmation, session } = keyringsOf(shop);
  const said = { shopNumber: 1, basketId: id, generation: 1, expiresAt: new Date(Date.now() + 60_000) };
  const [key] = shop.service.config.linkKeys;
  const foreign = deriveKeyring(
    [{ kid: key?.kid ?? '', secret: 'the secret of another service entirely' }],
    startLinkPurpose,
  );
  const namelessKid = deriveKeyring([{ kid: '', secret: key?.secret ?? '' }], startLinkPurpose);
  const unknownKid = deriveKeyring([{ kid: 'other', secret: key?.secret ?? '' }], startLinkPurpose);
  const invalid: Record<string, string> = {
    'a word': 'nonsense',
    'a token that was cut': token.slice(0, -1),
    'a token that was lengthened': `${token}A`,
    'a token as long as a path can be': 'A'.repeat(8000),
    'a token with another character': `${token.slice(0, 30)}${token[30] === 'x' ? 'y' : 'x'}${token.slice(31)}`,
    'a token with another tag': `${token.slice(0, -8)}AAAAAAAA`,
    'a token in small letters': token.toLowerCase(),
    'a token with padding': `${token}=`,
    'a token with an encoded space': `${token}%20`,
    'a token that was encoded twice': token.replace('A', '%2541'),
    'a token with a plus for its last character': `${token.slice(0, -1)}+`,
    'a token with an encoded dot': `${token}%2E`,
    'a token with a dot that was encoded twice': `${token}%252e`,
    'a token with a full-width character': token.replace(/[A-Za-z]/, (letter) =>
      encodeURIComponent(String.fromCodePoint(letter.charCodeAt(0) + 0xfee0)),
    ),
    'a token in capital letters': token.toUpperCase(),
    'a token of another service': writeStartToken(foreign, said),
    'a token of a key that is not listed': writeStartToken(unknownKid, said),
    'a token of a key without a name': writeStartToken(namelessKid, said),
    'a token of a shop that does not exist': writeStartToken(startLink, { ...said, shopNumber: 4_000_000 }),
    'a confirmation token': writeConfirmation(confirmation, { ...said, linkGeneration: 1, issuedAt: new Date() }),
    'a session token': writeSession(session, 1, id, Buffer.alloc(16)),
  };
  const texts = new Set<string>();
  const pages = new Set<string>();
  for (const [what, wrong] of Object.entries(invalid)) {
    const url = `${shop.service.config.publicUrl}/b/${wrong}`;
    for (const method of ['GET', 'POST']) {
      const asJson = await visit(url, { accept: 'application/json' }, method);
      t.equal(asJson.status, 403, `${what}: ${asJson.text}`);
      t.equal(asJson.headers['content-type'], 'application/problem+json');
      const { requestId, ...problem } = problemIn(asJson.text);
      texts.add(JSON.stringify(problem));
      const asPage = await visit(url, { accept: 'text/html' }, method);
      t.equal(asPage.status, 403, what);
      t.match(asPage.headers['content-type'], /^text\/html/);
      pages.add(asPage.text.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'id'));
    }
  }
  t.equal(texts.size, 1, [...texts].join('\n'));
  t.match([...texts][0], /"code":"link_invalid"/);
  t.equal(pages.size, 1);
});

function problemIn(text: string): ShownProblem {
  return JSON.parse(text) as ShownProblem;
}
