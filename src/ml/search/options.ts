import type { ParameterValues } from './space.ts';
import { shown } from './space.ts';

/** Most trials of one search. */
export const SEARCH_TRIALS_MAX = 10_000;

export type SearchAlgorithm = 'grid' | 'random' | 'latin-hypercube' | 'tpe' | 'hyperband';

/** How much is spent on each trial of a Hyperband search: boosting rounds, rows, epochs, always whole. */
export interface HyperbandOptions {
  /** The least that says something about a configuration. From 1. */
  readonly resourceMin: number;
  /** What the final model gets. Above `resourceMin`. */
  readonly resourceMax: number;
  /** Of how many trials one goes on, with this many times the resource. From 2, default 3. */
  readonly reduction?: number;
  /** How new configurations are proposed. Default `random`. */
  readonly proposal?: 'random' | 'tpe';
}

export interface TpeOptions {
  /** Random configurations that must be done before the first proposal. From 1, default 10. */
  readonly startupTrials?: number;
  /** Values drawn for each parameter, of which the most promising is taken. From 1 to 1,000, default 24. */
  readonly candidates?: number;
  /** Share of the finished trials of a resource that count as good ones, 25 at most. In (0, 0.5], default 0.1. */
  readonly goodShare?: number;
}

export interface SearchOptions {
  readonly algorithm: SearchAlgorithm;
  /** Whether the highest or the lowest score is the best. Default `maximise`. */
  readonly goal?: 'maximise' | 'minimise';
  /**
   * Trials to give out, failed ones included. At most {@link SEARCH_TRIALS_MAX}. Default for `grid` all
   * points, for `hyperband` one pass through its brackets, else 100.
   */
  readonly trialsMax?: number;
  /** The search ends when this many trials have failed. From 1, default `trialsMax`. */
  readonly failuresMax?: number;
  /** From 0 to 2^32 - 1, default 0. */
  readonly seed?: number;
  /** Configurations to try before all others, such as the defaults. Default none. */
  readonly first?: readonly ParameterValues[];
  /** Points of a grid for each numeric parameter, evenly spaced with both bounds. From 2, default 5. */
  readonly gridSteps?: number;
  readonly tpe?: TpeOptions;
  /** Needed for `hyperband`. */
  readonly hyperband?: HyperbandOptions;
}

/** Options with their defaults filled in: plain JSON, and again options of the same meaning. */
export interface SearchPlan extends Required<Omit<SearchOptions, 'hyperband' | 'tpe'>> {
  readonly tpe: Required<TpeOptions>;
  readonly hyperband?: Required<HyperbandOptions>;
}

/** @internal Checks a whole number. */
export function checkWhole(
  name: string,
  value: unknown,
  range: { readonly least: number; readonly most: number },
): asserts value is number {
  const { least, most } = range;
  if (!(Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most)) {
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${shown(value)}`);
  }
}
