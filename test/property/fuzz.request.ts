import type { Call } from './fuzz.calls.ts';
import { credentialOf } from './fuzz.credentials.ts';
import type { Operation, Parameter } from './fuzz.document.ts';
import { broken, isObject, isStorable, write } from './fuzz.json.ts';
import type { Expectation } from './fuzz.judge.ts';
import { type Run, resolved, tokenIn } from './fuzz.run.ts';

/** A request as it goes out. */
export type Sent = {
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  body: Buffer | null;
};

/** What a call has come to mean, now that it is known what earlier ones were answered. */
export type Meant = {
  call: Call;
  sent: Sent;
  path: Record<string, unknown>;
  expectation: Expectation;
  asNeighbour: boolean;
};

export async function meaningOf(run: Run, call: Call): Promise<Meant> {
  const { operation } = call;
  const wrong: string[] = [];
  const headers: Sent['headers'] = {};
  for (const [name, value] of Object.entries(call.headers)) {
    const text = resolved(run, value);
    // Node writes headers in Latin-1.
    headers[name] = Array.isArray(text) ? text.map(String) : String(text);
  }
  const path = Object.fromEntries(Object.entries(call.path).map(([name, value]) => [name, resolved(run, value)]));
  const url = urlOf(run, call, path, wrong);
  const body = bodyOf(run, call);
  if (body !== null) headers['content-type'] = call.contentType ?? 'application/json';
  checkBody(call, body, wrong);
  if (takesKey(call, headers)) {
    const key = headers['idempotency-key'];
    const bare = typeof key === 'string' ? (/^"(.*)"$/.exec(key)?.[1] ?? key) : '';
    if (!/^[\x20-\x7e]{1,255}$/.test(bare)) wrong.push('the idempotency key is malformed');
  }
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    wrong.push('the body is encoded');
  }
  for (const [name, value] of Object.entries(path)) {
    if (run.dead.has(deadName(operation, name, value, path))) wrong.push(`the ${name} in the path is gone`);
  }
  const token = body === null ? null : tokenIn(body);
  if (operation.id === 'redeemConfirmation' && token !== null && run.dead.has(token)) wrong.push('the token is spent');

  const { only, asNeighbour } = await credentialOf(run, call, path, headers, wrong);
  return {
    call,
    path,
    asNeighbour,
    sent: { method: operation.method, path: url, headers, body },
    expectation: { only, wrong },
  };
}

/** Whether the call comes with an idempotency key that the service must look at. */
export function takesKey({ operation: { method, path } }: Call, headers: Sent['headers']): boolean {
  return method === 'POST' && path.startsWith('/v1/') && 'idempotency-key' in headers;
}

/** Lines are only told apart within their basket, the rest is gone wherever it is named. */
function deadName(operation: Operation, name: string, value: unknown, path: Record<string, unknown>): string {
  if (name === 'lineId') return `${path.id} ${value}`;
  return operation.path.startsWith('/v1/') ? '' : String(value);
}

function urlOf(run: Run, { operation, query }: Call, path: Record<string, unknown>, wrong: string[]): string {
  const parameter = (name: string, where: Parameter['in']) =>
    operation.parameters.find((parameter) => parameter.name === name && parameter.in === where);
  const isLink = !operation.path.startsWith('/v1/');
  let url = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = path[name];
    if (isObject(value)) return String(value.$raw);
    const known = parameter(name, 'path');
    const unfit = known ? operation.fitsParameter(known, value) : 'unknown';
    if (unfit !== null) wrong.push(`${name} in the path ${unfit}`);
    // A link's parameters are signed with it.
    const [segment = '', ...rest] = isLink && name === 'basketId' ? String(value).split('?') : [String(value)];
    return encode(segment) + (rest.length > 0 ? `?${rest.join('?')}` : '');
  });
  const seen = new Set<string>();
  for (const [name, drawnValue] of query) {
    const value = resolved(run, drawnValue);
    const text = isObject(value) ? String(value.$raw) : encode(String(value));
    url += `${url.includes('?') ? '&' : '?'}${encode(name)}=${text}`;
    if (isLink) continue;
    const known = parameter(name, 'query');
    if (known === undefined) wrong.push(`${name} is no parameter`);
    else if (seen.has(name)) wrong.push(`${name} is there twice`);
    else if (!isObject(value)) {
      const isNumber = known.schema.type === 'integer' && /^\d+$/.test(String(value));
      const unfit = operation.fitsParameter(known, isNumber ? Number(value) : String(value));
      if (unfit !== null) wrong.push(`the parameter ${name} ${unfit}`);
    }
    seen.add(name);
  }
  return url;
}

function encode(text: string): string {
  return encodeURIComponent(text.replace(/\p{Cs}/gu, '\uFFFD')).replaceAll('%3A', ':');
}

function bodyOf(run: Run, { body, contentType }: Call): Buffer | null {
  if (body === null) return contentType === null ? null : Buffer.from('{}');
  if ('bytes' in body) return Buffer.from(body.bytes, 'latin1');
  const value = resolved(run, body.value);
  return Buffer.from(body.breakage === null ? write(value) : broken(value, body.breakage));
}

/** Adds why a body must not be accepted. Of a key that stands twice the last counts, and an empty body is `{}`. */
function checkBody({ operation, contentType }: Call, bytes: Buffer | null, wrong: string[]): void {
  if (operation.body === null) return;
  if (contentType !== null && bytes !== null) wrong.push(`the content type is "${contentType}"`);
  let value: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes ?? Buffer.from('{}'));
    value = JSON.parse(text === '' ? '{}' : text);
  } catch {
    wrong.push('the body is not JSON');
    return;
  }
  const unfit = operation.fitsBody(value);
  if (unfit !== null) wrong.push(`the body ${unfit}`);
  if (!isStorable(value, 16)) wrong.push('the body holds what cannot be kept');
}
