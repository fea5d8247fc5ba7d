import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { freePort } from '../../src/dev/services.ts';
import { until } from './until.ts';

const configuration = fileURLToPath(new URL('../../deploy/prometheus/', import.meta.url));

/** False, or why tests with Debian's Prometheus cannot be run. */
export const prometheusMissing = spawnSync('prometheus', ['--version']).error
  ? 'there is no prometheus on the PATH'
  : false;

/** A vector or matrix that a query gave: the values of each series, with their times. */
export type Found = { metric: Record<string, string>; values: [atSeconds: number, value: number][] };

/**
 * Starts a Prometheus with the configuration of deploy/prometheus, but that it asks these services and does so every second.
 * It keeps what it learns in the directory.
 */
export async function startPrometheus(directory: string, serviceUrls: readonly string[]) {
  const { scrape_configs, rule_files } = parse(await readFile(join(configuration, 'prometheus.yml'), 'utf8'));
  const [job] = scrape_configs;
  const targets = serviceUrls.map((url) => new URL(url).host);
  await mkdir(directory, { recursive: true });
  const file = join(directory, 'prometheus.yml');
  await writeFile(
    file,
    stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: rule_files.map((name: string) => join(configuration, name)),
      scrape_configs: [{ ...job, static_configs: [{ targets }] }],
    }),
  );
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const flags = [`--config.file=${file}`, `--storage.tsdb.path=${join(directory, 'data')}`];
  const child = spawn('prometheus', [...flags, `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const exited = once(child, 'exit');

  async function ask<Data>(path: string): Promise<Data> {
    const answer = await fetch(`${url}/api/v1/${path}`);
    const { status, error, data } = (await answer.json()) as { status: string; error?: string; data: Data };
    if (status !== 'success') throw new Error(`${path}: ${error}`);
    return data;
  }
  await until('Prometheus is ready', 30_000, async () => {
    if (child.exitCode !== null) throw new Error(said);
    return fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  return {
    url,
    ask,
    /** What an expression came to during the last so many seconds, second by second. Throws what Prometheus says of it. */
    async query(expression: string, seconds: number): Promise<Found[]> {
      const end = Date.now() / 1000;
      const range = new URLSearchParams({ query: expression, start: `${end - seconds}`, end: `${end}`, step: '1' });
      const { result } = await ask<{ result: { metric: Found['metric']; values: [number, string][] }[] }>(
        `query_range?${range}`,
      );
      return result.map(({ metric, values }) => ({ metric, values: values.map(([at, value]) => [at, Number(value)]) }));
    },
    async stop(): Promise<void> {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
