import { TebexHeadless as AxiosClient } from 'tebex-headless-1.15';
import { TebexHeadless as FetchClient, TebexApiError } from 'tebex-headless-1.16';
import { tebexOrigin } from './exchanges.ts';

/** A basket as the clients give it, as far as the tests read it. */
export type TebexBasket = {
  id: string | number;
  ident: string;
  complete: boolean;
  username: string | null;
  username_id: string | number | null;
  ip: string;
  base_price: number;
  sales_tax: number;
  total_price: number;
  packages: {
    id: number;
    in_basket: { quantity: number; price: number; gift_username_id: string | null; gift_username: string | null };
  }[];
  coupons: object[];
  giftcards: object[];
  creator_code: string | null;
  custom: Record<string, unknown> | null;
  links: { checkout?: string; payment?: string };
};
type TebexPackage = {
  id: number;
  name: string;
  slug?: string | null;
  base_price: number;
  sales_tax: number;
  total_price: number;
};
export type TebexCategory = { id: number; name: string; slug: string | null; packages: TebexPackage[] | null };
type Message = { success: boolean; message: string };
export type CodeKind = 'coupons' | 'giftcards' | 'creator-codes';

/** A refusal, from whatever a client makes of it. */
type TebexRefusal = { status: number; detail: string; code: string };

/** What the clients can do, whatever they call it; what one of them has no words for is left out. */
export type HeadlessClient = {
  webstore(): Promise<{ name: string; currency: string }>;
  categories(includePackages: boolean, basketIdent?: string): Promise<TebexCategory[]>;
  category?(id: number): Promise<TebexCategory>;
  packages?(basketIdent?: string): Promise<TebexPackage[]>;
  package(id: number): Promise<TebexPackage>;
  pages?(): Promise<unknown[]>;
  sidebar?(): Promise<unknown[]>;
  createBasket(): Promise<TebexBasket>;
  createBasketFor(username: string): Promise<TebexBasket>;
  basket(ident: string): Promise<TebexBasket>;
  authUrls(ident: string, returnUrl: string): Promise<{ name: string; url: string }[]>;
  add(ident: string, packageId: number, quantity: number): Promise<TebexBasket>;
  gift?(ident: string, packageId: number, usernameId: string): Promise<TebexBasket>;
  setQuantity?(ident: string, packageId: number, quantity: number): Promise<TebexBasket>;
  removePackage(ident: string, packageId: number): Promise<TebexBasket>;
  apply(ident: string, kind: CodeKind, code: string): Promise<Message>;
  remove(ident: string, kind: CodeKind, code: string): Promise<Message>;
  updateTier?(tierId: number, packageId: number): Promise<unknown>;
  /** What the client throws, and what a store front can read of it. */
  refusalIn(error: unknown): TebexRefusal;
};

export const urls = {
  complete: 'https://tickets.roxy.example/thank-you',
  cancel: 'https://tickets.roxy.example/basket',
};
export const custom = { check: true };
export const ipAddress = '203.0.113.7';

const fieldOf = { coupons: 'coupon_code', giftcards: 'card_number', 'creator-codes': 'creator_code' } as const;

/** tebex_headless 1.15.1, through axios. */
export function axiosClient(publicToken: string, privateKey?: string): HeadlessClient {
  const client = new AxiosClient(publicToken, privateKey);
  const { complete, cancel } = urls;
  return {
    webstore: () => client.getWebstore(),
    categories: (includePackages, basketIdent) => client.getCategories(includePackages, basketIdent),
    category: (id) => client.getCategory(id, true),
    packages: (basketIdent) => client.getPackages(basketIdent),
    package: (id) => client.getPackage(id),
    pages: async () => (await client.getPages()) as unknown as unknown[],
    createBasket: () => client.createBasket(complete, cancel, custom, true, ipAddress),
    createBasketFor: (username) => client.createMinecraftBasket(username, complete, cancel, custom, true, ipAddress),
    basket: (ident) => client.getBasket(ident) as unknown as Promise<TebexBasket>,
    authUrls: (ident, returnUrl) => client.getBasketAuthUrl(ident, returnUrl),
    add: (ident, packageId, quantity) => client.addPackageToBasket(ident, packageId, quantity, 'single', {}),
    gift: (ident, packageId, usernameId) => client.giftPackage(ident, packageId, usernameId),
    setQuantity: (ident, packageId, quantity) => client.updateQuantity(ident, packageId, quantity),
    removePackage: (ident, packageId) => client.removePackage(ident, packageId),
    apply: (ident, kind, code) => client.apply(ident, kind, codeBody(kind, code)),
    remove: (ident, kind, code) => client.remove(ident, kind, codeBody(kind, code)),
    updateTier: (tierId, packageId) => client.updateTier(tierId, packageId),
    refusalIn(error) {
      const { response } = error as { response: { status: number; data: ProblemBody } };
      return { status: response.status, detail: response.data.detail, code: response.data.error_code };
    },
  };
}

