import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { createDemoBasket, setUpDemoShop } from '../../src/dev/demo-data.ts';
import { mintToken, startTestService } from '../support/service.ts';

/*
 * In these documents every `sh` block is run, in order, in one shell, and the block after it is its answer, in which `…`
 * stands for anything. `bash` blocks need a machine of their own and are not run here.
 */
const documents = [
  'README.md',
  'docs/integrate-a-back-end.md',
  'docs/integrate-a-shop-front-end.md',
  'docs/webhooks.md',
  'docs/runbooks.md',
  'docs/tebex.md',
];

const project = fileURLToPath(new URL('../..', import.meta.url));
const marker = '=== the answer ends here ===';
// Where `npm run dev` listens, and its demo shop.
const shownApi = 'http://localhost:3000';
const shownShop = 'http://localhost:3001';
const commandsLimitMs = 60_000;

const missing = ['bash', 'curl'].filter((program) => spawnSync(program, ['--version']).error);
const skip = missing.length === 0 ? false : `there is no ${missing.join(' and no ')} on the PATH`;

for (const path of documents) {
  t.test(`a reader who types the commands of ${path} gets the answers that it shows`, { skip }, async (t) => {
    const document = await readFile(join(project, path), 'utf8');
    const steps = stepsOf(document);
    t.not(steps.length, 0, 'it has commands');
    const answers = await run(
      t,
      steps.map(({ command }) => command),
    );
    for (const [at, { command, answer }] of steps.entries()) {
      t.ok(pattern(answer).test(answers[at] ?? ''), command, { shown: answer, given: answers[at] });
    }
  });
}

/** The commands of a document with the answers that it shows. */
function stepsOf(document: string): { command: string; answer: string }[] {
  const blocks = [...document.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter(([, language]) => language !== 'bash');
  return blocks.flatMap(([, language, content = ''], at) => {
    if (language !== 'sh') return [];
    const [, nextLanguage, answer] = blocks[at + 1] ?? [];
    if (answer === undefined || nextLanguage === 'sh') throw new Error(`No answer is shown to: ${content}`);
    return [{ command: content, answer }];
  });
}

/** What an answer must look like: ids, times and tokens differ from run to run, and `…` stands for anything. */
function pattern(answer: string): RegExp {
  const escaped = answer.trim().replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const generic = escaped
    .replace(/\b(bkt|lse)_[a-z0-9]+/g, '$1_[a-z0-9]{26}')
    .replace(/ses_[\w-]+/g, 'ses_[\\w-]{40,}')
    .replace(/(\/b\/|token=)[\w-]+/g, '$1[\\w-]{40,}')
    .replace(/order_?id([="\\:]+)order-\d+/gi, (found) => found.replace(/\d+$/, '\\d+'))
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '[0-9a-f-]{36}')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\\\.\d{3}Z/g, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z')
    .replace(/^…\n/gm, '(?:.*\\n)*?')
    .replace(/\n…$/, '(?:\\n.*)*')
    .replace(/…/g, '.*?');
  return new RegExp(`^${generic}$`);
}

/** Runs commands one after the other in one shell beside a service that is set up as `npm run dev` does. */
async function run(t: Test, commands: string[]): Promise<string[]> {
  const service = await startTestService(t);
  const tokenFor = (scope: string) => mintToken({ shop: 'roxy', scope });
  await setUpDemoShop(service.url, await tokenFor('shop:write catalogue:read'), 'roxy', shownShop);
  const backEndToken = await tokenFor('baskets:read baskets:write catalogue:read customers:login');
  await createDemoBasket(service.url, backEndToken, shownShop);

  const directory = t.testdir();
  await mkdir(join(directory, '.data'));
  const [secret] = service.config.jwtSecrets;
  await writeFile(join(directory, '.data/secrets.json'), JSON.stringify({ JWT_SECRET: secret }));
  await writeFile(
    join(directory, '.data/tour.env'),
    `export API=${service.url}
export TOKEN=${backEndToken}
export SHOP_TOKEN=${await tokenFor('confirmations:redeem orders:write baskets:read')}
export OWNER_TOKEN=${await tokenFor('shop:write catalogue:read')}
`,
  );
  const script = commands.map((command) => `${command}\nprintf '\\n%s\\n' '${marker}'\n`).join('');
  const shell = spawn('bash', ['-u'], { cwd: directory, stdio: ['pipe', 'pipe', 'pipe'], timeout: commandsLimitMs });
  const [output, errors] = [text(shell.stdout), text(shell.stderr)];
  shell.stdin.end(script);
  await once(shell, 'close');
  t.equal(await errors, '', 'the commands have nothing to complain about');
  return (await output)
    .replaceAll('\r', '')
    .replaceAll(service.url, shownApi)
    .split(marker)
    .map((answer) => answer.trim());
}
