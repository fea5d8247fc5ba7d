import t from 'tap';
import { createBasket, pressLink, type Redeemed } from '../support/journey.ts';
import { api, mintToken, startTestService, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { tokenIn } from '../support/tokens.ts';

const older = { kid: 'k1', secret: 'the older secret of a rotation, long enough' };
const newer = { kid: 'k2', secret: 'the newer secret of a rotation, long enough' };

t.test(
  'what a key signed works while the key is listed, after a rotation too, and not after its removal',
  async (t) => {
    const shop = await openShop(t, { config: { linkKeys: [older] } });
    const { databaseUrl } = shop.service.config;
    const replica = (...linkKeys: (typeof older)[]) =>
      startTestService(t, { databaseUrl, linkKeys }, shop.service.redisKeyPrefix);
    const rotating = await replica(newer, older);
    const rotated = await replica(newer);
    const everything = await mintToken({ shop: 'roxy', scope: 'baskets:write baskets:read confirmations:redeem' });
    const open = ({ url }: { url: string }, link: string) =>
      visit(`${url}/b/${tokenIn(link)}`, { accept: 'text/plain' });
    const redeemAt = ({ url }: { url: string }, token: string) =>
      api(url, everything).request<Redeemed>('POST', '/v1/confirmations', { token });
    const readAt = ({ url }: { url: string }, { session, basket }: Redeemed) =>
      api(url, session.token).request('GET', `/v1/baskets/${basket.id}`);

    const early = await createBasket(shop);
    const late = await createBasket(shop, {}, api(rotating.url, everything));
    t.equal((await open(rotating, early.startBasketUrl)).status, 200, 'a link of the older key, while it is listed');
    t.equal((await open(rotating, late.startBasketUrl)).status, 200, 'a link of the newer key');
    t.equal((await open(rotated, late.startBasketUrl)).status, 200, 'a link of the newer key, alone');
    t.match(
      await open(rotated, early.startBasketUrl),
      { status: 403, text: /link_invalid/ },
      'a link of the removed key',
    );

    const token = await pressLink(early.startBasketUrl);
    t.equal((await redeemAt(rotated, token)).status, 404, 'a confirmation token of the removed key');
    const redeemed = await redeemAt(rotating, token);
    t.equal(redeemed.status, 200, redeemed.text);
    t.equal((await readAt(rotating, redeemed.body)).status, 200, 'a session of the newer key');
    t.equal((await readAt(shop.service, redeemed.body)).status, 401, 'where the newer key is not listed yet');
  },
);