/** tebex_headless 1.16.1, through fetch. */
export function fetchClient(publicToken: string, privateKey?: string): HeadlessClient {
  const client = new FetchClient(publicToken, privateKey);
  const { complete, cancel } = urls;
  return {
    webstore: () => client.getWebstore(),
    categories: (includePackages, basketIdent) => client.getCategories(includePackages, undefined, basketIdent),
    category: (id) => client.getCategory(id, true),
    packages: (basketIdent) => client.getPackages(basketIdent),
    package: (id) => client.getPackage(id),
    pages: () => client.getPages(),
    sidebar: () => client.getSidebar(),
    createBasket: () => client.createBasket(complete, cancel, custom, true, ipAddress),
    createBasketFor: (username) => client.createMinecraftBasket(username, complete, cancel, custom, true, ipAddress),
    basket: (ident) => client.getBasket(ident),
    authUrls: (ident, returnUrl) => client.getBasketAuthUrl(ident, returnUrl),
    add: (ident, packageId, quantity) => client.addPackageToBasket(ident, packageId, quantity, 'single', {}),
    gift: (ident, packageId, usernameId) => client.giftPackage(ident, packageId, usernameId),
    setQuantity: (ident, packageId, quantity) => client.updateQuantity(ident, packageId, quantity),
    removePackage: (ident, packageId) => client.removePackage(ident, packageId),
    apply: (ident, kind, code) => client.apply(ident, kind, codeBody(kind, code)),
    remove: (ident, kind, code) => client.remove(ident, kind, codeBody(kind, code)),
    updateTier: (tierId, packageId) => client.updateTier(tierId, packageId),
    refusalIn(error) {
      if (!(error instanceof TebexApiError)) throw error;
      const body = error.body as ProblemBody;
      return { status: error.status, detail: body.detail, code: body.error_code };
    },
  };
}

type ProblemBody = { title: string; detail: string; error_code: string };

function codeBody(kind: CodeKind, code: string) {
  // As the type of the clients wants it, which has one shape for each kind.
  return { [fieldOf[kind]]: code } as { coupon_code: string } & { card_number: string } & { creator_code: string };
}

/** What the two clients below throw: the answer as it came. */
class Unsuccessful extends Error {
  readonly status: number;
  readonly body: ProblemBody;
  constructor(status: number, body: ProblemBody) {
    super(body.detail);
    this.status = status;
    this.body = body;
  }
}

function refusalIn(error: unknown): TebexRefusal {
  if (!(error instanceof Unsuccessful)) throw error;
  const { status, body } = error;
  return { status, detail: body.detail, code: body.error_code };
}

/**
 * In the manner of Tebex' SDKs for .NET and Unity: every call says that it sends JSON, also where the body is empty; what
 * they have no value for is an empty text; the private key is sent with tiers alone.
 *
 * @see https://github.com/tebexio/Tebex-CSharp
 */
