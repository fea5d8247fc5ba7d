import type { BasketlinkClient, Confirmation, Problem } from './index.ts';

/** Who uses a browser at the shop now, and the basket that it has there. */
export type Visitor = {
  /** The customer who is signed in, or null. */
  customerId: string | null;
  /** `box_office` for a member of staff, whose clicks are refused. */
  context?: 'customer' | 'box_office';
  /** The basket that this browser had before: a guest's is ended. */
  currentBasketId?: string | null;
  sessionToken?: string | null;
};

export type ConfirmOptions = {
  /** A client whose token has `confirmations:redeem`. */
  client: BasketlinkClient;
  visitorOf: (request: Request) => Visitor | Promise<Visitor>;
  /**
   * Starts a new session of the shop, with `basket.id` and `session.token` in it, for `customer.id` where `customer.login` is
   * `auto`. Gives the headers to answer with, `Set-Cookie` among them.
   */
  logIn: (confirmation: Confirmation, request: Request) => HeadersInit | Promise<HeadersInit>;
  /** Answers a refusal that names no page of the shop to go to; without it, a plain text. */
  refused?: (problem: Problem, request: Request) => Response | Promise<Response>;
};

type HeadersInit = ConstructorParameters<typeof Headers>[0];

/** The token stands in the address: neither the answer nor a `Referer` may keep it. */
const privacy = { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff' };

/**
 * The handler of a shop's `confirmUrl`: redeems `?token=`, calls `logIn`, and redirects to the shop's basket page, or where
 * the service says that a refused customer goes. Only a GET that is no prefetch redeems. Throws what `visitorOf`, `logIn` and
 * `refused` throw; a token that `logIn` has failed on is used up, and the customer opens the link again.
 */
export function confirmHandler({
  client,
  visitorOf,
  logIn,
  refused = plainRefusal,
}: ConfirmOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    if (request.method !== 'GET') return new Response(null, { status: 405, headers: { ...privacy, allow: 'GET' } });
    // Whatever is no success makes the browser ask again when the customer comes.
    if (isPrefetch(request)) return new Response(null, { status: 503, headers: privacy });
    const token = new URL(request.url).searchParams.get('token') ?? '';
    const { customerId, context = 'customer', currentBasketId = null, sessionToken = null } = await visitorOf(request);
    const body = { token, customerId, context, currentBasketId, sessionToken };
    const { data, error } = await client.POST('/v1/confirmations', { body });
    if (data) return onward(data.redirectUrl, await logIn(data, request));
    return typeof error.redirectUrl === 'string' ? onward(error.redirectUrl) : hidden(await refused(error, request));
  };
}

function isPrefetch({ headers }: Request): boolean {
  return /prefetch/.test(`${headers.get('sec-purpose')} ${headers.get('purpose')}`);
}

function onward(location: string, init?: HeadersInit): Response {
  const headers = new Headers(init);
  headers.set('location', location);
  return hidden(new Response(null, { status: 303, headers }));
}

function hidden(response: Response): Response {
  const answer = new Response(response.body, response);
  for (const [name, value] of Object.entries(privacy)) answer.headers.set(name, value);
  return answer;
}

function plainRefusal({ status, code, requestId }: Problem): Response {
  // All else that names no page is between the shop and the service: a credential, a limit, an outage.
  const isOfLink = status === 400 || status === 404;
  const hint = isOfLink ? 'once more, or ask for a new one' : 'once more, a little later';
  return new Response(
    `Your basket could not be opened. Open the link in your message ${hint}.\n\nCode: ${code} ${requestId}\n`,
    { status: isOfLink ? 400 : 503 },
  );
}
