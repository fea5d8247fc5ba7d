import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

/** What a call to Redis gave: its reply, or `unknown` when nobody can say whether it ran. */
type RedisReply = { known: true; reply: unknown } | { known: false };

/** One Lua script, loaded from its file. */
export type RedisScript = { name: string; source: string };

export type RedisConnection = {
  /** Runs a script. Never rejects: a failure, a time-out or an open breaker is `known: false`. */
  run(script: RedisScript, keys: string[], args: (string | number)[]): Promise<RedisReply>;
  /** Whether Redis answers right now. */
  ping(): Promise<boolean>;
  close(): Promise<void>;
};

const commandTimeoutMs = 250;
const breakerOpenMs = 1000;

/** Reads a script's source, which is shipped beside the module that runs it. */
export function loadScript(directory: URL, name: string): RedisScript {
  return { name, source: readFileSync(new URL(`${name}.lua`, directory), 'utf8') };
}

/**
 * Opens Redis. Redis may be slow, flushed or gone: every command is bounded at 250 ms, nothing is queued while it is
 * away, and after a failure the breaker stays open for a second so that a hung Redis costs one wait and not one per
 * request. A command whose reply was lost is not sent again, since its script may have run.
 */
export function openRedis(url: string, keyPrefix: string, onError: (error: Error) => void): RedisConnection {
  const client = new Redis(url, {
    keyPrefix,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 1000,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(100 * times, 1000),
  });
  client.on('error', onError);
  const defined = new Set<string>();
  let openUntilMs = 0;

  return {
    async run(script, keys, args) {
      if (performance.now() < openUntilMs) return { known: false };
      if (!defined.has(script.name)) {
        client.defineCommand(script.name, { lua: script.source });
        defined.add(script.name);
      }
      try {
        const command = Reflect.get(client, script.name) as (...all: unknown[]) => Promise<unknown>;
        return { known: true, reply: await command.call(client, keys.length, ...keys, ...args) };
      } catch (error) {
        openUntilMs = performance.now() + breakerOpenMs;
        onError(error instanceof Error ? error : new Error(String(error)));
        return { known: false };
      }
    },
    async ping() {
      try {
        return (await client.ping()) === 'PONG';
      } catch {
        return false;
      }
    },
    async close() {
      client.disconnect();
    },
  };
}
