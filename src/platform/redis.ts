import { readFileSync } from 'node:fs';
import { Cluster, Redis } from 'ioredis';
import { gatherWrites } from './gather-writes.ts';

/** What a call to Redis gave: its reply, or `unknown` when nobody can say whether it ran. */
type RedisReply = { known: true; reply: unknown } | { known: false };

/** One Lua script, loaded from its file. */
export type RedisScript = { name: string; source: string };

export type RedisConnection = {
  /** Runs a script. Never rejects: a failure, a time-out or an open breaker is `known: false`. */
  run(script: RedisScript, keys: string[], args: (string | number)[]): Promise<RedisReply>;
  /**
   * Adds so many (0 only asks) to the count under a key, which is forgotten when its window has passed. Null where `run`
   * gives `known: false`: then it may have been counted or not.
   */
  count(key: string, windowMs: number, calls: number): Promise<{ count: number; msLeft: number } | null>;
  /**
   * Calls the listener whenever Redis can be used again: after each connection, which may be to another server, and when
   * the breaker closes, before which calls may have been lost.
   */
  onUsable(listener: () => void): void;
  /** Whether calls are sent: it is connected, and the breaker closed. */
  isUsable(): boolean;
  /** Whether Redis answers right now. */
  ping(): Promise<boolean>;
  close(): Promise<void>;
};

/** How long Redis has to answer: a request goes on without it, a command of the CLI has nothing to go on with. */
export const redisTimeoutMs: Record<'ofService' | 'ofTool', number> = { ofService: 250, ofTool: 5000 };
const probeEveryMs = 1000;
/** A connection that says nothing for so many probes is given up for a new one. */
const probesBeforeReconnect = 3;

const countScript = loadScript(new URL('./scripts/', import.meta.url), 'count');

/** Reads a script's source, which is shipped beside the module that runs it. */
export function loadScript(directory: URL, name: string): RedisScript {
  return { name, source: readFileSync(new URL(`${name}.lua`, directory), 'utf8') };
}

/**
 * Opens Redis, or with several URLs separated by commas a Redis Cluster. Redis may be slow, flushed or gone: every
 * command is bounded at `commandTimeoutMs`, nothing is queued while it is away, and after a failure the breaker is open
 * until a ping in the background has been answered, so that a hung Redis costs one wait and not one per request or per
 * second. A command whose reply was lost is not sent again, since its script may have run.
 */
export function openRedis(
  urls: string,
  keyPrefix: string,
  onError: (error: Error) => void,
  commandTimeoutMs = redisTimeoutMs.ofService,
): RedisConnection {
  const client = connect(urls, keyPrefix, commandTimeoutMs);
  client.on('error', onError);
  const listeners: (() => void)[] = [];
  const tellUsable = () => {
    // A node of a cluster may be ready before it is known which slots it has.
    if (client.status === 'ready') for (const listener of listeners) listener();
  };
  if (client instanceof Cluster) {
    client.on('+node', (node: Redis) => node.on('ready', tellUsable).on('connect', () => gatherWrites(node.stream)));
  } else {
    client.on('connect', () => gatherWrites(client.stream));
  }
  client.on('ready', tellUsable);
  const defined = new Set<string>();
  let probing: NodeJS.Timeout | undefined;

  async function answers(): Promise<boolean> {
    const servers = client instanceof Cluster ? client.nodes('master') : [client];
    const answered = servers.map((server) => server.ping().then(...trueOrFalse));
    return answered.length > 0 && (await Promise.all(answered)).every(Boolean);
  }

  function openBreaker(failedProbes: number): void {
    probing = setTimeout(async () => {
      const usable = await answers();
      if (probing === undefined) return;
      if (usable) {
        probing = undefined;
        tellUsable();
        return;
      }
      const given = failedProbes + 1;
      if (given % probesBeforeReconnect === 0) client.disconnect(true);
      openBreaker(given);
    }, probeEveryMs);
  }

  const isUsable = () => probing === undefined && client.status === 'ready';

  async function run(script: RedisScript, keys: string[], args: (string | number)[]): Promise<RedisReply> {
    if (!isUsable()) return { known: false };
    if (!defined.has(script.name)) {
      client.defineCommand(script.name, { lua: script.source });
      defined.add(script.name);
    }
    try {
      const command = Reflect.get(client, script.name) as (...all: unknown[]) => Promise<unknown>;
      return { known: true, reply: await command.call(client, keys.length, ...keys, ...args) };
    } catch (error) {
      if (probing === undefined) openBreaker(0);
      onError(error instanceof Error ? error : new Error(String(error)));
      return { known: false };
    }
  }

  return {
    run,
    async count(key, windowMs, calls) {
      const answered = await run(countScript, [key], [windowMs, calls]);
      if (!answered.known) return null;
      const [count, msLeft] = answered.reply as [number, number];
      return { count, msLeft };
    },
    onUsable(listener) {
      listeners.push(listener);
    },
    isUsable,
    ping: answers,
    async close() {
      clearTimeout(probing);
      probing = undefined;
      client.disconnect();
    },
  };
}

const trueOrFalse = [() => true, () => false] as const;

function connect(urls: string, keyPrefix: string, commandTimeoutMs: number): Redis | Cluster {
  const options = {
    commandTimeout: commandTimeoutMs,
    connectTimeout: 1000,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A server that has become a replica keeps its connections: a new one may find who is the master now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const retryStrategy = (times: number) => Math.min(100 * times, 1000);
  const [first = '', ...others] = urls.split(',');
  if (others.length === 0) return new Redis(first, { ...options, keyPrefix, retryStrategy });
  const { username, password, protocol } = new URL(first);
  return new Cluster([first, ...others], {
    keyPrefix,
    enableOfflineQueue: false,
    clusterRetryStrategy: retryStrategy,
    // What a closed connection had not answered must not be sent again, either; a redirected command has not run.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: 1000,
    slotsRefreshInterval: 5000,
    redisOptions: {
      ...options,
      ...(username === '' ? {} : { username: decodeURIComponent(username) }),
      ...(password === '' ? {} : { password: decodeURIComponent(password) }),
      ...(protocol === 'rediss:' ? { tls: {} } : {}),
    },
  });
}
