import canonicalize from 'canonicalize';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { hashesUnder, type Keyring, seal, sha256, unseal } from '../platform/crypto.ts';
import { hasSqlState, type Queryable, sqlState, withTransaction } from '../platform/postgres.ts';
import type { ApiCaller, SessionCaller } from './access.ts';
import { timesSent } from './requests.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The list in the body each entry of which is a request of its own. */
    batchOf?: string;
  }
  interface FastifyRequest {
    /** Of the body, or of a batch for each entry: that of the first key, then those of others. */
    fingerprints: (readonly Buffer[])[] | null;
  }
}

/**
 * Takes the fingerprint of a request with a key as it was sent, before the schema fills in defaults: a retry must find
 * its answer also when the next version of the service has other defaults. Keyed, since a body can be guessed where it
 * names a gift card.
 */
export function fingerprintBodies(app: FastifyInstance, keys: Keyring): void {
  app.decorateRequest('fingerprints', null);
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.headers['idempotency-key'] === undefined) return done();
    request.fingerprints = partsOf(request).map((part) => {
      const written = canonicalize(part) ?? '';
      // Last, that of builds which did not have keys for them.
      return [...hashesUnder(keys, written), sha256(written)];
    });
    done();
  });
}

function partsOf({ body, routeOptions }: FastifyRequest): unknown[] {
  const { batchOf } = routeOptions.config;
  if (batchOf === undefined) return [body];
  const entries: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, batchOf) : undefined;
  return Array.isArray(entries) ? entries : [];
}

/**
 * A request's idempotency key in its scope, and the fingerprint of the request that used it. `alsoKnownAs` are those that
 * it may have been kept under before the keys changed.
 */
export type IdempotencyKey = { shopId: string; keyHash: Buffer; fingerprint: Buffer; alsoKnownAs: readonly Buffer[] };

/**
 * What is kept of an answer: its status, the basket snapshot it was rendered from (the outbox row `sequence` of
 * `basketId`) and the rest of it. No secrets: those are derived anew when the answer is replayed.
 */
export type StoredAnswer = {
  status: number;
  basketId: string | null;
  sequence: number | null;
  answer: Record<string, unknown>;
};

/**
 * The Idempotency-Key of a request (IETF draft-ietf-httpapi-idempotency-key-header-07; a bare value is taken too), or
 * null when it has none. Scope: shop, partner, method, path and key.
 */
export function idempotencyKeyOf(request: FastifyRequest, caller: KeyOwner): IdempotencyKey | Refusal | null {
  const given = givenKey(request);
  if (given === null || isRefusal(given)) return given;
  const [key] = keysInScope(request, caller, () => given);
  if (key === undefined) throw new Error('a request without parts');
  return key;
}

/** The same of a batch: a key for each entry, the given one with `#` and the entry's index. */
export function idempotencyKeysOf(request: FastifyRequest, caller: KeyOwner): IdempotencyKey[] | Refusal | null {
  const given = givenKey(request);
  if (given === null || isRefusal(given)) return given;
  return keysInScope(request, caller, (part) => `${given}#${part}`);
}

type KeyOwner = (ApiCaller & { shopId: string }) | SessionCaller;

function givenKey(request: FastifyRequest): string | Refusal | null {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return null;
  const twice = timesSent(request, 'idempotency-key') > 1;
  const bare = typeof header === 'string' ? (/^"(.*)"$/.exec(header)?.[1] ?? header) : '';
  return twice || !/^[\x20-\x7E]{1,255}$/.test(bare) ? refuse('invalid_idempotency_key') : bare;
}

/** The keys that a given one stands for: one for each part of the request, whose name it gets. */
function keysInScope(request: FastifyRequest, caller: KeyOwner, nameOf: (part: number) => string): IdempotencyKey[] {
  const { fingerprints } = request;
  if (fingerprints === null) throw new Error('the fingerprint is taken before the request is handled');
  const owner = caller.kind === 'api' ? ['partner', caller.partner] : ['session', caller.basketId];
  return fingerprints.flatMap(([fingerprint, ...alsoKnownAs], part) => {
    const scope = [owner, request.method, request.url.split('?')[0], nameOf(part)];
    const keyHash = sha256(JSON.stringify(scope));
    return fingerprint === undefined ? [] : [{ shopId: caller.shopId, keyHash, fingerprint, alsoKnownAs }];
  });
}

