import type { SearchState, Trial } from './trial.ts';
import { bestFirst } from './trial.ts';

/** A trial with its place among all. */
export interface SearchResult extends Trial {
  /** From 1, the best. `null` for a trial without a score. */
  readonly rank: number | null;
}

/**
 * The trials of a search, the best first. Scores of different resources do not compare, so trials of the
 * largest resource come before all others, whatever their scores; of equal scores the earlier trial comes
 * first. Trials without a score are last: those running, then those that failed.
 */
export function searchResults(state: SearchState): readonly SearchResult[] {
  const ranked = bestFirst(state.trials, state.plan.goal);
  // Sorting keeps the order of trials with the same resource.
  ranked.sort((a, b) => (b.resource ?? 0) - (a.resource ?? 0));
  const others = (['running', 'failed'] as const).flatMap((status) =>
    state.trials.filter((trial) => trial.status === status),
  );
  return [
    ...ranked.map((trial, index) => ({ rank: index + 1, ...trial })),
    ...others.map((trial) => ({ rank: null, ...trial })),
  ];
}

/** The best trial of the largest resource that any finished trial had; nothing before the first one ends. */
export function bestTrial(state: SearchState): Trial | undefined {
  return searchResults(state).find((result) => result.rank === 1);
}
