import { loadModule, parseSync } from 'libpg-query';
import type { Queryable } from '../../src/platform/postgres.ts';

/*
 * The second wall between tenants: whatever the route, role or token, a statement that reaches a tenant's table says
 * which shop it is about. What was sent is what Postgres itself has kept, and it is read by Postgres' own parser.
 *
 * A statement that must work across shops says so, and why, in a comment: `across shops: <why>`. It stands behind the first
 * word, since Postgres leaves out what is before.
 *
 * What it reads of tenants' tables together belongs to one shop, row by row: every join says so. That is what lets a Postgres
 * that distributes tables by shop_id answer it where the rows are.
 *
 * Such a statement says which columns it gives, too. The service has its statements prepared, and one that gave them all
 * would fail in each connection once a migration has added another.
 */

/** Settings with which Postgres keeps the text of every statement, by database and role, without its constants. */
export const recording = {
  shared_preload_libraries: 'pg_stat_statements',
  // A statement counts once in each database, and nearly every test has one of its own.
  'pg_stat_statements.max': '100000',
  'pg_stat_statements.save': 'off',
};

/** Begins to keep statements, on a Postgres started with `recording`, and gives a mark to ask for them by. */
export async function keepStatements(db: Queryable): Promise<string> {
  await db.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
  const { rows } = await db.query<{ since: string }>('SELECT pg_stat_statements_reset()::text AS since');
  return rows[0]?.since ?? '';
}

/** Every statement since the mark, but for those of one role. Throws when Postgres did not keep them all. */
export async function keptStatements(db: Queryable, since: string, exceptRole: string): Promise<string[]> {
  const { rows: kept } = await db.query<{ all: boolean }>(
    'SELECT dealloc = 0 AND stats_reset::text = $1 AS all FROM pg_stat_statements_info',
    [since],
  );
  if (!kept[0]?.all) throw new Error('Postgres has not kept all statements.');
  const { rows } = await db.query<{ query: string }>(
    'SELECT DISTINCT query FROM pg_stat_statements WHERE userid <> $1::regrole ORDER BY query',
    [exceptRole],
  );
  return rows.map(({ query }) => query);
}

