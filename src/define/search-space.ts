import { type Duration, durationMs } from './duration.ts';
import { isRankingMetric } from './gate.ts';
import { excludedEntity, type ModelSplit } from './split.ts';

/** The values of one option that a search may try. */
export type TunedRange =
  /** Between two bounds, both included; the `log` kinds are spread evenly by their logarithm. */
  | {
      readonly kind: 'uniform' | 'logUniform' | 'integers' | 'logIntegers';
      readonly low: number;
      readonly high: number;
    }
  /** One of some, without order. */
  | { readonly kind: 'choices'; readonly values: readonly number[] };

/** One option of a trainer with the values that a search may try. */
export type TunedParameter = TunedRange & { readonly name: string };

/**
 * How a search proposes trials: `tpe` learns from those that are done (a tree-structured Parzen estimator), `random` and
 * `latinHypercube` draw, `grid` goes through all combinations, `hyperband` begins many trials with few trees and goes on with the
 * best.
 */
export type SearchMethod = 'tpe' | 'random' | 'latinHypercube' | 'grid' | 'hyperband';

/** By what a search may judge, and which way is better. */
export const SEARCH_METRICS = {
  averagePrecision: 'maximise',
  aucRoc: 'maximise',
  cardPrecision100: 'maximise',
  ndcg10: 'maximise',
  map10: 'maximise',
  mrr10: 'maximise',
  logLoss: 'minimise',
  brier: 'minimise',
} as const satisfies Readonly<Record<string, 'maximise' | 'minimise'>>;
export type SearchMetric = keyof typeof SEARCH_METRICS;

/**
 * Trials are judged in time, as the model will be: trained on a period, judged by a later one, `folds` times. The newest validation
 * period ends where the training period of the model ends. A period that is absent is as long as that of the model's split.
 */
export interface PrequentialValidation {
  readonly kind: 'prequential';
  readonly folds: number;
  readonly trainMs?: number;
  readonly delayMs?: number;
  readonly testMs?: number;
  /** How much earlier each further fold lies. Absent: as long as its validation period. */
  readonly stepMs?: number;
}

/** Trials are judged by stratified cross-validation of the training rows; a group or entity of the split lies in one fold. */
export interface StratifiedValidation {
  readonly kind: 'stratified';
  readonly folds: number;
}

export type SearchValidation = PrequentialValidation | StratifiedValidation;

/** A search for the values of a trainer's options, as part of the trainer. */
export interface TrainerSearch {
  /** In the order in which values are drawn. */
  readonly space: readonly TunedParameter[];
  readonly by: SearchMethod;
  readonly metric: SearchMetric;
  /** Trials asked for while others are not told, which decides what each of them can learn from. */
  readonly parallel: number;
  /** Absent for `grid` and `hyperband`: as many as they have. */
  readonly trials?: number;
  /** Absent: prequential with 4 folds where the split is by time, else stratified with 5. */
  readonly validate?: SearchValidation;
  /** No trial begins later after the first one than this, in milliseconds. */
  readonly withinMs?: number;
  /** Values of a numeric option in a grid. */
  readonly gridSteps?: number;
  /** Fewest trees of a trial of Hyperband. */
  readonly roundsMin?: number;
  /** Of how many trials of Hyperband one goes on. */
  readonly reduction?: number;
}

/** Limits of a search, each with its unit. */
export const SEARCH_LIMITS = {
  /** Trials of a search. */
  trialsMax: 1_000,
  /** Trials at a time. */
  parallelMax: 64,
  /** Options that are searched. */
  parametersMax: 32,
  /** Values of one option to choose from. */
  choicesMax: 100,
  /** Folds by which a trial is judged. */
  foldsMax: 20,
  /** Shortest and longest time of a search, in milliseconds. */
  withinMsMin: 1_000,
  withinMsMax: 7 * 86_400_000,
} as const;

/** Any number between the bounds, both included. */
export function uniform(low: number, high: number): TunedRange {
  return range('uniform', low, high);
}

/** Any number between the bounds, spread evenly by its logarithm: for what matters by factors, such as rates. Above 0. */
export function logUniform(low: number, high: number): TunedRange {
  return range('logUniform', low, high);
}

/** Any whole number between the bounds, both included. */
export function integers(low: number, high: number): TunedRange {
  return range('integers', low, high);
}

