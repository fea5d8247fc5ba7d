import { createBasketlinkClient } from 'basketlink/client';

const { BASKETLINK_URL = 'http://localhost:3000', BASKETLINK_TOKEN = '' } = process.env;
const basketlink = createBasketlinkClient({ baseUrl: BASKETLINK_URL, token: BASKETLINK_TOKEN });

/** What was ordered since a place in the feed, and the place to go on from. Keep it; ask again a minute later. */
export async function ordersSince(place?: string) {
  const query = { types: 'basket.completed', ...(place === undefined ? {} : { after: place }) };
  const { data, error } = await basketlink.GET('/v1/changes', { params: { query } });
  if (error?.code === 'invalid_cursor')
    throw new Error('The service came back from a backup: begin again without a place');
  if (error) throw new Error(`${error.code}: ${error.detail} (request ${error.requestId})`);
  return { orders: data.data, next: data.nextAfter };
}