/** The tables whose rows belong to a tenant: those with a column `shop_id`. */
export async function tenantTablesOf(db: Queryable): Promise<Set<string>> {
  const { rows } = await db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns
     WHERE table_schema = 'public' AND column_name = 'shop_id'`,
  );
  return new Set(rows.map(({ name }) => name));
}

/** What is wrong with a statement, if anything; `across` is why it works across shops, null when it does not say so. */
export type Judgement = { statement: string; across: string | null; complaints: string[] };

/** Judges the statements that reach tables of tenants. */
export async function judge(statements: readonly string[], tenantTables: ReadonlySet<string>): Promise<Judgement[]> {
  await loadModule();
  return statements.flatMap((statement): Judgement[] => {
    const { reached, complaints, mixed } = examine(statement, tenantTables);
    if (!reached) return [];
    const across = /\/\* across shops: (\S.*?) \*\//s.exec(statement)?.[1] ?? null;
    if (across === null) return [{ statement, across, complaints: [...complaints, ...mixed] }];
    const untrue = complaints.length > 0 ? [] : ['names its shop: the comment is not true'];
    return [{ statement, across, complaints: [...untrue, ...mixed] }];
  });
}

/** A part of a parse tree. A node is an object with its kind as its only key. */
type Fields = Record<string, unknown>;

/**
 * What a query reads from, by the name that its columns go by. `tenant`: a tenant's table, and not a WITH query. `rows`: of a
 * query in its place, where that has rows of tenants.
 */
type Source = { name: string; tenant: boolean; rows?: Rows };

/**
 * The condition that the shop of one source (null: the only one) is that of another (null: a value, which is `$1` and so on
 * where it is one for all rows).
 */
type Tie = { source: string | null; to: string | null; value?: string };

/** Whose rows of tenants a query gives: those of the shop of what is named here, a source around it or a parameter. */
type Rows = ReadonlySet<string>;

/**
 * What a query sees of those around it: their sources, the WITH queries with their rows (null: none of tenants), and whose
 * rows its own must be, null where there are none.
 */
type Scope = { sources: ReadonlySet<string>; withQueries: ReadonlyMap<string, Rows | null>; rows: Rows | null };

const schemaChanges = ['CreateStmt', 'AlterTableStmt', 'IndexStmt', 'CreateTrigStmt'];

/**
 * Whether a statement reaches tenants' tables, where it does so without saying for which shop, and where rows of one shop
 * may meet those of another.
 */
function examine(
  sql: string,
  tenantTables: ReadonlySet<string>,
): { reached: boolean; complaints: string[]; mixed: string[] } {
  const complaints: string[] = [];
  const mixed: string[] = [];
  const examined = new Set<unknown>();

  function examineStatement(node: unknown, around: Scope, ties: readonly Tie[] = []): Rows | null {
    const [kind, statement] = nodeOf(node);
    const scope = examineWith(statement, around);
    if (kind === 'SelectStmt') return examineSelect(statement, scope, ties);
    if (kind === 'InsertStmt') return examineInsert(statement, scope);
    if (kind === 'UpdateStmt') return examineChange(statement, statement.fromClause, scope);
    if (kind === 'DeleteStmt') return examineChange(statement, statement.usingClause, scope);
    return kind === 'DeclareCursorStmt' ? examineStatement(statement.query, scope) : null;
  }

  function examineWith(statement: Fields, around: Scope): Scope {
    const withQueries = new Map(around.withQueries);
    const { ctes, recursive } = fieldsOf(statement.withClause);
    for (const [, query] of listOf(ctes).map(nodeOf)) {
      if (recursive) withQueries.set(textOf(query.ctename), null);
      withQueries.set(textOf(query.ctename), examineStatement(query.ctequery, { ...around, withQueries, rows: null }));
    }
    return { ...around, withQueries };
  }

  function examineSelect(select: Fields, scope: Scope, ties: readonly Tie[]): Rows | null {
    const { withClause, fromClause, lockingClause, larg, rarg, ...rest } = select;
    if (larg === undefined) return examineSources([], listOf(fromClause), rest, scope, ties);
    const [left, right] = [larg, rarg].map((side) => examineStatement({ SelectStmt: side }, scope, ties));
    examineExpressions(rest, scope);
    if (!left || !right) return left ?? right ?? null;
    return new Set([...left].filter((name) => right.has(name)));
  }

  function examineChange(change: Fields, from: unknown, scope: Scope): Rows | null {
    const { withClause, relation, fromClause, usingClause, ...rest } = change;
    return examineSources([target(relation)], listOf(from), rest, scope);
  }

  function examineInsert(insert: Fields, scope: Scope): Rows | null {
    const { withClause, relation, selectStmt, onConflictClause, ...rest } = insert;
    const { name, tenant } = target(relation);
    const columns = listOf(insert.cols).map((column) => textOf(nodeOf(column)[1].name));
    if (tenant && !columns.includes('shop_id')) complaints.push(`inserts into ${name} without a shop_id`);
    const conflict = fieldsOf(onConflictClause);
    const arbiter = listOf(fieldsOf(conflict.infer).indexElems).map((column) => textOf(nodeOf(column)[1].name));
    if (tenant && conflict.action === 'ONCONFLICT_UPDATE' && !arbiter.includes('shop_id')) {
      complaints.push(`may update another shop's row of ${name} on conflict`);
    }
    const rows = selectStmt === undefined ? null : examineStatement(selectStmt, scope);
    const sources = new Set([...scope.sources, name, 'excluded']);
    examineExpressions([rest, onConflictClause], { ...scope, sources });
    return rows ?? (tenant ? new Set() : null);
  }

  /**
   * Examines what a query reads from, `first` among it, by its conditions and `around` those of the query around it, and the
   * queries inside.
   */
  function examineSources(
    first: Source[],
    from: readonly unknown[],
    rest: Fields,
    scope: Scope,
    around: readonly Tie[] = [],
  ): Rows | null {
    const parts = from.map((item) => examineFrom(item, scope));
    const names = new Set([...first, ...parts.flatMap((part) => part.sources)].map(({ name }) => name));
    const beside = { ...scope, sources: new Set([...scope.sources, ...names]), rows: null };
    const given = new Map<string, Rows>();
    for (const { inside } of parts) {
      for (const [name, query] of inside.queries) {
        const rows = examineStatement(query, beside);
        if (rows) given.set(name, rows);
      }
    }
    const sources = [...first, ...parts.flatMap((part) => part.sources)].map((source): Source => {
      const rows = source.rows ?? given.get(source.name);
      return rows ? { ...source, rows } : source;
    });
    const whereTies = tiesOf(rest.whereClause);
    examineShops(sources, [...parts.flatMap((part) => part.ties), ...whereTies], scope);
    const joins = [...parts.flatMap((part) => part.joins), ...whereTies, ...around];
    const rows = examineJoins(sources, joins, scope);
    const within = { ...scope, sources: beside.sources, rows: rows ?? scope.rows };
    examineExpressions([rest, ...parts.map(({ inside }) => inside.expressions)], within);
    return rows && new Set([...rows].filter((name) => !names.has(name)));
  }

  /** Whether each tenant's table is limited to shops. */
  function examineShops(sources: readonly Source[], ties: readonly Tie[], scope: Scope): void {
    const own = new Set(sources.map(({ name }) => name));
    const tied = new Set([...scope.sources].filter((name) => !own.has(name)));
    // The rows of WITH queries, functions and queries in FROM are as good as those are, which is examined there.
    for (const { name, tenant } of sources) if (!tenant) tied.add(name);
    const open = new Set(sources.filter(({ tenant }) => tenant).map(({ name }) => name));
    for (let before = -1; before !== open.size; ) {
      before = open.size;
      for (const { source, to } of ties) {
        if (to !== null && !tied.has(to)) continue;
        for (const name of source === null ? [...open] : [source]) if (open.delete(name)) tied.add(name);
      }
    }
    for (const name of open) complaints.push(`reaches ${name} without its shop_id`);
  }

  /** Whether all rows of tenants that meet here are of one shop; gives which, null when there are none. */
  function examineJoins(sources: readonly Source[], ties: readonly Tie[], scope: Scope): Rows | null {
    const withRows = sources.filter(({ tenant, rows }) => tenant || rows);
    const [one] = withRows;
    if (one === undefined) return null;
    const tables = sources.filter(({ tenant }) => tenant);
    const pairs = ties.flatMap(({ source, to, value }): [string, string][] => {
      const other = to ?? value;
      if (other === undefined) return [];
      if (source !== null) return [[source, other]];
      return (tables.length > 0 ? tables : withRows).map(({ name }) => [name, other]);
    });
    for (const { name, rows } of withRows) for (const of of rows ?? []) pairs.push([name, of]);
    const together = new Set([one.name]);
    for (let before = -1; before !== together.size; ) {
      before = together.size;
      for (const pair of pairs) {
        if (pair.some((name) => together.has(name))) for (const name of pair) together.add(name);
      }
    }
    for (const { name } of withRows) {
      if (!together.has(name)) mixed.push(`joins ${one.name} and ${name}, but not on their shop_id`);
    }
    if (scope.rows && ![...scope.rows].some((name) => together.has(name))) {
      mixed.push(`asks for ${one.name} beside rows that may be of another shop`);
    }
    return together;
  }

  type From = {
    sources: Source[];
    /** What limits the sources. */
    ties: Tie[];
    /** The conditions of joins, whichever side they limit. */
    joins: Tie[];
    inside: { queries: [name: string, query: unknown][]; expressions: unknown[] };
  };

  function examineFrom(item: unknown, scope: Scope): From {
    const [kind, fields] = nodeOf(item);
    const nothing = { ties: [], joins: [], inside: { queries: [], expressions: [] } };
    const name = textOf(fieldsOf(fields.alias).aliasname);
    if (kind === 'RangeVar') return { ...nothing, sources: [source(fields, scope.withQueries)] };
    const sources = [{ name, tenant: false }];
    if (kind === 'RangeSubselect') {
      return { ...nothing, sources, inside: { queries: [[name, fields.subquery]], expressions: [] } };
    }
    if (kind !== 'JoinExpr') return { ...nothing, sources, inside: { queries: [], expressions: [fields] } };
    const [left, right] = [examineFrom(fields.larg, scope), examineFrom(fields.rarg, scope)];
    // An outer join keeps the rows of its outer side whatever its condition says.
    const limited = [
      ...(['JOIN_INNER', 'JOIN_RIGHT'].includes(textOf(fields.jointype)) ? left.sources : []),
      ...(['JOIN_INNER', 'JOIN_LEFT'].includes(textOf(fields.jointype)) ? right.sources : []),
    ].map((limited) => limited.name);
    const using = listOf(fields.usingClause).some((column) => textOf(nodeOf(column)[1].sval) === 'shop_id');
    const alike = left.sources.flatMap((one) =>
      right.sources.flatMap((other) => [
        { source: one.name, to: other.name },
        { source: other.name, to: one.name },
      ]),
    );
    const two = left.sources.length === 1 && right.sources.length === 1;
    const conditions = tiesOf(fields.quals);
    const ties = [...conditions, ...(using && two ? alike : [])];
    return {
      sources: [...left.sources, ...right.sources],
      ties: [...left.ties, ...right.ties, ...ties.filter((tie) => tie.source !== null && limited.includes(tie.source))],
      joins: [...left.joins, ...right.joins, ...conditions, ...(using ? alike : [])],
      inside: {
        queries: [...left.inside.queries, ...right.inside.queries],
        expressions: [...left.inside.expressions, ...right.inside.expressions, fields.quals],
      },
    };
  }

  /** Examines the queries inside expressions. */
  function examineExpressions(part: unknown, scope: Scope): void {
    if (typeof part !== 'object' || part === null) return;
    for (const [kind, value] of Object.entries(part)) {
      if (kind === 'SubLink') examineWithin(fieldsOf(value), scope);
      examineExpressions(kind === 'SubLink' ? fieldsOf(value).testexpr : value, scope);
    }
  }

  /** Examines a query in an expression. What asks for nothing of the rows around it is not brought together with them. */
  function examineWithin(link: Fields, scope: Scope): void {
    const isJoin = link.subLinkType === 'ANY_SUBLINK' || namesOneOf(link.subselect, scope.sources);
    examineStatement(link.subselect, isJoin ? scope : { ...scope, rows: null }, memberTies(link, scope.rows));
  }

  function source(table: Fields, withQueries: Scope['withQueries']): Source {
    examined.add(table);
    const tableName = textOf(table.relname);
    const name = textOf(fieldsOf(table.alias).aliasname) || tableName;
    const rows = withQueries.get(tableName);
    if (rows) return { name, tenant: false, rows };
    return { name, tenant: tenantTables.has(tableName) && !withQueries.has(tableName) };
  }

  /** What is written to: never a WITH query. */
  function target(relation: unknown): Source {
    return source(fieldsOf(relation), new Map());
  }

  let reached = false;
  for (const { stmt } of statementsOf(sql)) {
    examineStatement(stmt, { sources: new Set(), withQueries: new Map(), rows: null });
    const tables = tablesIn(stmt).filter((table) => tenantTables.has(textOf(table.relname)));
    if (tables.length === 0 || schemaChanges.includes(nodeOf(stmt)[0])) continue;
    reached = true;
    const [, { targetList, returningClause }] = nodeOf(stmt);
    if ([...listOf(targetList), ...listOf(fieldsOf(returningClause).exprs)].some(isStar)) {
      complaints.push('gives whatever columns there are');
    }
    for (const table of tables) {
      if (!examined.has(table)) complaints.push(`reaches ${textOf(table.relname)} by ${nodeOf(stmt)[0]}`);
    }
  }
  return { reached, complaints, mixed };
}

