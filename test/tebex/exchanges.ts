import { createRequire } from 'node:module';
import type { Test } from 'tap';

/** Where every one of Tebex' clients sends its calls. */
export const tebexOrigin = 'https://headless.tebex.io';

/** A call of a client and what the service answered to it. */
export type Exchange = {
  client: string;
  /** Whether the client had a private key, or the public token alone. */
  hasKey: boolean;
  method: string;
  /** Without the query. */
  path: string;
  status: number;
  contentType: string;
  body: unknown;
};

/** As much of axios as is needed to send its calls elsewhere and to see what came. */
type AxiosResponse = {
  status: number;
  headers: Record<string, unknown>;
  data: unknown;
  config: { method?: string; url?: string };
};
type Axios = {
  interceptors: {
    request: { use(change: (config: { url?: string; proxy?: false }) => object): number };
    response: { use(seen: (response: AxiosResponse) => AxiosResponse, failed: (error: unknown) => never): number };
  };
};

/**
 * Sends what is meant for Tebex to a service of ours, whether a client speaks through axios or fetch, and keeps what is
 * answered. Nothing but the origin is changed on the way. `as` says whose calls are to come.
 */
export function divertTebex(t: Test, serviceUrl: string) {
  const exchanges: Exchange[] = [];
  let caller: Pick<Exchange, 'client' | 'hasKey'> | null = null;
  const keep = (exchange: Omit<Exchange, 'client' | 'hasKey'>) => {
    if (caller === null) throw new Error(`nobody was to call ${exchange.method} ${exchange.path}`);
    exchanges.push({ ...caller, ...exchange });
  };
  const diverted = (url: string) => url.replace(tebexOrigin, serviceUrl);

  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    const url = String(input instanceof Request ? input.url : input);
    if (!url.startsWith(tebexOrigin) && !url.startsWith(`${serviceUrl}/api/`)) return fetch(input, init);
    const response = await fetch(diverted(url), init);
    const text = await response.clone().text();
    keep({
      method: init?.method ?? 'GET',
      path: new URL(url).pathname,
      status: response.status,
      contentType: response.headers.get('content-type') ?? '',
      body: text === '' ? undefined : JSON.parse(text),
    });
    return response;
  };
  t.teardown(() => {
    globalThis.fetch = fetch;
  });

  // The very instance that the client has: a package of its own, not what this file would import under that name.
  const require = createRequire(import.meta.url);
  const axios: Axios = createRequire(require.resolve('tebex-headless-1.15'))('axios');
  axios.interceptors.request.use((config) => ({ ...config, url: diverted(config.url ?? ''), proxy: false }));
  const keepResponse = ({ status, headers, data, config: { method = '', url = '' } }: AxiosResponse) =>
    keep({
      method: method.toUpperCase(),
      path: new URL(url).pathname,
      status,
      contentType: String(headers['content-type'] ?? ''),
      body: data,
    });
  axios.interceptors.response.use(
    (response) => {
      keepResponse(response);
      return response;
    },
    (error) => {
      const { response } = error as { response?: AxiosResponse };
      if (response) keepResponse(response);
      throw error;
    },
  );

  return {
    exchanges,
    as(client: string, hasKey: boolean): void {
      caller = { client, hasKey };
    },
  };
}
