import { type Static, Type } from '@sinclair/typebox';
import { Id, Nullable, OneOf, strict, Time } from '../http/schema.ts';

const Url = Type.String({ minLength: 1, maxLength: 2048 });

/** The settings of a shop as its owner writes them; all but name, currency and frontend have the default shown. */
export const ShopSettings = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    currency: Type.String({ description: 'ISO 4217, in capital letters', maxLength: 16 }),
    locale: Type.String({ default: 'en-GB', minLength: 2, maxLength: 35 }),
    supportUrl: Type.Unsafe<string | null>({ ...Nullable(Url), default: null }),
    frontend: Type.Object({ confirmUrl: Url, basketUrl: Url, errorUrl: Url }, strict),
    allowedRedirectOrigins: Type.Array(Type.String({ maxLength: 300 }), { default: [], maxItems: 100 }),
    basket: Type.Object(
      {
        ttlSeconds: Type.Integer({ default: 600, minimum: 10, maximum: 3600 }),
        maxLifetimeSeconds: Type.Optional(
          Type.Integer({ minimum: 10, maximum: 86_400, description: 'default: 3 × ttlSeconds' }),
        ),
        extensionSeconds: Type.Integer({ default: 120, minimum: 1, maximum: 3600 }),
        maxExtensions: Type.Integer({ default: 10, minimum: 0, maximum: 1000 }),
        checkoutSeconds: Type.Integer({ default: 900, minimum: 10, maximum: 86_400 }),
        maxLines: Type.Integer({ default: 50, minimum: 1, maximum: 200 }),
        maxLiveBasketsPerCustomer: Type.Unsafe<number | null>({
          ...Nullable(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
          default: 10,
        }),
        maxLiveBasketsPerPartner: Type.Unsafe<number | null>({
          ...Nullable(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
          default: null,
        }),
      },
      { ...strict, default: {} },
    ),
    link: Type.Object(
      {
        mode: Type.Unsafe<'page' | 'redirect' | null>({ ...Nullable(OneOf('page', 'redirect')), default: null }),
        format: Type.Unsafe<'token' | 'laravel'>({ ...OneOf('token', 'laravel'), default: 'token' }),
        otherBaskets: Type.Unsafe<'expire' | 'keep'>({ ...OneOf('expire', 'keep'), default: 'expire' }),
        passParams: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_.~-]{1,64}\\*?$' }), {
          default: ['utm_*', 'gclid', 'fbclid', 'msclkid', '_gl'],
          maxItems: 50,
        }),
      },
      { ...strict, default: {} },
    ),
    customer: Type.Object(
      {
        login: Type.Unsafe<'auto' | 'signIn' | 'none'>({ ...OneOf('auto', 'signIn', 'none'), default: 'auto' }),
        usernameRequired: Type.Boolean({ default: false }),
        authProviders: Type.Array(
          Type.Object({ name: Type.String({ minLength: 1, maxLength: 100 }), url: Url }, strict),
          { default: [], maxItems: 20 },
        ),
      },
      { ...strict, default: {} },
    ),
    tax: Type.Object(
      { mode: Type.Unsafe<'exclusive' | 'inclusive'>({ ...OneOf('exclusive', 'inclusive'), default: 'exclusive' }) },
      { ...strict, default: {} },
    ),
    tebex: Type.Object({ enabled: Type.Boolean({ default: false }) }, { ...strict, default: {} }),
  },
  { $id: 'ShopSettings', ...strict },
);
type WrittenSettings = Static<typeof ShopSettings>;

/** Settings with nothing left out. */
export type Settings = Omit<WrittenSettings, 'basket'> & { basket: Required<WrittenSettings['basket']> };

/** A shop as the API shows it. */
export const ShopAnswer = Type.Intersect(
  [
    Type.Object({ ...ShopSettings.properties }),
    Type.Object({ shopId: Id, publicToken: Type.String(), createdAt: Time, updatedAt: Time }),
  ],
  { $id: 'Shop' },
);

/** The parameters of a link in Laravel's format that are ours: a link needs them, and a click passes none of them on. */
export const laravelParameters = ['expires', 'g', 'shop', 'signature'];

/** Under which keys a shop's own Laravel application signs links, the first of them signing; written and never shown. */
export const LaravelKeysBody = Type.Object(
  {
    keys: Type.Array(Type.String({ minLength: 16, maxLength: 512 }), {
      maxItems: 10,
      uniqueItems: true,
      description: 'APP_KEY as it stands there, with `base64:`, then APP_PREVIOUS_KEYS. None: links are tokens again.',
    }),
    ignoredParameters: Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
      default: [],
      maxItems: 100,
      description: `What mail programs and campaigns may append. None of ${laravelParameters.join(', ')}.`,
    }),
  },
  strict,
);
export type LaravelKeys = Static<typeof LaravelKeysBody>;

/** A tenant with its settings, as the other rooms see it. */
export type Shop = Settings & {
  shopId: string;
  /** What tokens carry instead of the id. */
  shopNumber: number;
  /** Raised by every change, so that a creation can tell that it used old settings. */
  version: number;
  publicToken: string;
  /** Its LaravelKeys, encrypted; null when it has none. */
  sealedLaravelKeys: string | null;
  createdAt: Date;
  updatedAt: Date;
};

/** A shop as the API shows it. */
export function toShopAnswer(shop: Shop): Static<typeof ShopAnswer> {
  const { shopNumber, version, sealedLaravelKeys, createdAt, updatedAt, ...shown } = shop;
  return { ...shown, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}
