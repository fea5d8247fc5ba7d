import type { Basket } from '../baskets/index.ts';
import type { ApiCaller } from '../http/access.ts';
import type { Shop } from '../shops/index.ts';

/** The web store that a request is for, and which back end asks: null by the public token or an ident alone. */
export type Storefront = { shop: Shop; caller: ApiCaller | null };

/** The same with the basket that the ident names, live or completed, as it is at `now`. */
export type StorefrontBasket = Storefront & { ident: string; basket: Basket; now: Date };
