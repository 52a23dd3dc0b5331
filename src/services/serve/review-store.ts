import type { ReviewAnswer } from '../../contract/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { isDecisionId } from './ledger-store.ts';

/** A decision that waits for a person, or was answered by one. */
export interface StoredReview {
  readonly decisionId: string;
  readonly decision: string;
  readonly at: number;
  readonly answer: ReviewAnswer | null;
}

/** An answer as it is kept, and the record that it becomes. */
export interface NewAnswer {
  readonly decisionId: string;
  readonly answer: KeptAnswer;
  /** Null: the label takes an event without an outcome for negative. */
  readonly outcome: Readonly<Record<string, unknown>> | null;
}

/** Without what changes later. */
export interface KeptAnswer extends Omit<ReviewAnswer, 'event'> {
  readonly event: { readonly source: string; readonly id: string } | null;
}

/** An outcome that is not known to be durable. */
export interface UnsentOutcome {
  readonly decisionId: string;
  /** Of the answer that it is the outcome of. */
  readonly answeredAt: number;
  readonly source: string;
  readonly record: Readonly<Record<string, unknown>>;
}

interface ReviewRow extends Record<string, unknown> {
  readonly decision_id: string;
  readonly decision: string;
  readonly at: number;
  readonly answer: KeptAnswer | null;
  readonly sent_at: number | null;
}

const COLUMNS = 'decision_id, decision, at, answer, sent_at';

const GET = `select ${COLUMNS} from serve_review where decision_id = $1`;

const LIST_ANSWERED = `
select ${COLUMNS} from serve_review
where answered_at is not null and decision = any($1) and decision_id > $2
order by decision_id limit $3`;

const LIST_WAITING = `
select ${COLUMNS} from serve_review
where answered_at is null and decision = any($1) and decision_id > $2
order by decision_id limit $3`;

const COUNT_WAITING = `
select decision, count(*) as waiting, min(at) as oldest_at
from serve_review where answered_at is null group by decision`;

/** The first answer stays. */
const ANSWER = `
update serve_review set answered_at = $2, answer = $3, outcome = $4
where decision_id = $1 and answered_at is null
returning decision_id`;

const MARK_SENT = `
update serve_review set sent_at = $3 where decision_id = $1 and answered_at = $2 and sent_at is null`;

const TAKE_BACK = `
update serve_review set answered_at = null, answer = null, outcome = null
where decision_id = $1 and answered_at = $2 and sent_at is null`;

const LIST_UNSENT = `
select decision_id, answered_at, answer, outcome from serve_review
where outcome is not null and sent_at is null and answered_at < $1
order by decision_id limit $2`;

/** Whoever does it at the same time picks the same rows, and finds them gone. */
const DROP_OLDEST = `
delete from serve_review where answered_at is null and decision_id in (
  select decision_id from serve_review where answered_at is null order by decision_id limit $1)
returning decision`;

/** Reads a review; `undefined` when the decision was none for a person. */
export async function findReview(tables: Tables, decisionId: string): Promise<StoredReview | undefined> {
  if (!isDecisionId(decisionId)) return undefined;
  const [row] = await tables.query<ReviewRow>(GET, [decisionId]);
  return row === undefined ? undefined : toReview(row);
}

/** Which reviews are listed. */
export interface ReviewPage {
  readonly decisions: readonly string[];
  readonly state: 'waiting' | 'answered';
  /** The last decision of the page before. */
  readonly after: string;
  readonly limit: number;
}

/** Reviews of decisions after a certain one, oldest first. */
export async function pageReviews(
  tables: Tables,
  { decisions, state, after, limit }: ReviewPage,
): Promise<StoredReview[]> {
  const list = state === 'waiting' ? LIST_WAITING : LIST_ANSWERED;
  const rows = await tables.query<ReviewRow>(list, [decisions, after, limit]);
  return rows.map(toReview);
}

/** How many wait of each decision, and since when. */
export async function countWaiting(
  tables: Tables,
): Promise<Map<string, { readonly waiting: number; readonly oldestAt: number }>> {
  const rows = await tables.query<{ decision: string; waiting: number; oldest_at: number }>(COUNT_WAITING);
  return new Map(rows.map(({ decision, waiting, oldest_at: oldestAt }) => [decision, { waiting, oldestAt }]));
}

/** Keeps an answer, if there is none yet. Resolves with whether it did. */
export async function keepAnswer(
  tables: Tables,
  { decisionId, answer, outcome }: NewAnswer,
): Promise<boolean> {
  const rows = await tables.query(ANSWER, [
    decisionId,
    answer.at,
    JSON.stringify(answer),
    outcome === null ? null : JSON.stringify(outcome),
  ]);
  return rows.length > 0;
}

/** Notes that the outcome of an answer is durable. */
export async function markSent(
  tables: Tables,
  { decisionId, answeredAt }: UnsentOutcome,
  at: number,
): Promise<void> {
  await tables.query(MARK_SENT, [decisionId, answeredAt, at]);
}

/** Puts a review whose outcome was refused back into the queue. */
export async function takeBack(tables: Tables, { decisionId, answeredAt }: UnsentOutcome): Promise<void> {
  await tables.query(TAKE_BACK, [decisionId, answeredAt]);
}

/** Outcomes of answers from before an instant that are not known to be durable. */
export async function listUnsent(tables: Tables, before: number, limit: number): Promise<UnsentOutcome[]> {
  const rows = await tables.query<{
    decision_id: string;
    answered_at: number;
    answer: KeptAnswer;
    outcome: Record<string, unknown>;
  }>(LIST_UNSENT, [before, limit]);
  return rows.map(({ decision_id: decisionId, answered_at: answeredAt, answer, outcome }) => ({
    decisionId,
    answeredAt,
    source: answer.event?.source ?? '',
    record: outcome,
  }));
}

/** Lets the oldest leave the queue. Resolves with the decision of each. */
export async function dropOldest(tables: Tables, count: number): Promise<string[]> {
  const rows = await tables.query<{ decision: string }>(DROP_OLDEST, [count]);
  return rows.map(({ decision }) => decision);
}

function toReview(row: ReviewRow): StoredReview {
  const { decision_id: decisionId, decision, at, answer, sent_at: sentAt } = row;
  return { decisionId, decision, at, answer: answer === null ? null : withSent(answer, sentAt !== null) };
}

/** An answer as it is shown. */
export function withSent({ event, ...answer }: KeptAnswer, sent: boolean): ReviewAnswer {
  return { ...answer, event: event === null ? null : { ...event, sent } };
}
