import { auditRules } from '../../src/cli/audit.ts';
import type { Queryable } from '../../src/platform/postgres.ts';

/** Throws with a list of everything in the database that breaks one of the rules. Nothing may be at work meanwhile. */
export async function audit(db: Queryable): Promise<void> {
  const findings = (await auditRules(db)).map(({ rule, found }) => `${rule}: ${JSON.stringify(found)}`);
  if (findings.length > 0) throw new Error(`The audit found ${findings.length}:\n  ${findings.join('\n  ')}`);
}
