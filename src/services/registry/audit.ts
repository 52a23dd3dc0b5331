import { definitionHash } from '../../define/index.ts';
import type { Tables } from '../../runtime/index.ts';

/** Something that happened to a version or a release. */
export interface AuditFact {
  readonly at: number;
  readonly action: 'version.registered' | 'release.created';
  /** What it happened to: `fraud/3`, `score-2`. */
  readonly subject: string;
  readonly details: Readonly<Record<string, unknown>>;
}

interface AuditRow extends Record<string, unknown> {
  readonly number: number;
  readonly at: number;
  readonly action: AuditFact['action'];
  readonly subject: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly previous: string;
  readonly hash: string;
}

const HEAD = `select audit_number as number, audit_hash as hash from registry_state for update`;

const APPEND = `
with head as (update registry_state set audit_number = $1, audit_hash = $7)
insert into registry_audit (number, at, action, subject, details, previous, hash) values ($1, $2, $3, $4, $5, $6, $7)`;

const READ = `
select number, at, action, subject, details, previous, hash
from registry_audit where number > $1 order by number limit $2`;

/** Rows that {@link verifyAudit} holds in memory at a time. */
const VERIFY_ROWS_MAX = 1_000;

/**
 * Appends to the audit chain in the caller's transaction. Each row's hash covers the row before it, so that a
 * changed, removed or inserted row shows. The head's lock makes it the last thing a transaction should take.
 */
export async function appendAudit(tx: Tables, fact: AuditFact): Promise<void> {
  const [head] = await tx.query<{ number: number; hash: string }>(HEAD);
  if (head === undefined) throw new Error('The registry has lost its state row');
  const number = head.number + 1;
  const hash = auditHash({ ...fact, number, previous: head.hash });
  const details = JSON.stringify(fact.details);
  await tx.query(APPEND, [number, fact.at, fact.action, fact.subject, details, head.hash, hash]);
}

/**
 * Walks the whole chain. Returns the number of rows, or the number of the first row that is not as it was
 * written.
 */
export async function verifyAudit(tables: Tables): Promise<{ rows: number; brokenAt?: number }> {
  let last = 0;
  let previous = '';
  for (;;) {
    const rows = await tables.query<AuditRow>(READ, [last, VERIFY_ROWS_MAX]);
    for (const row of rows) {
      const intact = row.number === last + 1 && row.previous === previous && row.hash === auditHash(row);
      if (!intact) return { rows: last, brokenAt: last + 1 };
      last = row.number;
      previous = row.hash;
    }
    if (rows.length < VERIFY_ROWS_MAX) break;
  }
  const [head] = await tables.query<{ number: number; hash: string }>(
    `select audit_number as number, audit_hash as hash from registry_state`,
  );
  return head?.number === last && head.hash === previous
    ? { rows: last }
    : { rows: last, brokenAt: last + 1 };
}

function auditHash(row: AuditFact & { readonly number: number; readonly previous: string }): string {
  const { number, at, action, subject, details, previous } = row;
  return definitionHash({ number, at, action, subject, details, previous });
}
