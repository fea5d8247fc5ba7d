import { lookup, Resolver } from 'node:dns/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Agent, buildConnector, request } from 'undici';

/** Requests to addresses that somebody outside has named. */
export type Outbound = {
  /**
   * Asks once and reads the whole answer: no redirection is followed, no proxy used, no certificate taken on trust. Never
   * rejects: what keeps it from an answer is an OutboundFailure.
   */
  request(url: string, options?: OutboundOptions): Promise<OutboundAnswer | OutboundFailure>;
  /** Breaks off what is under way. */
  close(): Promise<void>;
};

type OutboundOptions = {
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: Buffer;
  /** For everything from the name's address to the last byte; 15 s. */
  withinMs?: number;
  /** Of the answer's body, which is dropped when it is larger; 64 KiB. */
  maxBytes?: number;
};
type OutboundAnswer = { status: number; headers: IncomingHttpHeaders; body: Buffer };
/** `status` where one came before it failed. `error` says why in words that may be shown to whoever named the address. */
type OutboundFailure = { status: number | null; error: string };

/** The addresses of a name; rejects when there are none. */
type Resolve = (name: string) => Promise<string[]>;

const connectWithinMs = 10_000;
const idleMs = 4000;
const maxSocketsOfOrigin = 32;
/** In which a name's two lookups are asked of a server, each twice. */
const resolveWithinMs = 2000;

/**
 * Opens what sends requests to addresses from outside. Unless `allowPrivate`, it connects to public addresses alone,
 * whatever the URL says: what it names is checked, every address that a name resolves to, and the address of the socket.
 * The addresses that were checked are the ones that are connected to, so a name that changes its mind changes nothing.
 */
export function openOutbound({
  allowPrivate,
  // The system's lookup occupies one of four threads for as long as somebody's name server takes: a few bad names would
  // keep all others waiting. DNS alone knows no names of the private network, which nobody may name then anyway.
  resolve = allowPrivate ? addressesBySystem : addressesByDns,
}: {
  allowPrivate: boolean;
  resolve?: Resolve;
}): Outbound {
  const isAllowed = (address: string | undefined) => allowPrivate || isPublicAddress(address ?? '');

  const lookupAllowed: LookupFunction = (name, { all }, callback) => {
    resolve(name)
      .then((addresses) => {
        const allowed = addresses.filter(isAllowed).map((address) => ({ address, family: isIP(address) }));
        const [first] = allowed;
        if (first === undefined) throw new NotAllowedError();
        if (all) callback(null, allowed);
        else callback(null, first.address, first.family);
      })
      .catch((error: NodeJS.ErrnoException) => callback(error, []));
  };
  // A lookup is not asked about literal addresses: those are seen in the URL.
  const connect = buildConnector({ lookup: lookupAllowed, timeout: connectWithinMs, rejectUnauthorized: true });
  // An agent keeps connections of one scheme, host and port apart from those of another.
  const agent = new Agent({
    connections: maxSocketsOfOrigin,
    keepAliveTimeout: idleMs,
    // However long the other end would like to keep it.
    keepAliveMaxTimeout: idleMs,
    connect: (options, callback) =>
      connect(options, (error, socket) => {
        if (error !== null) return callback(error, null);
        if (isAllowed(socket.remoteAddress)) return callback(null, socket);
        socket.destroy();
        callback(new NotAllowedError(), null);
      }),
  });

  return {
    async request(url, { method = 'GET', headers = {}, body, withinMs = 15_000, maxBytes = 64 * 1024 } = {}) {
      let status: number | null = null;
      try {
        if (!isAllowedTarget(new URL(url), allowPrivate)) throw new NotAllowedError();
        const signal = AbortSignal.timeout(withinMs);
        const asking = request(url, {
          dispatcher: agent,
          method,
          headers: { 'user-agent': 'basketlink', ...headers },
          body: body ?? null,
          signal,
        });
        // By itself undici heeds the signal once it is connected, but a name server may never answer.
        const response = await Promise.race([asking, abortOf(signal)]);
        status = response.statusCode;
        const chunks: Buffer[] = [];
        let bytes = 0;
        for await (const chunk of response.body as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          // Leaving the loop closes the connection.
          if (bytes > maxBytes) return { status, error: `the answer is larger than ${maxBytes / 1024} KiB` };
          chunks.push(chunk);
        }
        return { status, headers: response.headers, body: Buffer.concat(chunks) };
      } catch (error) {
        return { status, error: reasonOf(error, withinMs) };
      }
    },
    close: () => agent.destroy(),
  };
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/**
 * Whether a request to this URL could be allowed, by what can be seen of the URL alone: https without credentials, a port
 * that is no other service's, and a host that is neither a special address, in whatever spelling WHATWG parsing takes for
 * one, nor a name of a private network. `allowPrivate` leaves of this that it is http or https without credentials.
 */
export function isAllowedTarget(url: URL, allowPrivate: boolean): boolean {
  if (url.username !== '' || url.password !== '') return false;
  if (allowPrivate) return url.protocol === 'https:' || url.protocol === 'http:';
  const port = Number(url.port === '' ? 443 : url.port);
  if (url.protocol !== 'https:' || (port <= 1023 && port !== 443 && port !== 80) || databasePorts.has(port))
    return false;
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '');
  return isIP(host) === 0 ? !privateName.test(host) : isPublicAddress(host);
}

