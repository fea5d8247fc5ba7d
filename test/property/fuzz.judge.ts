import { type ProblemCode, problems } from '../../src/errors.ts';
import type { Operation } from './fuzz.document.ts';

/** An answer byte for byte, with the headers that came once. */
export type FuzzAnswer = {
  status: number;
  headers: Record<string, string | undefined>;
  text: string;
  tookMs: number;
  /** Whether it left anything in the database that was not there before. */
  wrote: boolean;
};

/** What can be said beforehand of a call's answer, beside what the document says of every one. */
export type Expectation = {
  /** The statuses that alone are right, and why. */
  only: { statuses: readonly number[]; because: string } | null;
  /** Why the call must not succeed. */
  wrong: readonly string[];
};

/** Longer than the service may take for an answer: it hangs. */
const hangsAfterMs = 5000;

/** Statuses of refusals that are given before anything is done, and of answers to those who only look. */
const withoutEffect = [304, 400, 401, 403, 404, 405, 412, 413, 415, 429];

/** Whether the call did what was asked: a click that ends on the shop's problem page did not. */
export function succeeded({ status, headers }: Pick<FuzzAnswer, 'status' | 'headers'>): boolean {
  return status < 400 && !/[?&]error=/.test(headers.location ?? '');
}

/** Everything that is wrong with an answer. */
export function judge(operation: Operation, { only, wrong }: Expectation, answer: FuzzAnswer): string[] {
  const { status, headers, text, tookMs, wrote } = answer;
  const found: string[] = [];
  if (status >= 500) found.push(`${status}: the service broke`);
  if (tookMs > hangsAfterMs) found.push(`it took ${Math.round(tookMs)} ms`);
  if (only && !only.statuses.includes(status)) {
    found.push(`${status} instead of ${only.statuses.join(' or ')}: ${only.because}`);
  }
  if (succeeded(answer)) found.push(...wrong.map((why) => `${status} although ${why}`));
  if (wrote && (withoutEffect.includes(status) || operation.method === 'GET')) {
    found.push(`${status}, and yet something was written`);
  }
  if (headers['x-request-id'] === undefined) found.push('there is no X-Request-Id');
  if (status === 401 && headers['www-authenticate'] === undefined) found.push('there is no WWW-Authenticate');
  if ((status === 429 || status === 503) && headers['retry-after'] === undefined) found.push('there is no Retry-After');
  if (/node_modules|\bat .{1,100}:\d+:\d+|\b(SELECT|INSERT INTO|UPDATE|DELETE FROM) [a-z_]+ /.test(text)) {
    found.push('it shows the inside of the service');
  }
  return [...found, ...bodyProblems(operation, answer)];
}

function bodyProblems({ responses }: Operation, { status, headers, text }: FuzzAnswer): string[] {
  const documented = responses.get(status);
  if (documented === undefined) return [`${status} is not documented`];
  const type = headers['content-type']?.split(';')[0];
  if (documented.size === 0) {
    return text === '' ? [] : [`a body, where none is documented: ${text}`];
  }
  const check = documented.get(type ?? '');
  if (check === undefined) return [`the content type ${type} is not documented for ${status}`];
  if (type === 'text/html') return text.startsWith('<!doctype html>') ? [] : ['it is no HTML document'];
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return ['its JSON cannot be read'];
  }
  const unfit = check(body);
  const found = unfit === null ? [] : [`not as documented: ${unfit}`];
  return type === 'application/problem+json' ? [...found, ...problemProblems(status, headers, body)] : found;
}

function problemProblems(status: number, headers: FuzzAnswer['headers'], body: unknown): string[] {
  const problem = body as { type?: unknown; code?: unknown; status?: unknown; requestId?: unknown };
  const { code } = problem;
  if (typeof code !== 'string' || !Object.hasOwn(problems, code)) return [`nobody knows the code ${code}`];
  const row: { status: number; alsoStatus?: readonly number[] } = problems[code as ProblemCode];
  const found: string[] = [];
  if (![row.status, ...(row.alsoStatus ?? [])].includes(status)) found.push(`${code} does not go with ${status}`);
  if (problem.status !== status) found.push(`the problem says ${problem.status}, the answer ${status}`);
  if (problem.requestId !== headers['x-request-id']) found.push('the request id is another');
  if (!String(problem.type).endsWith(`/problems/${code}`)) found.push(`the type ${problem.type} is of another code`);
  return found;
}