/** The conditions on a shop that must all hold where `condition` does. */
function tiesOf(condition: unknown): Tie[] {
  const [kind, fields] = nodeOf(condition);
  if (kind === 'BoolExpr' && fields.boolop === 'AND_EXPR') return listOf(fields.args).flatMap(tiesOf);
  if (kind === 'SubLink' && fields.subLinkType === 'ANY_SUBLINK') return tiesToMembers(fields);
  if (kind !== 'A_Expr' || textOf(nodeOf(listOf(fields.name)[0])[1].sval) !== '=') return [];
  const { lexpr, rexpr } = fields;
  const [left, right] = [shopIdOf(lexpr), shopIdOf(rexpr)];
  if (fields.kind === 'AEXPR_OP') {
    const ties: Tie[] = [];
    if (left && right && left.of !== null && right.of !== null && left.of !== right.of) {
      ties.push({ source: left.of, to: right.of }, { source: right.of, to: left.of });
    }
    if (left && isValue(rexpr)) ties.push({ source: left.of, to: null, ...parameterOf(rexpr) });
    if (right && isValue(lexpr)) ties.push({ source: right.of, to: null, ...parameterOf(lexpr) });
    return ties;
  }
  const [listKind, list] = nodeOf(rexpr);
  const among = fields.kind === 'AEXPR_IN' && listKind === 'List' && listOf(list.items).every(isValue);
  return left && (among || (fields.kind === 'AEXPR_OP_ANY' && isValue(rexpr))) ? [{ source: left.of, to: null }] : [];
}

