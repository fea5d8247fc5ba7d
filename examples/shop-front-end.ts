import { createBasketlinkClient } from 'basketlink/client';
import { confirmHandler } from 'basketlink/shop';

const { BASKETLINK_URL = 'http://localhost:3000', BASKETLINK_TOKEN = '' } = process.env;

type Session = { customerId: string | null; currentBasketId: string | null; sessionToken: string | null };
/** In memory: a shop has them where it keeps its sessions. */
const sessions = new Map<string, Session>();

export function sessionOf(request: Request): Session {
  const id = /__Host-session=([\w-]+)/.exec(request.headers.get('cookie') ?? '')?.[1] ?? '';
  return sessions.get(id) ?? { customerId: null, currentBasketId: null, sessionToken: null };
}

/** With Next.js, all of app/basket/confirm/route.ts. */
export const GET = confirmHandler({
  client: createBasketlinkClient({ baseUrl: BASKETLINK_URL, token: BASKETLINK_TOKEN }),
  visitorOf: sessionOf,
  logIn: ({ basket, customer, session }, request) => {
    const id = crypto.randomUUID();
    const customerId = customer.login === 'auto' ? customer.id : sessionOf(request).customerId;
    sessions.set(id, { customerId, currentBasketId: basket.id, sessionToken: session.token });
    return { 'set-cookie': `__Host-session=${id}; Path=/; Secure; HttpOnly; SameSite=Lax` };
  },
});