/** The name of a key among all shops'. */
export function nameOfKey({ shopId, keyHash }: Pick<IdempotencyKey, 'shopId' | 'keyHash'>): string {
  return `${shopId}/${keyHash.toString('base64')}`;
}

const keyColumns = (keys: readonly IdempotencyKey[]) => [
  keys.map(({ shopId }) => shopId),
  keys.map(({ keyHash }) => keyHash),
];

/**
 * Inserts keys in the caller's transaction, in one order, so that no two deadlock, and gives the names of those that are
 * new or have gone stale. Whoever has inserted one and not committed yet is waited for.
 */
export async function claimKeys(tx: Queryable, keys: readonly IdempotencyKey[]): Promise<Set<string>> {
  if (keys.length === 0) return new Set();
  const { rows } = await tx.query<Pick<IdempotencyKey, 'shopId' | 'keyHash'>>(
    `INSERT INTO idempotency_keys AS k (shop_id, key_hash, fingerprint)
     SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) ORDER BY 1, 2
     ON CONFLICT (shop_id, key_hash) DO UPDATE
       SET fingerprint = excluded.fingerprint, status = NULL, basket_id = NULL, sequence = NULL, answer = NULL, created_at = now()
       WHERE k.created_at < now() - interval '7 days'
     RETURNING shop_id AS "shopId", key_hash AS "keyHash"`,
    [...keyColumns(keys), keys.map(({ fingerprint }) => fingerprint)],
  );
  return new Set(rows.map(nameOfKey));
}

/** Keeps what claimed keys were answered. */
export async function keepAnswers(
  tx: Queryable,
  answers: readonly (StoredAnswer & { key: IdempotencyKey })[],
): Promise<void> {
  if (answers.length === 0) return;
  await tx.query(
    `UPDATE idempotency_keys k SET status = a.status, basket_id = a.basket_id, sequence = a.sequence, answer = a.answer::json
     FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::text[], $5::integer[], $6::text[])
       AS a(shop_id, key_hash, status, basket_id, sequence, answer)
     WHERE k.shop_id = a.shop_id AND k.key_hash = a.key_hash`,
    [
      ...keyColumns(answers.map(({ key }) => key)),
      answers.map(({ status }) => status),
      answers.map(({ basketId }) => basketId),
      answers.map(({ sequence }) => sequence),
      answers.map(({ answer }) => JSON.stringify(answer)),
    ],
  );
}

/** Gives claimed keys up, for which nothing was answered that may be given again. */
export async function giveKeysUp(tx: Queryable, keys: readonly IdempotencyKey[]): Promise<void> {
  if (keys.length === 0) return;
  await tx.query(
    `DELETE FROM idempotency_keys
     WHERE (shop_id, key_hash) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))`,
    keyColumns(keys),
  );
}

/**
 * Runs `work` once per key. The key is claimed first, in the caller's transaction, so a second request waits on the
 * first's row: when the first commits its answer is given again, when it fails the second runs. A refusal of `work`
 * leaves nothing of the key behind. Waiting longer than the lock time-out is `idempotency_in_progress`.
 */
export async function runOnce(
  tx: pg.PoolClient,
  key: IdempotencyKey | null,
  work: () => Promise<StoredAnswer | Refusal>,
): Promise<(StoredAnswer & { replayed: boolean }) | Refusal> {
  if (key === null) {
    const answer = await work();
    return 'refused' in answer ? answer : { ...answer, replayed: false };
  }
  try {
    const claimed = await claimKeys(tx, [key]);
    if (claimed.size === 0) return (await findAnswer(tx, key)) ?? refuse('idempotency_in_progress');
  } catch (error) {
    if (hasSqlState(error, sqlState.lockNotAvailable)) return refuse('idempotency_in_progress');
    throw error;
  }
  const answer = await work();
  if ('refused' in answer) {
    // Also where the caller commits what led to the refusal: a refusal is never given again, it runs again.
    await giveKeysUp(tx, [key]);
    return answer;
  }
  await keepAnswers(tx, [{ ...answer, key }]);
  return { ...answer, replayed: false };
}