/**
 * Where databases, caches and their like listen: SQL Server, Oracle, etcd, Firebird, MySQL, PostgreSQL, PgBouncer, CouchDB,
 * Redis, Neo4j, InfluxDB, ClickHouse, ArangoDB, Cassandra, Elasticsearch, memcached, CockroachDB, MongoDB, RethinkDB, Db2.
 */
const databasePorts = new Set([
  ...[1433, 1434, 1521, 2379, 2380, 3050, 3306, 33060, 5432, 5433, 6432, 5984, 6379, 6380, 16379, 26379, 7474, 7687],
  ...[8086, 8123, 9000, 8529, 9042, 9200, 9300, 11211, 26257, 27017, 27018, 27019, 28015, 50000],
]);

/**
 * Names that mean another machine to each who asks: RFC 6761 (localhost), RFC 6762 (local), RFC 8375 (home.arpa), the
 * domain that ICANN keeps for private use (internal, in which Google's metadata service is, too), its other name, and
 * names without a dot.
 */
const privateName = /^(?:[^.]*|(?:.*\.)?(?:localhost|local|internal|home\.arpa|metadata\.goog))$/;

/** What the IANA registry of special addresses does not say: Azure's metadata and health service on each machine. */
const azureHost = '168.63.129.16';

/** The part of IPv6 that is given out to the public. Below it lie, among others, all but one way to write IPv4 addresses. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Whether an address belongs to the public internet, by the IANA registries of special-purpose addresses (RFC 6890). Not
 * those that carry an IPv4 address (mapped, translated, 6to4, Teredo), whatever that is: who has that, can say so.
 */
function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text) || text === azureHost) return false;
  const address = ipaddr.parse(text);
  // ipaddr.js takes for unicast whatever is in no range that it knows, such as ::7f00:1.
  return address.range() === 'unicast' && (address.kind() === 'ipv4' || address.match(globalUnicast));
}

async function addressesByDns(name: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: resolveWithinMs, tries: 2 });
  const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const [first] = found;
  const addresses = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  if (addresses.length === 0 && first.status === 'rejected') throw first.reason;
  return addresses;
}

async function addressesBySystem(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

class NotAllowedError extends Error {
  readonly code = 'NOT_ALLOWED';
}

/** By the codes of Node, c-ares, OpenSSL and undici. None of them tells anything of the network that this runs in. */
const reasons: Record<string, string> = {
  NOT_ALLOWED: 'the address is not allowed',
  ENOTFOUND: 'the name has no address',
  ENODATA: 'the name has no address',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was closed before the whole answer was there',
  UND_ERR_SOCKET: 'the connection was closed before the whole answer was there',
  UND_ERR_CONNECT_TIMEOUT: `no connection within ${connectWithinMs / 1000} s`,
  UND_ERR_HEADERS_OVERFLOW: 'the headers of the answer are too large',
};

function reasonOf(error: unknown, withinMs: number): string {
  if (!(error instanceof Error)) throw error;
  if (error.name === 'TimeoutError') return `no whole answer within ${withinMs / 1000} s`;
  const code = 'code' in error ? String(error.code) : error.name;
  return reasons[code] ?? `the connection failed (${code})`;
}
