type ProblemRow = { status: number; alsoStatus?: readonly number[]; title: string; text: string };

/**
 * The one table of problem codes. Every refusal that leaves the service names a row of it, `/problems/{code}` shows the
 * row, and `docs/errors.md` is generated from it. `text` is public: it tells the caller what to do next.
 */
export const problems = {
  invalid_json: {
    status: 400,
    title: 'The body is not valid JSON',
    text: 'Send one JSON document in UTF-8. `detail` says where reading it failed.',
  },
  invalid_request: {
    status: 400,
    title: 'The request does not fit the schema',
    text: 'Mend what `errors` names: each entry has a JSON pointer into the body (or the name of a header or parameter) and says what was expected there. Nothing is coerced and unknown properties are not dropped.',
  },
  invalid_idempotency_key: {
    status: 400,
    title: 'The Idempotency-Key header is malformed',
    text: 'Send one Idempotency-Key of 1 to 255 printable ASCII characters, bare or in double quotes.',
  },
  invalid_cursor: {
    status: 400,
    title: 'The cursor is not one of ours',
    text: 'Pass `nextCursor` of the previous page unchanged, with the same filters, or leave `cursor` out to start again. Of changes it is `nextAfter`, passed as `after`.',
  },
  unauthorized: {
    status: 401,
    title: 'A valid credential is needed',
    text: 'Send `Authorization: Bearer <token>` with a token that is signed by the configured issuer, has not expired, and carries a `shop` claim.',
  },
  forbidden: {
    status: 403,
    title: 'The credential does not allow this',
    text: 'Use a credential with one of the scopes that `detail` names.',
  },
  link_invalid: {
    status: 403,
    title: 'The link is not valid',
    text: 'The link was not made by this service, or was changed on its way. Open it exactly as it was sent, or ask for a new one.',
  },
  cross_site: {
    status: 403,
    title: 'The page was submitted from another site',
    text: 'Open the start link itself and press the button there.',
  },
  customer_context_only: {
    status: 403,
    title: 'Start links are for customers',
    text: 'A box office session cannot take over a customer’s basket. Open the link in a browser where nobody of the staff is signed in.',
  },
  not_found: {
    status: 404,
    title: 'There is nothing here for this caller',
    text: 'Check the id and the path. What belongs to somebody else answers exactly like what does not exist.',
  },
  basket_not_found: {
    status: 404,
    title: 'There is no such basket',
    text: 'The ident is not one of this web store, or its basket has expired or was cancelled. Forget it and create a new basket.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed here',
    text: 'Use one of the methods in the `Allow` header.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    text: 'Send the whole request within 10 seconds, a POST again with the same Idempotency-Key.',
  },
  insufficient_stock: {
    status: 409,
    title: 'Not enough stock',
    text: '`errors` lists each item with what was requested and what is available. Nothing more is held than before; ask for less, or try again when holds have expired.',
  },
  basket_not_live: {
    status: 409,
    title: 'The basket has ended',
    text: '`basketStatus` and `statusReason` say how. Create a new basket.',
  },
  basket_in_checkout: {
    status: 409,
    title: 'The basket is being paid',
    text: 'Leave checkout first (DELETE …/checkout), or wait until the payment has succeeded or failed.',
  },
  not_recreatable: {
    status: 409,
    title: 'The basket has not expired and was not cancelled',
    text: '`basketStatus` says how it stands. Work on a live basket itself, or cancel it first; create a new one where this one is complete.',
  },
  not_modifiable: {
    status: 409,
    title: 'This part of the basket cannot be changed',
    text: '`detail` says what is fixed. Create a new basket where that is not enough.',
  },
  extension_limit: {
    status: 409,
    title: 'The basket cannot be extended any further',
    text: 'Its extensions are used up, it already lives until `extendableUntil`, or it waits for its activation and no time runs. Start checkout, or let it expire and create a new basket.',
  },
  basket_not_activated: {
    status: 409,
    title: 'The basket has not been activated',
    text: 'The customer opens the start link and the shop front end redeems the confirmation token before the basket can be paid.',
  },
  already_completed: {
    status: 409,
    title: 'The basket is already completed by another order',
    text: '`orderId` names the order that completed it. Refund the second payment.',
  },
  basket_not_completed: {
    status: 409,
    title: 'The basket has not been completed',
    text: 'Only what was paid can be refunded. `basketStatus` and `statusReason` say what became of the basket.',
  },
  order_id_used: {
    status: 409,
    title: 'The order id belongs to another basket',
    text: 'Use an order id of its own for each basket.',
  },
  lease_superseded: {
    status: 409,
    title: 'The checkout lease is stale and the basket has changed since',
    text: 'The customer paid for something else than what the basket now holds. Refund the payment, start checkout again and take the new `leaseId`.',
  },
  expired_stock_gone: {
    status: 409,
    title: 'The basket expired and its stock is gone',
    text: 'The answer is final. Refund the payment.',
  },
  customer_mismatch: {
    status: 409,
    title: 'The basket belongs to another customer',
    text: 'Ask the customer to sign in to the account that the basket was made for.',
  },
  session_superseded: {
    status: 409,
    title: 'The basket was opened in a newer session',
    text: 'Only the session of the newest click is valid. Open the start link again.',
  },
  webhook_disabled: {
    status: 409,
    title: 'The webhook is disabled',
    text: '`GET …/webhooks/{webhookId}` says since when and why. Put it again to enable it, then send this again.',
  },
  event_suspended: {
    status: 409,
    alsoStatus: [422],
    title: 'The event is suspended',
    text: 'Tickets of this event are not sold at the moment. Links and holds wait; try again later.',
  },
  idempotency_in_progress: {
    status: 409,
    title: 'The first request with this key is still running',
    text: 'Send the same request again after `Retry-After` seconds.',
  },
  idempotent_answer_lost: {
    status: 409,
    title: 'The answer to this key can no longer be read',
    text: 'The first request with this key succeeded, but its answer holds a secret that was encrypted with a key of the service that is gone. Look up what it made, and send new requests with a new key.',
  },
  link_expired: {
    status: 410,
    title: 'The link has expired',
    text: 'Ask for a new basket and a new link.',
  },
  link_revoked: {
    status: 410,
    title: 'The link was replaced or revoked',
    text: 'Use the newest link.',
  },
  link_used: {
    status: 410,
    title: 'The order is complete',
    text: 'This basket has been paid. There is nothing left to do with its link.',
  },
  basket_expired: {
    status: 410,
    title: 'The basket has expired',
    text: 'What it held is on sale again. Create a new basket.',
  },
  basket_cancelled: {
    status: 410,
    alsoStatus: [409],
    title: 'The basket was cancelled',
    text: 'What it held is on sale again. Create a new basket.',
  },
  event_cancelled: {
    status: 410,
    alsoStatus: [409, 422],
    title: 'The event is cancelled',
    text: 'Its tickets are no longer sold. If a payment was taken, refund it.',
  },
  confirmation_expired: {
    status: 410,
    title: 'The confirmation token has expired',
    text: 'It lives for 60 seconds. Send the customer to `redirectUrl`; opening the start link again gives a new token.',
  },
  confirmation_used: {
    status: 410,
    title: 'The confirmation token was already used',
    text: 'It works once. Send the customer to `redirectUrl`.',
  },
  state_expired: {
    status: 410,
    title: 'The sign-in took too long',
    text: 'A `state` is good for an hour. Let the customer sign in again, by a page that the shop’s providers are asked for anew.',
  },
  version_conflict: {
    status: 412,
    title: 'The basket has changed since',
    text: 'Read it again and decide anew; `If-Match` must carry its present `ETag`.',
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    text: 'Bodies are limited to 64 KiB, bulk calls to 1 MiB.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body must be JSON in UTF-8',
    text: 'Send `Content-Type: application/json`, in UTF-8 and without content encoding.',
  },
  unknown_item: {
    status: 422,
    title: 'The item is unknown',
    text: '`errors` names the items that this shop does not sell.',
  },
  unknown_event: {
    status: 422,
    title: 'The event is unknown',
    text: 'Create the event before items that belong to it.',
  },
  unknown_pool: {
    status: 422,
    title: 'The pool is unknown',
    text: 'Create the pool before items that draw on it.',
  },
  unknown_currency: {
    status: 422,
    title: 'The currency is unknown',
    text: 'Use an active ISO 4217 code in capital letters, such as GBP.',
  },
  currency_fixed: {
    status: 422,
    title: 'The currency of a gift card cannot be changed',
    text: 'Use the currency that the card was issued in, or delete it and issue another.',
  },
  sale_not_open: {
    status: 422,
    title: 'The sale has not started',
    text: '`errors` names the items and when their sale starts.',
  },
  sale_closed: {
    status: 422,
    title: 'The sale has ended',
    text: '`errors` names the items and when their sale ended.',
  },
  access_code_required: {
    status: 422,
    title: 'An access code is needed',
    text: '`errors` names the items that are sold with an access code only. Give one that is for them, or take their lines out before the code.',
  },
  code_unknown: {
    status: 422,
    title: 'The code is unknown',
    text: 'Check the spelling; capitals do not matter. `errors` names the place of the code in the request.',
  },
  code_expired: {
    status: 422,
    title: 'The code has expired',
    text: '`errors` names the place of the code in the request. Leave it out, or use another.',
  },
  code_exhausted: {
    status: 422,
    title: 'The code is used up',
    text: '`errors` names the place of the code in the request. Leave it out, or try again when baskets that hold its uses have expired.',
  },
  code_not_applicable: {
    status: 422,
    title: 'The code does not apply to this basket',
    text: '`detail` says why not, and `errors` names the place of the code in the request.',
  },
  quantity_limit: {
    status: 422,
    title: 'More than one basket may hold',
    text: '`errors` names the items with their `maxPerBasket`, or the basket’s limit of lines.',
  },
  variable_required: {
    status: 422,
    title: 'A variable is missing or not one of its options',
    text: '`errors` names the lines and the variables.',
  },
  redirect_not_allowed: {
    status: 422,
    title: 'The redirect URL is not allowed',
    text: 'Use an absolute https URL on one of the shop’s `allowedRedirectOrigins`, without userinfo, fragment or the parameters `order_id`, `customer_id` and `basket_id`.',
  },
  ttl_not_allowed: {
    status: 422,
    title: 'The time to live is beyond the shop’s limit',
    text: 'Use a `ttlSeconds` of at most the shop’s `basket.maxLifetimeSeconds`.',
  },
  link_expiry_not_allowed: {
    status: 422,
    title: 'The link cannot expire at that time',
    text: 'Use a `linkExpiresAt` between now and 90 days ahead, or leave it out for 7 days.',
  },
  invalid_settings: {
    status: 422,
    title: 'The settings contradict each other',
    text: '`errors` names the settings and says why.',
  },
  package_id_used: {
    status: 422,
    title: 'The packageId belongs to another item',
    text: 'Use a `packageId` once in a shop.',
  },
  capacity_below_committed: {
    status: 422,
    title: 'The capacity is below what is held and sold',
    text: '`errors` names the stock with what is held and sold of it. Lower the capacity no further than that.',
  },
  capacity_not_adjustable: {
    status: 422,
    title: 'The capacity cannot be changed by so many units',
    text: '`detail` says why: the item draws on a pool (adjust `poolId` instead), the capacity is unlimited (set one first), or it would be above 1,000,000,000.',
  },
  pool_in_use: {
    status: 422,
    title: 'The stock is in use',
    text: 'An item can change its pool only while nothing of its stock is held or sold.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The idempotency key was used for another request',
    text: 'Use a new key for a new request; repeat a request only with exactly the same JSON.',
  },
  basket_empty: {
    status: 422,
    title: 'The basket is empty',
    text: 'Add an item before checkout.',
  },
  username_required: {
    status: 422,
    title: 'The shop needs the customer’s user name',
    text: 'Name `customer.username` when the basket is created, or let the customer sign in with one of the shop’s providers, whose back end then names them (`POST …/authorize`).',
  },
  state_invalid: {
    status: 422,
    title: 'The state is not of a sign-in for this basket',
    text: 'Give `state` exactly as the sign-in page was called with it, to the basket that stood beside it. Attribute nothing to whoever came with another.',
  },
  webstore_not_found: {
    status: 422,
    title: 'There is no such web store',
    text: 'Use the `publicToken` of a shop that has `tebex.enabled`.',
  },
  package_not_found: {
    status: 422,
    title: 'There is no such package',
    text: 'Use the id of a package of this web store, or to change a basket one that is in it.',
  },
  category_not_found: {
    status: 422,
    title: 'There is no such category',
    text: 'Use the id of a category of this web store. Events, pools and items with neither make its categories; an event that is cancelled makes none.',
  },
  not_supported: {
    status: 422,
    title: 'This is not supported',
    text: 'There are no tiers, renewals and chargebacks here. Sell another package instead.',
  },
  webhook_url_not_allowed: {
    status: 422,
    title: 'Webhooks are not sent to this URL',
    text: 'Use an absolute https URL of a public host on port 443, 80 or above 1023 but those of databases, without userinfo and fragment, of at most 2,048 characters.',
  },
  webhook_validation_failed: {
    status: 422,
    title: 'The endpoint did not answer the handshake',
    text: 'Within three seconds, answer the message of the type `validation.webhook` with status 200 and `{"id": "<its id>"}`, then put the webhook again.',
  },
  webhook_limit: {
    status: 422,
    title: 'There are as many webhooks as there can be',
    text: 'The shop, and each of its partners, may have 20. Delete one that is not needed, or change it.',
  },
  amount_mismatch: {
    status: 422,
    title: 'The amount paid is not what is due',
    text: '`due` says what is owed in the basket’s currency, in minor units. Refund or correct the payment.',
  },
  refund_exceeds_purchase: {
    status: 422,
    title: 'More than is left to refund',
    text: '`errors` names the lines with how many units were `requested` and how many are still `refundable`.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many calls',
    text: 'Wait for `Retry-After` seconds, then send the same request again. `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` in every answer say how much is left.',
  },
  code_attempts: {
    status: 429,
    title: 'Too many codes did not work',
    text: 'Wait for `Retry-After` seconds before trying a code again, or go on without one.',
  },
  live_basket_limit: {
    status: 429,
    title: 'Too many live baskets',
    text: 'Complete or cancel earlier baskets of this customer, or wait until they expire.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    text: 'The request line and headers together are limited to 16 KiB.',
  },
  internal_error: {
    status: 500,
    title: 'Something broke on our side',
    text: 'Repeat the request with the same Idempotency-Key. If it happens again, tell the operator the `requestId`.',
  },
  unavailable: {
    status: 503,
    title: 'The service cannot answer right now',
    text: 'Repeat the request after `Retry-After` seconds, a POST with the same Idempotency-Key.',
  },
} as const satisfies Record<string, ProblemRow>;

export type ProblemCode = keyof typeof problems;

/** A refusal that was expected: the code of the table, and what the caller should know about this one case. */
export type Refusal = {
  refused: ProblemCode;
  detail?: string;
  /** One of the row's `alsoStatus`, where the same code is said of a request (422) or of a state (409) instead. */
  status?: number;
  /** Members that belong to this code, such as `errors` or `redirectUrl`. */
  extensions?: Record<string, unknown>;
  /** When to come back, where it is known. */
  retryAfterSeconds?: number;
};

/** Makes a refusal. All of it goes to the caller as it is, so nothing private belongs in it. */
export function refuse(refused: ProblemCode, more: Omit<Refusal, 'refused'> = {}): Refusal {
  return { refused, ...more };
}

/** Tells a refusal from the value that a function gives when all went well. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'refused' in value;
}
