import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { signatureOf } from '../../src/webhooks/delivery/message.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/webhooks.md', import.meta.url)), 'utf8');

/** How each language of the page is run: its code, then what reads the cases and prints what it says of each. */
const languages: Record<string, { program: string; file: string; code: (shown: string) => string }> = {
  js: {
    program: process.execPath,
    file: 'verify.mjs',
    code: (shown) => `${shown}
import { readFileSync } from 'node:fs';
const cases = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(cases.map(([secret, headers, body]) => isGenuine(secret, headers, Buffer.from(body)))));`,
  },
  php: {
    program: 'php',
    file: 'verify.php',
    code: (shown) => `<?php
${shown}
$cases = json_decode(stream_get_contents(STDIN), true);
echo json_encode(array_map(fn ($case) => isGenuine(...$case), $cases));`,
  },
  python: {
    program: 'python3',
    file: 'verify.py',
    code: (shown) => `${shown}
import json, sys
cases = json.load(sys.stdin.buffer)
print(json.dumps([is_genuine(secret, headers, body.encode()) for secret, headers, body in cases]))`,
  },
};

const makeSecret = () => `whsec_${randomBytes(24).toString('base64')}`;
const secret = makeSecret();
const body = '{"type":"basket.completed","data":{"basket":{"custom":{"note":"Grüße / 🎟"}}}}';
const nowSeconds = Math.floor(Date.now() / 1000);

/** The headers of a message with this body. */
function headersOf(timestampSeconds: number, ...secrets: string[]) {
  return {
    'webhook-id': 'dlv_1',
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': secrets
      .map((each) => signatureOf(each, 'dlv_1', timestampSeconds, Buffer.from(body)))
      .join(' '),
  };
}

const genuine = headersOf(nowSeconds, secret);
const cases: [what: string, isGenuine: boolean, given: [secret: string, headers: object, body: string]][] = [
  ['what we sent', true, [secret, genuine, body]],
  ['with the signature of a former secret after it', true, [secret, headersOf(nowSeconds, secret, makeSecret()), body]],
  ['with that of a newer one before it', true, [secret, headersOf(nowSeconds, makeSecret(), secret), body]],
  ['four minutes old', true, [secret, headersOf(nowSeconds - 240, secret), body]],
  ['another secret', false, [makeSecret(), genuine, body]],
  ['another body', false, [secret, genuine, `${body} `]],
  ['another id', false, [secret, { ...genuine, 'webhook-id': 'dlv_2' }, body]],
  ['another time', false, [secret, { ...genuine, 'webhook-timestamp': String(nowSeconds + 1) }, body]],
  ['caught ten minutes ago', false, [secret, headersOf(nowSeconds - 600, secret), body]],
  ['from the future', false, [secret, headersOf(nowSeconds + 600, secret), body]],
  ['no time', false, [secret, { ...genuine, 'webhook-timestamp': 'soon' }, body]],
  ['an empty signature', false, [secret, { ...genuine, 'webhook-signature': '' }, body]],
  ['a signature of other letters', false, [secret, { ...genuine, 'webhook-signature': `v1,${'é'.repeat(44)}` }, body]],
  ['no headers', false, [secret, {}, body]],
];

for (const [language, { program, file, code }] of Object.entries(languages)) {
  const skip = spawnSync(program, ['--version']).error ? `there is no ${program} on the PATH` : false;
  t.test(`the ten lines of ${language} take what we sign and nothing else`, { skip }, async (t) => {
    const [shown = '', ...others] = [
      ...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm')),
    ].map(([, content]) => content ?? '');
    t.strictSame(others, []);
    t.ok(shown.split('\n').filter((line) => line !== '').length <= 10, 'ten lines');
    const path = join(t.testdir(), file);
    await writeFile(path, code(shown));
    const child = spawn(program, [path], { stdio: 'pipe' });
    const [output, errors] = [text(child.stdout), text(child.stderr)];
    child.stdin.end(JSON.stringify(cases.map(([, , given]) => given)));
    await once(child, 'close');
    t.equal(await errors, '');
    t.strictSame(
      (JSON.parse(await output) as boolean[]).map((says, at) => [cases[at]?.[0], says]),
      cases.map(([what, isGenuine]) => [what, isGenuine]),
    );
  });
}