/** That the shop of a query's rows is that of what is looked for among them: `… (shop_id, …) IN (SELECT shop_id, …)`. */
function memberTies({ testexpr, subselect, subLinkType, operName }: Fields, around: Rows | null): Tie[] {
  if (subLinkType !== 'ANY_SUBLINK' || operName !== undefined) return [];
  const [kind, row] = nodeOf(testexpr);
  const tested = kind === 'RowExpr' ? listOf(row.args) : [testexpr];
  const given = listOf(nodeOf(subselect)[1].targetList).map((target) => shopIdOf(nodeOf(target)[1].val));
  return tested.flatMap((column, at): Tie[] => {
    const [outer, inner] = [shopIdOf(column), given[at]];
    return outer && inner ? [{ source: inner.of, to: outer.of ?? [...(around ?? [])][0] ?? null }] : [];
  });
}

/** `shop_id IN (SELECT shop_id …)`, alone or in a row, and `(shop_id, …) IN (SELECT * FROM unnest($1, …))`. */
function tiesToMembers({ testexpr, subselect, operName }: Fields): Tie[] {
  if (operName !== undefined) return [];
  const [kind, row] = nodeOf(testexpr);
  const tested = kind === 'RowExpr' ? listOf(row.args) : [testexpr];
  const at = tested.findIndex((column) => shopIdOf(column) !== null);
  const [, select] = nodeOf(subselect);
  const given = listOf(select.targetList);
  const targets = given.map((target) => nodeOf(target)[1].val);
  const [from, ...others] = listOf(select.fromClause);
  const [fromKind, range] = nodeOf(from);
  const [, call] = nodeOf(listOf(nodeOf(listOf(range.functions)[0])[1].items)[0]);
  const unnested = textOf(nodeOf(listOf(call.funcname).at(-1))[1].sval) === 'unnest' && listOf(call.args);
  const members =
    shopIdOf(targets[at]) !== null ||
    (given.length === 1 &&
      isStar(given[0]) &&
      fromKind === 'RangeFunction' &&
      others.length === 0 &&
      unnested &&
      isValue(unnested[at]));
  const shopId = shopIdOf(tested[at]);
  return shopId && members ? [{ source: shopId.of, to: null }] : [];
}