export function dotNetClient(publicToken: string, privateKey?: string): HeadlessClient {
  const account = `accounts/${publicToken}`;
  async function call<T>(method: string, path: string, body?: object, authenticated = false): Promise<T> {
    const response = await fetch(`${tebexOrigin}/api/${path}`, {
      method,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        ...(authenticated ? { authorization: `Basic ${btoa(`${publicToken}:${privateKey}`)}` } : {}),
      },
      ...(method === 'GET' ? {} : { body: body === undefined ? '' : JSON.stringify(body) }),
    });
    const answer = (await response.json()) as T;
    if (response.ok) return answer;
    throw new Unsuccessful(response.status, answer as ProblemBody);
  }
  const data = async <T>(...[method, path, body]: Parameters<typeof call>): Promise<T> =>
    (await call<{ data: T }>(method, path, body)).data;
  const create = (username: string) =>
    data<TebexBasket>('POST', `${account}/baskets`, {
      email: '',
      username,
      cancel_url: urls.cancel,
      complete_url: urls.complete,
      custom: {},
      complete_auto_redirect: true,
    });
  return {
    webstore: () => data('GET', account),
    categories: (includePackages) => data('GET', `${account}/categories${includePackages ? '?includePackages=1' : ''}`),
    category: (id) => data('GET', `${account}/categories/${id}?includePackages=1`),
    packages: () => data('GET', `${account}/packages`),
    package: (id) => data('GET', `${account}/packages/${id}`),
    createBasket: () => create(''),
    createBasketFor: create,
    basket: (ident) => data('GET', `${account}/baskets/${ident}`),
    authUrls: (ident, returnUrl) => call('GET', `${account}/baskets/${ident}/auth?returnUrl=${returnUrl}`),
    add: (ident, packageId, quantity) => data('POST', `baskets/${ident}/packages`, { package_id: packageId, quantity }),
    setQuantity: (ident, packageId, quantity) => data('PUT', `baskets/${ident}/packages/${packageId}`, { quantity }),
    removePackage: (ident, packageId) => data('POST', `baskets/${ident}/packages/remove`, { package_id: packageId }),
    apply: (ident, kind, code) => call('POST', `${account}/baskets/${ident}/${kind}`, { [fieldOf[kind]]: code }),
    remove: (ident, kind, code) =>
      call(
        'POST',
        `${account}/baskets/${ident}/${kind}/remove`,
        kind === 'creator-codes' ? undefined : { [fieldOf[kind]]: code },
      ),
    updateTier: (tierId, packageId) => call('PATCH', `${account}/tiers/${tierId}`, { package_id: packageId }, true),
    refusalIn,
  };
}

/**
 * In the manner of Tebex' template of a store front for Nuxt: ids as text, flags as 0 and 1, a slash after the public
 * token, and codes by the ident alone. It reads every body, and takes `data` or else the whole of it.
 *
 * @see https://github.com/tebexio/Headless-Template
 */
export function templateClient(publicToken: string): HeadlessClient {
  async function call<T>(route: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${tebexOrigin}/api/${route}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      ...(body === undefined
        ? {}
        : { headers: { accept: 'application/json', 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as { status?: unknown; data?: T };
    if (response.ok && answer.status !== 'error') return answer.data ?? (answer as T);
    throw new Unsuccessful(response.status, answer as unknown as ProblemBody);
  }
  const account = `accounts/${publicToken}`;
  return {
    webstore: () => call(account, '/'),
    categories: (includePackages, basketIdent = '') =>
      call(account, `/categories?basketIdent=${basketIdent}&includePackages=${includePackages ? 1 : 0}`),
    packages: () => call(account, '/packages'),
    package: (id) => call(account, `/packages/${id}`),
    createBasket: () => call(account, '/baskets', {}),
    createBasketFor: (username) => call(account, '/baskets', { username }),
    basket: (ident) => call(account, `/baskets/${ident}`),
    authUrls: (ident, returnUrl) => call(account, `/baskets/${ident}/auth?returnUrl=${returnUrl}`),
    add: (ident, packageId, quantity) =>
      call('baskets', `/${ident}/packages`, { package_id: String(packageId), quantity, variable_data: undefined }),
    gift: (ident, packageId, usernameId) =>
      call('baskets', `/${ident}/packages`, { package_id: String(packageId), target_username_id: usernameId }),
    removePackage: (ident, packageId) =>
      call('baskets', `/${ident}/packages/remove`, { package_id: String(packageId) }),
    apply: (ident, kind, code) => call('baskets', `/${ident}/${kind}`, { [fieldOf[kind]]: code }),
    remove: (ident, kind, code) => call('baskets', `/${ident}/${kind}/remove`, { [fieldOf[kind]]: code }),
    refusalIn,
  };
}
