/** Where answers are not as Tebex' document says. */
export type Deviation = {
  where: string;
  sent: string;
  why: string;
  /** What of the document is to be read otherwise: JSON pointers with what stands there instead. */
  patch: Record<string, unknown>;
};

const schemas = '/components/schemas';
const answerOf = (path: string, method: string) =>
  `/paths/${path.replaceAll('/', '~1')}/${method}/responses/200/content/application~1json/schema`;
const wrapped = (name: string) => ({ type: 'object', properties: { data: { $ref: `#${schemas}/${name}` } } });
const nullable = (schema: string, property: string) => ({
  [`${schemas}/${schema}/properties/${property}/nullable`]: true,
});

/**
 * All of them, on purpose. The tests read each into the document before they judge by it, and fail when one is not needed
 * any more. docs/tebex.md shows them.
 */
export const deviations: readonly Deviation[] = [
  {
    where: '`POST …/packages`, `POST …/packages/remove`, `PUT …/packages/{packageId}`',
    sent: 'the basket under `data`',
    why: 'every client reads `data`, as after all other calls; the document has the bare basket, or nothing',
    patch: {
      [answerOf('/{basketIdent}/packages', 'post')]: wrapped('Basket'),
      [answerOf('/{basketIdent}/packages/remove', 'post')]: wrapped('Basket'),
      [answerOf('/{basketIdent}/packages/{packageId}', 'put')]: wrapped('Basket'),
    },
  },
  {
    where: '`GET …/packages/{packageId}`, `GET …/categories/{categoryId}`',
    sent: 'one object under `data`',
    why: 'every client reads one; the document has a list',
    patch: {
      [answerOf('/packages/{packageId}', 'get')]: wrapped('Package'),
      [answerOf('/categories/{categoryId}', 'get')]: wrapped('Category'),
    },
  },
  {
    where: 'statuses of refusals',
    sent: '401, 403, 404, 409, 410, 429 and 503 beside 422, and 422 after every call',
    why: 'so a client can tell what to do; the document knows none but 422, and not after every call',
    patch: { '/x-further-statuses': [401, 403, 404, 409, 410, 422, 429, 503] },
  },
  {
    where: 'a problem',
    sent: '`error_code`, `field_details` and `meta`; `code`, `requestId` and what the code adds, as everywhere; no `instance`',
    why: 'Tebex’ template and its SDKs for .NET read the first three',
    patch: {
      [`${schemas}/ErrorResponse/properties/instance/x-sometimes`]: true,
      [`${schemas}/ErrorResponse/additionalProperties`]: true,
    },
  },
  {
    where: '`coupons[]` of a basket',
    sent: '`coupon_code` beside `code`, both the same',
    why: 'clients of the API before 2.0.0 and the SDKs for .NET read `coupon_code`',
    patch: { [`${schemas}/Coupon/properties/coupon_code`]: { type: 'string' } },
  },
  {
    where: '`username_id` of a basket',
    sent: 'a number where it is one that JavaScript keeps exactly, else text; `null` without one',
    why: 'a SteamID64 or UUID does not fit into a number of JSON',
    patch: { [`${schemas}/Basket/properties/username_id/type`]: ['integer', 'string', 'null'] },
  },
  {
    where: '`country`, `creator_code`, `cancel_url` and `ip` of a basket',
    sent: '`null` where there is none',
    why: 'we do not guess a country from an address, nor an address for a back end; the document has no basket without',
    patch: {
      ...nullable('Basket', 'country'),
      ...nullable('Basket', 'creator_code'),
      ...nullable('Basket', 'cancel_url'),
      ...nullable('Basket', 'ip'),
    },
  },
  {
    where: '`links` of a basket',
    sent: '`checkout` until it is paid, `payment` from then on',
    why: 'as the document says in words',
    patch: {
      [`${schemas}/BasketLinks/properties/checkout/x-sometimes`]: true,
      [`${schemas}/BasketLinks/properties/payment/x-sometimes`]: true,
    },
  },
  {
    where: '`packages[]` of a basket',
    sent: '`null` for `image`, `gift_username_id` and `gift_username` where there is none',
    why: 'so do clients expect it',
    patch: {
      ...nullable('BasketPackage', 'image'),
      ...nullable('BasketPackage/properties/in_basket', 'gift_username_id'),
      ...nullable('BasketPackage/properties/in_basket', 'gift_username'),
    },
  },
  {
    where: '`variables` of a package',
    sent: 'left out where it has none',
    why: 'Tebex’ template asks the customer for them wherever the key is, even were the list empty',
    patch: { [`${schemas}/Package/properties/variables/x-sometimes`]: true },
  },
  {
    where: '`GET /api/payments/…`, where `links.payment` leads',
    sent: 'the payment as webhooks have it, the e-mail masked, without `ip` and `revenue_share`',
    why: 'the document has the link and not the call; a link to a receipt is passed on',
    patch: {
      '/paths/~1payments~1{payment}': {
        servers: [{ url: 'https://headless.tebex.io/api' }],
        get: { responses: { 200: { content: { 'application/json': { schema: { type: 'object' } } } } } },
      },
    },
  },
];
