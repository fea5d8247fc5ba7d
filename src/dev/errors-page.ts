import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { problems } from '../errors.ts';

/** The text of `docs/errors.md`: the table of problem codes for people. */
export function errorsPage(): string {
  const rows = Object.entries(problems).map(([code, row]) => {
    const statuses = 'alsoStatus' in row ? [row.status, ...row.alsoStatus] : [row.status];
    return `| \`${code}\` | ${statuses.join(', ')} | ${cell(row.title)} | ${cell(row.text)} |`;
  });
  return `# What does this error mean?

<!-- Written by \`npm run docs:errors\` from src/errors.ts: change it there. -->

Every refusal is \`application/problem+json\` (RFC 9457). Decide by \`code\`, which never changes its meaning; \`title\` and
\`detail\` are words for people. \`type\` is the address of a page that says the same as the row below. Tell the operator
the \`requestId\` when you ask for help: it stands in the log.

Where a code has two statuses, 422 is said of a request that cannot be carried out, 409 of a basket or event whose
state does not allow it, and 410 of a link or token that has ended. 429 and 503 come with \`Retry-After\`.

| code | status | title | what to do |
|---|---|---|---|
${rows.join('\n')}
`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(fileURLToPath(new URL('../../docs/errors.md', import.meta.url)), errorsPage());
}
