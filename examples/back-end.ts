import { createBasketlinkClient } from 'basketlink/client';

const { BASKETLINK_URL = 'http://localhost:3000', BASKETLINK_TOKEN = '' } = process.env;
const basketlink = createBasketlinkClient({ baseUrl: BASKETLINK_URL, token: BASKETLINK_TOKEN });

/** Holds two seats for a booking and gives the link for its customer. Asked again, it gives the same. */
export async function holdSeats(bookingId: string): Promise<string | undefined> {
  const { data, error } = await basketlink.POST('/v1/baskets', {
    body: { items: [{ itemId: 'stalls', quantity: 2 }], reference: bookingId },
    params: { header: { 'Idempotency-Key': bookingId } },
  });
  if (error?.code === 'insufficient_stock') return undefined;
  if (error) throw new Error(`${error.code}: ${error.detail} (request ${error.requestId})`);
  return data.startBasketUrl;
}
