import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Deployment } from 'kubernetes-types/apps/v1.js';
import type { HorizontalPodAutoscaler } from 'kubernetes-types/autoscaling/v2.js';
import type { Job } from 'kubernetes-types/batch/v1.js';
import type {
  ConfigMap,
  Container,
  Namespace,
  PodSpec,
  Secret,
  Service,
  ServiceAccount,
} from 'kubernetes-types/core/v1.js';
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js';
import t from 'tap';
import ts from 'typescript';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { stoppedWithinMs } from '../../src/server.ts';
import { unknownVariables } from '../support/environment.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const directory = join(project, 'deploy/kubernetes');

/** What each file holds, by the module of kubernetes-types that has its type. */
const kinds = {
  'namespace.yaml': ['core/v1', 'Namespace'],
  'service-account.yaml': ['core/v1', 'ServiceAccount'],
  'config.yaml': ['core/v1', 'ConfigMap'],
  'secret.example.yaml': ['core/v1', 'Secret'],
  'network-policy.yaml': ['networking/v1', 'NetworkPolicy'],
  'migrate.yaml': ['batch/v1', 'Job'],
  'deployment.yaml': ['apps/v1', 'Deployment'],
  'service.yaml': ['core/v1', 'Service'],
  'disruption-budget.yaml': ['policy/v1', 'PodDisruptionBudget'],
  'autoscaler.yaml': ['autoscaling/v2', 'HorizontalPodAutoscaler'],
} as const;

const read = async <Kind>(name: string) => parse(await readFile(join(directory, name), 'utf8')) as Kind;
const namespace = await read<Namespace>('namespace.yaml');
const account = await read<ServiceAccount>('service-account.yaml');
const config = await read<ConfigMap>('config.yaml');
const secret = await read<Secret>('secret.example.yaml');
const policy = await read<NetworkPolicy>('network-policy.yaml');
const job = await read<Job>('migrate.yaml');
const deployment = await read<Deployment>('deployment.yaml');
const service = await read<Service>('service.yaml');
const budget = await read<PodDisruptionBudget>('disruption-budget.yaml');
const autoscaler = await read<HorizontalPodAutoscaler>('autoscaler.yaml');
const kustomization = await read<{ namespace: string; resources: string[]; images: { name: string }[] }>(
  'kustomization.yaml',
);

t.test('the kustomization applies every manifest but the example of a secret', async (t) => {
  const others = ['kustomization.yaml', 'secret.example.yaml', 'prometheus-adapter.values.yaml'];
  const manifests = (await readdir(directory)).filter((name) => !others.includes(name));
  t.strictSame(kustomization.resources.toSorted(), manifests.toSorted());
  t.strictSame(Object.keys(kinds).toSorted(), [...manifests, 'secret.example.yaml'].toSorted());
  t.equal(kustomization.namespace, namespace.metadata?.name);
});

t.test('no manifest has a field that Kubernetes does not know, lacks one or has one of another type', async (t) => {
  const documents = await Promise.all(
    Object.entries(kinds).map(async ([name, [group, kind]]) => ({ group, kind, manifest: await read<object>(name) })),
  );
  t.strictSame(complaintsAbout(documents), []);

  const wrong = structuredClone(deployment);
  Object.assign(podOf(wrong).containers[0] ?? {}, { redinessProbe: {} });
  t.match(complaintsAbout([{ group: 'apps/v1', kind: 'Deployment', manifest: wrong }]), [/redinessProbe/]);
});