/** Whose `shop_id` an expression is: `of` is null where it does not say; null when it is anything else. */
function shopIdOf(expression: unknown): { of: string | null } | null {
  const [kind, fields] = nodeOf(expression);
  if (kind !== 'ColumnRef') return null;
  const names = listOf(fields.fields).map((name) => textOf(nodeOf(name)[1].sval));
  return names.at(-1) === 'shop_id' ? { of: names.at(-2) ?? null } : null;
}

/** Whether a part of a parse tree has a column of one of these sources. */
function namesOneOf(part: unknown, sources: ReadonlySet<string>): boolean {
  if (typeof part !== 'object' || part === null) return false;
  return Object.entries(part).some(([kind, value]) => {
    if (kind !== 'ColumnRef') return namesOneOf(value, sources);
    const [first, ...others] = listOf(fieldsOf(value).fields).map((name) => textOf(nodeOf(name)[1].sval));
    return others.length > 0 && first !== undefined && sources.has(first);
  });
}

/** Whether what a query gives is all columns of something. */
function isStar(target: unknown): boolean {
  const [, column] = nodeOf(nodeOf(target)[1].val);
  return nodeOf(listOf(column.fields).at(-1))[0] === 'A_Star';
}

/** The name of a parameter: what is equal to it is the same for all rows. */
function parameterOf(expression: unknown): { value?: string } {
  const [kind, fields] = nodeOf(expression);
  if (kind === 'TypeCast' || kind === 'CollateClause') return parameterOf(fields.arg);
  return kind === 'ParamRef' ? { value: `$${fields.number}` } : {};
}

/** Whether an expression is a parameter or constant. */
function isValue(expression: unknown): boolean {
  const [kind, fields] = nodeOf(expression);
  if (kind === 'TypeCast' || kind === 'CollateClause') return isValue(fields.arg);
  return kind === 'ParamRef' || (kind === 'A_Const' && fields.isnull !== true);
}

function statementsOf(sql: string): { stmt: unknown }[] {
  try {
    return listOf(parseSync(sql).stmts).map((statement) => ({ stmt: fieldsOf(statement).stmt }));
  } catch (error) {
    throw new Error(`This cannot be parsed: ${sql}`, { cause: error });
  }
}

/** Every table that a part of a parse tree names; the targets of FOR UPDATE OF are names of sources. */
function tablesIn(part: unknown): Fields[] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([key, value]) => {
    if (key === 'lockingClause') return [];
    const isTable = typeof value === 'object' && value !== null && 'relname' in value;
    return isTable ? [value as Fields] : tablesIn(value);
  });
}

function nodeOf(node: unknown): [kind: string, fields: Fields] {
  const [entry] = Object.entries(fieldsOf(node));
  return entry ? [entry[0], fieldsOf(entry[1])] : ['', {}];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