/**
 * Runs `work` in a transaction of its own, once per key, where its result shows a secret: what is kept of it for a replay
 * is encrypted. Refusals: those of `work` and of the key, and `idempotent_answer_lost` when no key opens it any more.
 */
export async function runOnceSealed<Result extends object>(
  { pool, sealKeys }: { pool: pg.Pool; sealKeys: Keyring },
  key: IdempotencyKey | null,
  status: number,
  work: (tx: pg.PoolClient) => Promise<Result | Refusal>,
): Promise<{ result: Result; replayed: boolean } | Refusal> {
  const answer = await withTransaction(pool, (tx) =>
    runOnce(tx, key, async () => {
      const result = await work(tx);
      if (isRefusal(result)) return result;
      const sealed = await seal(sealKeys, JSON.stringify(result));
      return { status, basketId: null, sequence: null, answer: { sealed } };
    }),
  );
  if (isRefusal(answer)) return answer;
  const opened = await unseal(sealKeys, String(answer.answer.sealed));
  if (opened === null) return refuse('idempotent_answer_lost');
  return { result: JSON.parse(opened) as Result, replayed: answer.replayed };
}

/** The stored answer of a key: null when there is none, a refusal when the key was used for another request. */
export async function findAnswer(db: Queryable, key: IdempotencyKey): Promise<FoundAnswer> {
  return (await findAnswers(db, key.shopId, [key]))[0] ?? null;
}

type FoundAnswer = (StoredAnswer & { replayed: true }) | Refusal | null;

/** The same of several keys of one shop, in their order. */
export async function findAnswers(
  db: Queryable,
  shopId: string,
  keys: readonly IdempotencyKey[],
): Promise<FoundAnswer[]> {
  const { rows } = await db.query<{
    key_hash: Buffer;
    fingerprint: Buffer;
    status: number | null;
    basket_id: string | null;
    sequence: number | null;
    answer: Record<string, unknown>;
  }>(
    `SELECT key_hash, fingerprint, status, basket_id, sequence, answer FROM idempotency_keys
     WHERE shop_id = $1 AND key_hash = ANY($2) AND created_at >= now() - interval '7 days'`,
    [shopId, keys.map(({ keyHash }) => keyHash)],
  );
  const stored = new Map(rows.map((row) => [row.key_hash.toString('hex'), row]));
  return keys.map((key) => {
    const row = stored.get(key.keyHash.toString('hex'));
    if (row === undefined) return null;
    const isSame = [key.fingerprint, ...key.alsoKnownAs].some((fingerprint) => row.fingerprint.equals(fingerprint));
    if (!isSame) return refuse('idempotency_key_reused');
    if (row.status === null) return null;
    return { status: row.status, basketId: row.basket_id, sequence: row.sequence, answer: row.answer, replayed: true };
  });
}

/**
 * Deletes keys that are older than they are honoured for, a thousand at most; gives how many, or with `dryRun` how many
 * there are altogether.
 */
export async function pruneKeys(db: Queryable, { dryRun }: { dryRun: boolean }): Promise<number> {
  const limit = 1000;
  const isOld = `k.created_at < now() - interval '7 days'`;
  if (dryRun) {
    const { rows } = await db.query<{ count: number }>(
      `SELECT /* across shops: those of all are kept for as long */ count(*) AS count FROM idempotency_keys k WHERE ${isOld}`,
    );
    return rows[0]?.count ?? 0;
  }
  const { rowCount } = await db.query(
    `DELETE /* across shops: those of all are kept for as long */ FROM idempotency_keys
     WHERE (shop_id, key_hash) IN (
       SELECT k.shop_id, k.key_hash FROM idempotency_keys k WHERE ${isOld} LIMIT $1 FOR UPDATE SKIP LOCKED)`,
    [limit],
  );
  return rowCount ?? 0;
}
