import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, launch } from '../../src/dev/services.ts';

const masters = 3;

/** Starts a Redis Cluster of three masters, with its data in the directory. `url` names all of them, with commas. */
export async function startRedisCluster(directory: string): Promise<{ url: string; stop(): Promise<void> }> {
  const nodes: { port: number; stop(): Promise<void> }[] = [];
  const stop = async () => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    for (let at = 0; at < masters; at += 1) {
      const port = await freePort();
      const dir = await mkdtemp(join(directory, 'redis-node-'));
      const settings = {
        port: String(port),
        bind: '127.0.0.1',
        dir,
        save: '',
        'cluster-enabled': 'yes',
        // By default 10000 above the other, which is more than there are ports.
        'cluster-port': String(await freePort()),
      };
      const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
      const launched = await launch({ command: 'redis-server', args, cwd: dir }, 'SIGTERM');
      if (launched.outcome !== 'ready') throw new Error(`a node did not start: ${JSON.stringify(launched)}`);
      nodes.push({ port, stop: launched.stop });
    }
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    await promisify(execFile)('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
    return { url: addresses.map((address) => `redis://${address}`).join(','), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
