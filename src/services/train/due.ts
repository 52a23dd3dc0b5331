import { type EveryRule, lastDueAt, type NewEventsRule, type NewLabelsRule } from '../../define/index.ts';

/** What a rule asks for now. */
export interface Due {
  /** The due instant that a run is to be queued for, or outcomes of which it is due; `undefined` when there is none. */
  readonly due: number | undefined;
  /** What is settled once that run is queued. */
  readonly settled: number;
}

/**
 * Whether a rule by time asks for a run, given the newest due instant that is settled. Several that passed are one run, for the
 * newest. A rule that was never looked at before begins with the next instant.
 *
 * When the settled one lies after the next one, the clock was ahead when it was settled. Then the instants from here on count
 * again; what was queued for one of them is found by its key.
 */
export function dueByTime(rule: EveryRule, settledAt: number | null, now: number): Due {
  const last = lastDueAt(rule, now);
  if (settledAt === null || settledAt > last + rule.everyMs) return { due: undefined, settled: last };
  return last > settledAt ? { due: last, settled: last } : { due: undefined, settled: settledAt };
}

/** A rule that counts: outcomes of a model, or interactions of a recommender. */
export type CountRule = NewLabelsRule | NewEventsRule;

/** What is known of a model's outcomes, or of a recommender's interactions. */
export interface LabelCounts {
  /** Outcomes that have ever come. */
  readonly seen: number;
  /** Of them, those that the last run knew; 0 when there was none. */
  readonly known: number;
  /** Those that there were when the rule last asked for a run; null when it never did. */
  readonly asked: number | null;
}

/** With how many outcomes a rule by labels asks for a run: a run that failed counts as asked for, so that it is not tried for ever. */
export function labelsDueAt(rule: CountRule, { known, asked }: Omit<LabelCounts, 'seen'>): number {
  return Math.max(known, asked ?? 0) + (rule.kind === 'onNewLabels' ? rule.labels : rule.events);
}

/** Whether a rule that counts asks for a run. */
export function dueByLabels(rule: CountRule, counts: LabelCounts): Due {
  const dueAt = labelsDueAt(rule, counts);
  const isDue = counts.seen >= dueAt;
  return { due: isDue ? dueAt : undefined, settled: isDue ? counts.seen : (counts.asked ?? 0) };
}

/** Pauses after runs of a schedule that failed one after another, in milliseconds: they double from the first to the last. */
export const RETRY_PAUSE = { msMin: 60_000, msMax: 3_600_000 } as const;

/** How a run of a schedule ended. */
export interface ScheduledEnd {
  readonly state: string;
  readonly finishedAt: number;
}

/**
 * Before which instant no run is queued, given how the last ones ended, newest first; `null` when the newest did not fail, and
 * when it seems to have ended so far ahead that the clock was wrong.
 */
export function retryAt(ends: readonly ScheduledEnd[], now: number): number | null {
  const [newest] = ends;
  if (newest?.state !== 'failed' || newest.finishedAt > now + RETRY_PAUSE.msMax) return null;
  const other = ends.findIndex(({ state }) => state !== 'failed');
  const failures = other === -1 ? ends.length : other;
  return newest.finishedAt + Math.min(RETRY_PAUSE.msMin * 2 ** (failures - 1), RETRY_PAUSE.msMax);
}
