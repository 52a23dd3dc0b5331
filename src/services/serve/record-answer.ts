import type { CallContext, FailPoints } from '../../runtime/index.ts';
import type { Ledger } from './ledger.ts';
import type { NewEntry } from './ledger-store.ts';

/** What {@link recordAnswer} needs. */
export interface RecordAnswerParts {
  readonly ledger: Ledger;
  readonly failPoints: FailPoints;
  /** How the decision or recommendation is recorded. */
  readonly mode: 'durable' | 'buffered';
}

/** Resolves when an answer may be given: its record is on disk, or in the buffer. Rejects as the ledger does. */
export async function recordAnswer(
  { ledger, failPoints, mode }: RecordAnswerParts,
  entry: NewEntry,
  context: CallContext,
): Promise<void> {
  if (mode === 'durable') await ledger.recordDurable(entry, context);
  else await ledger.recordBuffered(entry, context);
  await failPoints.pass('serve.answer.before');
}
