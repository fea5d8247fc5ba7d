import { randomBytes } from 'node:crypto';

/** A checkout under way: what the shop has to remember between starting it and being paid. Amounts in minor units. */
export type Payment = {
  leaseId: string;
  leaseExpiresAt: string;
  /** The same moment by this server's clock. */
  endsAtMs: number;
  orderId: string;
  amountDueMinor: number;
  currency: string;
};

/** What the shop knows about one browser. `signInRequired`: the basket names a customer whom the link may not log in. */
export type ShopSession = {
  customerId: string | null;
  staff: boolean;
  basket: { id: string; sessionToken: string; signInRequired: boolean } | null;
  payment: Payment | null;
};

const MAX_SESSIONS = 1000;

export type Sessions = ReturnType<typeof createSessions>;

/**
 * The shop's browser sessions, in memory and gone with the process: this is a demo. Above {@link MAX_SESSIONS} the oldest
 * are dropped. The cookie carries the shop's name, since all ports of a host share their cookies.
 */
export function createSessions(shopId: string) {
  const cookieName = `shop_${encodeURIComponent(shopId)}`;
  const sessions = new Map<string, ShopSession>();

  return {
    /** The session that the `Cookie` header names, or a new empty one that is kept only once `start` is called with it. */
    find(cookieHeader: string | null | undefined): ShopSession {
      const known = sessions.get(readCookie(cookieHeader, cookieName));
      return known ?? { customerId: null, staff: false, basket: null, payment: null };
    },

    /**
     * Keeps the session under a new id and returns the `Set-Cookie` value. Called whenever rights are gained, so that an
     * id planted in the browser beforehand never comes to name a signed-in customer. The old id keeps its old rights: a
     * double click abandons the first answer together with its cookie, and must not be signed out by that.
     */
    start(session: ShopSession): string {
      const id = randomBytes(32).toString('base64url');
      sessions.set(id, session);
      for (const oldest of sessions.keys()) {
        if (sessions.size <= MAX_SESSIONS) break;
        sessions.delete(oldest);
      }
      // No Secure attribute: the demo is served over plain HTTP on loopback. A real shop sets it and names the cookie __Host-.
      return `${cookieName}=${id}; Path=/; HttpOnly; SameSite=Lax`;
    },

    /** Forgets the session that the `Cookie` header names. */
    end(cookieHeader: string | undefined): void {
      sessions.delete(readCookie(cookieHeader, cookieName));
    },
  };
}

function readCookie(cookieHeader: string | null | undefined, name: string): string {
  const pair = cookieHeader?.split(';').find((part) => part.trim().startsWith(`${name}=`));
  return pair?.trim().slice(name.length + 1) ?? '';
}