t.test('the service starts with what the config map says, once the secret is not the example', async (t) => {
  const files = await mkdtemp(join(tmpdir(), 'basketlink-secret-'));
  t.teardown(() => rm(files, { recursive: true }));
  t.strictSame(unknownVariables(Object.keys(config.data ?? {})), []);
  const environment = (secrets: Record<string, string>) => inFiles(files, config.data ?? {}, secrets);
  const placeholders = secret.stringData ?? {};
  for (const value of Object.values(placeholders)) t.match(value, /^PLACEHOLDER/);
  const refused = await environment(placeholders);
  for (const name of Object.keys(placeholders)) t.throws(() => loadConfig(refused), new RegExp(`${name} does not fit`));
  const real = await environment({
    DATABASE_URL: 'postgres://user:password@postgres:5432/basketlink',
    REDIS_URL: 'rediss://redis:6379',
    JWT_SECRET: 'a'.repeat(32),
    LINK_KEYS: `k1:${'a'.repeat(32)}`,
    DATA_KEYS: `d1:${'a'.repeat(32)}`,
  });
  t.match(loadConfig(real), { port: portNamed('http'), opsPort: portNamed('ops') });
  t.strictSame(unknownVariables((containerOf(job).env ?? []).map(({ name }) => name)), []);
});

t.test('pods find the secret where the variables say, and no file of it is missing', async (t) => {
  const keys = Object.keys(secret.stringData ?? {});
  const said = [
    ...Object.values(config.data ?? {}),
    ...(containerOf(job).env ?? []).map(({ value = '' }) => value),
  ].filter((value) => value.startsWith('/'));
  for (const path of said) t.ok(keys.includes(basename(path)), path);
  for (const workload of [deployment, job]) {
    const [mount] = containerOf(workload).volumeMounts ?? [];
    const volume = podOf(workload).volumes?.find(({ name }) => name === mount?.name);
    t.equal(volume?.secret?.secretName, secret.metadata?.name);
    for (const { key } of volume?.secret?.items ?? []) t.ok(keys.includes(key), key);
    for (const path of said) t.equal(path, `${mount?.mountPath}/${basename(path)}`);
  }
});

t.test('pods run without any rights, as the user of the image, and cannot write', async (t) => {
  const dockerfile = await readFile(join(project, 'Dockerfile'), 'utf8');
  const [, uid, gid] = /^USER (\d+):(\d+)$/m.exec(dockerfile) ?? [];
  t.equal(account.automountServiceAccountToken, false);
  for (const workload of [deployment, job]) {
    const pod = podOf(workload);
    t.equal(pod.serviceAccountName, account.metadata?.name);
    t.equal(pod.automountServiceAccountToken, false);
    t.match(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: Number(uid),
      runAsGroup: Number(gid),
      fsGroup: Number(gid),
      seccompProfile: { type: 'RuntimeDefault' },
    });
    t.strictSame(containerOf(workload).securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    t.ok(containerOf(workload).resources?.limits?.memory, 'none takes the memory of the others');
    t.equal(containerOf(workload).image, kustomization.images[0]?.name);
  }
});

t.test('there are two replicas at least, and one at most is taken away at a time', async (t) => {
  t.equal(deployment.spec?.replicas, undefined, 'applying it again would undo what the autoscaler did');
  t.ok((autoscaler.spec?.minReplicas ?? 1) >= 2);
  t.equal(autoscaler.spec?.scaleTargetRef.name, deployment.metadata?.name);
  t.equal(budget.spec?.maxUnavailable, 1);
  t.equal(deployment.spec?.strategy?.rollingUpdate?.maxUnavailable, 0);
});

t.test('what selects pods selects those of the deployment, and the job’s where it should', async (t) => {
  const labels = deployment.spec?.template.metadata?.labels ?? {};
  t.strictSame(service.spec?.selector, labels);
  t.strictSame(budget.spec?.selector?.matchLabels, labels);
  t.strictSame(deployment.spec?.selector.matchLabels, labels);
  for (const { labelSelector } of podOf(deployment).topologySpreadConstraints ?? []) {
    t.strictSame(labelSelector?.matchLabels, labels);
  }
  const jobLabels = job.spec?.template.metadata?.labels ?? {};
  t.notSame(jobLabels, labels, 'the service sends no requests to migrations');
  const [expression] = policy.spec?.podSelector.matchExpressions ?? [];
  t.strictSame(
    expression?.values,
    [labels, jobLabels].map((one) => one[expression?.key ?? '']),
  );
});