/** Any whole number between the bounds, spread evenly by its logarithm. Above 0. */
export function logIntegers(low: number, high: number): TunedRange {
  return range('logIntegers', low, high);
}

/** One of these values, which have no order for the search. */
export function choices(...values: readonly number[]): TunedRange {
  const { choicesMax } = SEARCH_LIMITS;
  const isSound = values.every(Number.isFinite) && new Set(values).size === values.length;
  if (!isSound || values.length < 1 || values.length > choicesMax) {
    throw new TypeError(
      `choices(): expected 1 to ${String(choicesMax)} different numbers; got ${values.map(String).join(', ')}`,
    );
  }
  return { kind: 'choices', values: values.map((value) => value + 0) };
}

function range(kind: Exclude<TunedRange['kind'], 'choices'>, low: number, high: number): TunedRange {
  const shown = `${kind}(${String(low)}, ${String(high)})`;
  const isWhole = kind === 'integers' || kind === 'logIntegers';
  if (![low, high].every(isWhole ? Number.isSafeInteger : Number.isFinite)) {
    throw new TypeError(`${shown}: the bounds are ${isWhole ? 'whole' : 'finite'} numbers`);
  }
  if (!(low < high)) throw new TypeError(`${shown}: the first bound is below the second`);
  if (kind.startsWith('log') && !(low > 0)) throw new TypeError(`${shown}: the bounds are above 0`);
  return { kind, low: low + 0, high: high + 0 };
}

export interface PrequentialOptions {
  /** 1 to 20. Default 4. */
  readonly folds?: number;
  /** Default: as long as the training period of the model's split. */
  readonly train?: Duration;
  /** Default: as long as the delay of the split. */
  readonly delay?: Duration;
  /** Default: as long as the test period of the split. */
  readonly test?: Duration;
  /** How much earlier each further fold lies. Default: `test`. */
  readonly step?: Duration;
}

/** Judges trials in time: see {@link PrequentialValidation}. */
export function prequential(options: PrequentialOptions = {}): PrequentialValidation {
  const { folds = 4, train, delay, test, step } = options;
  assertFolds('prequential', folds, 1);
  return {
    kind: 'prequential',
    folds,
    ...(train === undefined ? {} : { trainMs: durationMs(train) }),
    ...(delay === undefined ? {} : { delayMs: durationMs(delay) }),
    ...(test === undefined ? {} : { testMs: durationMs(test) }),
    ...(step === undefined ? {} : { stepMs: durationMs(step) }),
  };
}

/** Judges trials by stratified cross-validation of the training rows, 2 to 20 folds. Default 5. */
export function stratified(options: { readonly folds?: number } = {}): StratifiedValidation {
  const { folds = 5 } = options;
  assertFolds('stratified', folds, 2);
  return { kind: 'stratified', folds };
}

function assertFolds(name: string, folds: number, least: number): void {
  if (Number.isSafeInteger(folds) && folds >= least && folds <= SEARCH_LIMITS.foldsMax) return;
  throw new TypeError(
    `${name}(): folds is a whole number from ${String(least)} to ${String(SEARCH_LIMITS.foldsMax)}; got ${String(folds)}`,
  );
}

/** How the trials of a model with such a split are judged. */
export function validationOf(search: TrainerSearch, split: ModelSplit): SearchValidation {
  return search.validate ?? (split.kind === 'time' ? prequential() : stratified());
}

/** Throws a TypeError when trials cannot be judged that way on the rows of such a model. */
export function assertSearchFits(
  model: string,
  search: TrainerSearch,
  { split, task }: { readonly split: ModelSplit; readonly task: 'binary' | 'ranking' },
): void {
  const { metric } = search;
  if (isRankingMetric(metric) !== (task === 'ranking')) {
    throw new TypeError(
      `Model '${model}': a search by ${metric} is ${task === 'ranking' ? 'not for' : 'for'} a model that ranks`,
    );
  }
  const validation = validationOf(search, split);
  if (validation.kind === 'prequential' && split.kind !== 'time') {
    throw new TypeError(`Model '${model}': prequential validation needs a split by time`);
  }
  if (metric !== 'cardPrecision100') return;
  if (excludedEntity(split) === undefined || validation.kind !== 'prequential') {
    throw new TypeError(
      `Model '${model}': a search by cardPrecision100 needs a split with 'excludeKnown' and prequential validation`,
    );
  }
}
