import type { SearchPlan } from './options.ts';
import type { ParameterValues, SearchSpace } from './space.ts';

/** One configuration at one resource, from being asked for to its end. */
export interface Trial {
  /** From 0, in the order asked. */
  readonly number: number;
  readonly parameters: ParameterValues;
  /** What may be spent, in whatever unit the search was started with; `null` when that is not limited. */
  readonly resource: number | null;
  /** Trial of the same parameters with less resource, whose model may be trained on. */
  readonly continues: number | null;
  /** Of Hyperband: bracket and rung, both from 0. */
  readonly bracket: number | null;
  readonly rung: number | null;
  readonly status: 'running' | 'done' | 'failed';
  /** Of a trial that is done. */
  readonly score: number | null;
  /** What it took, if that was told. */
  readonly seconds: number | null;
  /** Why it failed. */
  readonly error: string | null;
}

/** A whole search as plain JSON. */
export interface SearchState {
  readonly version: 1;
  readonly space: SearchSpace;
  readonly plan: SearchPlan;
  readonly trials: readonly Trial[];
}

/** What became of a trial. */
export interface TrialOutcome {
  readonly number: number;
  /** A finite number; not given for a trial that failed. */
  readonly score?: number;
  /** Why it failed; not given for one that has a score. */
  readonly error?: string;
  /** What it took. From 0. */
  readonly seconds?: number;
}

/** @internal Trials that are done, the best first; of equal scores the earlier one. */
export function bestFirst(trials: readonly Trial[], goal: SearchPlan['goal']): Trial[] {
  const sign = goal === 'maximise' ? 1 : -1;
  return trials
    .filter((trial) => trial.status === 'done')
    .sort((a, b) => sign * ((b.score as number) - (a.score as number)) || a.number - b.number);
}