t.test('probes ask what the service answers, on ports that pods have', async (t) => {
  const container = containerOf(deployment);
  const routes = await readFile(join(project, 'src/http/probes.ts'), 'utf8');
  const probed = [container.startupProbe, container.livenessProbe, container.readinessProbe].map(
    (probe) => probe?.httpGet,
  );
  t.strictSame(
    probed.map((request) => request?.path),
    ['/health/live', '/health/live', '/health/ready'],
  );
  const annotations = deployment.spec?.template.metadata?.annotations ?? {};
  for (const path of [...probed.map((request) => request?.path), annotations['prometheus.io/path']]) {
    t.ok(routes.includes(`'${path}'`), String(path));
  }
  for (const request of probed) t.ok(portNamed(request?.port), 'it has the port');
  t.equal(Number(annotations['prometheus.io/port']), portNamed('ops'));
  for (const { targetPort } of service.spec?.ports ?? []) t.ok(portNamed(targetPort));
  const open = (policy.spec?.ingress ?? []).flatMap(({ ports = [] }) => ports.map(({ port }) => port));
  t.strictSame(
    open,
    (container.ports ?? []).map(({ name }) => name),
  );
});

t.test('a pod is killed only after the service had the time that it takes to stop', async (t) => {
  const pod = podOf(deployment);
  const beforeSeconds = containerOf(deployment).lifecycle?.preStop?.sleep?.seconds ?? 0;
  t.ok(beforeSeconds > 0, 'gateways hear of it first');
  t.ok((pod.terminationGracePeriodSeconds ?? 0) > beforeSeconds + stoppedWithinMs / 1000);
});

t.test('the autoscaler goes by a metric that the adapter has', async (t) => {
  const adapter = await read<{ rules: { custom: { seriesQuery: string }[] } }>('prometheus-adapter.values.yaml');
  const [metric] = autoscaler.spec?.metrics ?? [];
  const name = metric?.pods?.metric.name ?? '';
  t.equal(name, 'basketlink_event_loop_utilisation_ratio');
  t.ok(adapter.rules.custom.some(({ seriesQuery }) => seriesQuery.startsWith(`${name}{`)));
});

function podOf(workload: Deployment | Job): PodSpec {
  const pod = workload.spec?.template.spec;
  if (pod === undefined) throw new Error(`${workload.metadata?.name} has no pods`);
  return pod;
}

function containerOf(workload: Deployment | Job): Container {
  const [container] = podOf(workload).containers;
  if (container === undefined) throw new Error(`${workload.metadata?.name} has no container`);
  return container;
}

function portNamed(name: unknown): number | undefined {
  return containerOf(deployment).ports?.find((port) => port.name === name)?.containerPort;
}

/** The environment with its files in another directory, where they are written. */
async function inFiles(directory: string, environment: Record<string, string>, files: Record<string, string>) {
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      value.startsWith('/') ? join(directory, basename(value)) : value,
    ]),
  );
}

/** What the compiler says when each manifest is written down as a value of its type. */
function complaintsAbout(documents: { group: string; kind: string; manifest: object }[]): string[] {
  // It is nowhere: the compiler is given its text, and looks for types from here.
  const path = join(project, 'test/deploy/manifests.ts');
  const text = documents
    .map(({ group, kind, manifest }, at) => {
      const type = `import('kubernetes-types/${group}.js').${kind}`;
      return `export const manifest${at}: ${type} = ${JSON.stringify(manifest)};`;
    })
    .join('\n');
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => file === path || fileExists(file);
  host.getSourceFile = (file, language) =>
    file === path ? ts.createSourceFile(file, text, language) : getSourceFile(file, language);
  const program = ts.createProgram([path], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
