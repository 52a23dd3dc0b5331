import type { ExternalTrainer } from './external.ts';
import { type Gate, isRankingMetric } from './gate.ts';
import { definitionHash } from './hash.ts';
import type { LabelDefinition } from './label.ts';
import { assertName } from './name.ts';
import { isRecommenderMetric } from './recommender-metric.ts';
import { type RetrainRule, retrainRules } from './retrain.ts';
import { assertSearchFits, type TrainerSearch } from './search-space.ts';
import type { Source } from './source.ts';
import { byTime, type ModelSplit } from './split.ts';
import type { Vector } from './vector.ts';

/** Logistic regression on standardised inputs, missing values replaced by the column's mean. */
export interface LogisticTrainer {
  readonly kind: 'logistic';
  /** Inverse strength of the penalty, as in 0.5 |w|^2 + c * sum of log losses. */
  readonly c: number;
  /**
   * The share r of the penalty that is L1, as in r |w|_1 + (1 - r) 0.5 |w|^2 + c * sum of log losses: inputs that do not
   * help get no weight at all. In (0, 1]; absent for none.
   */
  readonly l1Ratio?: number;
  /** See {@link CalibrationKind}. Absent: the probabilities are the model's own. */
  readonly calibrate?: CalibrationKind;
}

/**
 * A rising curve behind the model, fitted on scores of training rows that come from models which did not learn from those rows.
 * `platt`: a logistic curve, for some dozens of rows of each class. `isotonic`: any rising curve, for a thousand rows or more.
 */
export type CalibrationKind = 'platt' | 'isotonic';

/** Histogram gradient boosting of depth-limited trees, for binary outcomes or for an order within groups. */
export interface GbdtTrainer {
  readonly kind: 'gbdt';
  readonly rounds: number;
  readonly learningRate: number;
  readonly depthMax: number;
  readonly lambda: number;
  readonly hessianMin: number;
  readonly rowFraction: number;
  readonly columnFraction: number;
  /** `leaf`: always the leaf with the largest gain is split. Absent: every node, down to `depthMax`. */
  readonly growth?: 'leaf';
  /** Leaves of a tree that grows by `leaf`. Absent: 31. */
  readonly leavesMax?: number;
  /** L1 penalty on leaf values. Absent: none. */
  readonly alpha?: number;
  /** Fewest training rows in a leaf. Absent: 1. */
  readonly leafRowsMin?: number;
  /** `balanced`: both classes have the same total weight. Probabilities are then those of a world in which they are equally frequent. */
  readonly classWeights?: 'balanced';
  /** By input: the probability must not fall (`rising`) or rise (`falling`) as the value rises. */
  readonly monotone?: Readonly<Record<string, 'rising' | 'falling'>>;
  /**
   * The newest `fraction` of the training rows is not learnt from: training ends once their log loss has not fallen for `patience`
   * rounds, and keeps the rounds up to the best.
   */
  readonly earlyStopping?: { readonly fraction: number; readonly patience: number };
  /** See {@link CalibrationKind}. Absent: the probabilities are the model's own. */
  readonly calibrate?: CalibrationKind;
  /**
   * `rank`: LambdaRank, an order of the rows of each group in which those with a true label come first. The answer is a score to sort
   * by, not a probability. Absent: the probability that the label is true.
   */
  readonly objective?: 'rank';
  /** With `rank`: a key field of the candidate; rows of the same value are one group. */
  readonly groupBy?: string;
}

/** A trainer that is part of the platform. */
export type InnerTrainer = LogisticTrainer | GbdtTrainer;

/** A trainer, an inner one possibly with a search for some of its options: see `tuned`. */
export type Trainer = (InnerTrainer & { readonly search?: TrainerSearch }) | ExternalTrainer;

/** Logistic regression. Default `c` 1, no L1 penalty, not calibrated. Throws TypeError when an option is out of its bounds. */
export function logistic(options: Partial<Omit<LogisticTrainer, 'kind'>> = {}): LogisticTrainer {
  const { c = 1, l1Ratio } = options;
  const calibrated = calibrationOf('logistic', options.calibrate);
  if (!(c > 0)) throw new TypeError(`logistic(): c is above 0; got ${String(c)}`);
  if (l1Ratio === undefined) return { kind: 'logistic', c, ...calibrated };
  if (!(l1Ratio > 0 && l1Ratio <= 1 && c < Infinity)) {
    throw new TypeError(
      `logistic(): l1Ratio is above 0 and at most 1, with a finite c; got ${String(l1Ratio)} and ${String(c)}`,
    );
  }
  return { kind: 'logistic', c, l1Ratio, ...calibrated };
}

function calibrationOf(
  trainer: string,
  calibrate: CalibrationKind | undefined,
): { readonly calibrate?: CalibrationKind } {
  if (calibrate === undefined) return {};
  if (calibrate === 'platt' || calibrate === 'isotonic') return { calibrate };
  throw new TypeError(`${trainer}(): calibrate is 'platt' or 'isotonic'; got '${String(calibrate)}'`);
}

/** What {@link gbdt} takes. */
export interface GbdtOptions extends Partial<
  Omit<GbdtTrainer, 'kind' | 'growth' | 'earlyStopping' | 'objective'>
> {
  /** Default `depth`. */
  readonly growth?: 'depth' | 'leaf';
  /** Default `binary`. */
  readonly objective?: 'binary' | 'rank';
  /** Default: none. `true` is a fraction of 0.2 and a patience of 10 rounds. */
  readonly earlyStopping?: boolean | { readonly fraction?: number; readonly patience?: number };
}

/**
 * Gradient boosting. Defaults: 100 rounds, rate 0.1, depth 6 (64 when trees grow by `leaf`), lambda 1, least hessian 1 (0.001 for
 * `rank`), all rows and columns. Throws TypeError when an option is out of its bounds, or is not of the objective.
 */
export function gbdt(options: GbdtOptions = {}): GbdtTrainer {
  const isByLeaf = options.growth === 'leaf';
  const trainer: GbdtTrainer = {
    kind: 'gbdt',
    rounds: options.rounds ?? 100,
    learningRate: options.learningRate ?? 0.1,
    depthMax: options.depthMax ?? (isByLeaf ? 64 : 6),
    lambda: options.lambda ?? 1,
    hessianMin: options.hessianMin ?? (options.objective === 'rank' ? 1e-3 : 1),
    rowFraction: options.rowFraction ?? 1,
    columnFraction: options.columnFraction ?? 1,
    // What was not asked for is absent: the definitions of before there was such a choice keep their hash.
    ...(isByLeaf ? { growth: 'leaf' as const } : {}),
    ...optional(options),
    ...calibrationOf('gbdt', options.calibrate),
    ...rankOf(options),
  };
  assertRange('rounds', trainer.rounds, 1, 10_000);
  assertRange('learningRate', trainer.learningRate, 1e-6, 1);
  assertRange('depthMax', trainer.depthMax, 1, isByLeaf ? 64 : 16);
  assertRange('lambda', trainer.lambda, 0, 1e9);
  assertRange('hessianMin', trainer.hessianMin, 0, 1e9);
  assertRange('rowFraction', trainer.rowFraction, 1e-3, 1);
  assertRange('columnFraction', trainer.columnFraction, 1e-3, 1);
  if (trainer.leavesMax !== undefined) {
    if (!isByLeaf) throw new TypeError("gbdt(): leavesMax is for growth 'leaf'");
    assertRange('leavesMax', trainer.leavesMax, 2, 65_536);
  }
  if (trainer.alpha !== undefined) assertRange('alpha', trainer.alpha, 0, 1e9);
  if (trainer.leafRowsMin !== undefined) assertRange('leafRowsMin', trainer.leafRowsMin, 1, 1e9);
  if (trainer.earlyStopping !== undefined) {
    assertRange('earlyStopping.fraction', trainer.earlyStopping.fraction, 1e-3, 0.9);
    assertRange('earlyStopping.patience', trainer.earlyStopping.patience, 1, 10_000);
  }
  return trainer;
}

function optional(options: GbdtOptions): Partial<GbdtTrainer> {
  const { leavesMax, alpha, leafRowsMin, classWeights, monotone, earlyStopping } = options;
  const stopping = earlyStopping === true ? {} : earlyStopping;
  return {
    ...(leavesMax === undefined ? {} : { leavesMax }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(leafRowsMin === undefined ? {} : { leafRowsMin }),
    ...(classWeights === undefined ? {} : { classWeights }),
    ...(monotone === undefined ? {} : { monotone }),
    ...(stopping === undefined || stopping === false
      ? {}
      : { earlyStopping: { fraction: stopping.fraction ?? 0.2, patience: stopping.patience ?? 10 } }),
  };
}

function rankOf(options: GbdtOptions): Pick<GbdtTrainer, 'objective' | 'groupBy'> {
  const { objective = 'binary', groupBy, classWeights, calibrate } = options;
  if (objective !== 'binary' && objective !== 'rank') {
    throw new TypeError(`gbdt(): objective is 'binary' or 'rank'; got '${String(objective)}'`);
  }
  if (objective === 'binary') {
    if (groupBy !== undefined) throw new TypeError("gbdt(): groupBy is for objective 'rank'");
    return {};
  }
  if (groupBy === undefined) {
    throw new TypeError(
      "gbdt(): objective 'rank' needs groupBy, the key field whose rows are ranked together",
    );
  }
  if (classWeights !== undefined) throw new TypeError("gbdt(): classWeights is not for objective 'rank'");
  if (calibrate !== undefined) {
    throw new TypeError("gbdt(): calibrate is not for objective 'rank', whose scores are no probabilities");
  }
  return { objective, groupBy };
}

function assertRange(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) {
    throw new TypeError(`gbdt(): ${name} is ${String(low)} to ${String(high)}; got ${String(value)}`);
  }
}

export interface ModelOptions<TSource extends Source> {
  readonly vector: Vector<string, TSource>;
  readonly label: LabelDefinition<TSource>;
  readonly trainer: Trainer;
  /** Default `byTime()`. */
  readonly split?: ModelSplit;
  /** Default none. */
  readonly gates?: readonly Gate[];
  /** Seed of everything random in training. Default 0. */
  readonly seed?: number;
  /**
   * When the model is trained by itself: `every('7d')`, `onNewLabels(500)`, or both in a list. No part of what the model is:
   * with another rule it has the same hash. Default: never.
   */
  readonly retrain?: RetrainRule | readonly RetrainRule[];
}

/** A model: what it reads, what it predicts, and how it is trained, judged and admitted. */
export interface Model<TName extends string = string, TSource extends Source = Source> {
  readonly type: 'model';
  readonly name: TName;
  readonly vector: Vector<string, TSource>;
  readonly label: LabelDefinition<TSource>;
  readonly trainer: Trainer;
  readonly split: ModelSplit;
  readonly gates: readonly Gate[];
  readonly seed: number;
  /** At most one rule of each kind; not in the hash. */
  readonly retrain: readonly RetrainRule[];
  readonly hash: string;
}

/** Defines a model of the probability that the label is true. */
export function defineModel<const TName extends string, TSource extends Source>(
  name: TName,
  options: ModelOptions<TSource>,
): Model<TName, TSource> {
  assertName('model', name);
  if (options.vector.candidate.hash !== options.label.of.hash) {
    throw new TypeError(
      `Model '${name}': vector '${options.vector.name}' is of '${options.vector.candidate.name}' ` +
        `but label '${options.label.name}' is of '${options.label.of.name}'`,
    );
  }
  const split = options.split ?? byTime();
  assertSplit(name, options, split);
  assertMonotone(name, options);
  assertTask(name, options, split);
  const retrain = retrainRules(name, options.retrain);
  if (retrain.some(({ kind }) => kind === 'onNewEvents')) {
    throw new TypeError(`Model '${name}': onNewEvents() is of recommenders; onNewLabels() counts outcomes`);
  }
  const { trainer } = options;
  if (trainer.kind !== 'external' && trainer.search !== undefined) {
    assertSearchFits(name, trainer.search, { split, task: taskOf(options) });
  }
  const definition = {
    type: 'model' as const,
    name,
    vector: options.vector,
    label: options.label,
    trainer: options.trainer,
    split,
    gates: options.gates ?? [],
    seed: options.seed ?? 0,
  };
  return modelOf({ ...definition, retrain });
}

/** @internal The model with the hash of what it consists of; when it is trained again is no part of that. */
export function modelOf<TName extends string, TSource extends Source>(
  model: Omit<Model<TName, TSource>, 'hash'>,
): Model<TName, TSource> {
  const { hash: _before, retrain, ...definition } = model as Model<TName, TSource>;
  const hash = definitionHash({ ...definition, vector: model.vector.hash, label: model.label.hash });
  return { ...definition, retrain, hash };
}

function assertSplit(
  name: string,
  { vector, label, trainer }: ModelOptions<Source>,
  split: ModelSplit,
): void {
  if (split.kind === 'time') {
    const known = split.excludeKnown;
    if (known === undefined || vector.candidate.fields[known] !== undefined) return;
    throw new TypeError(`Model '${name}': excludeKnown '${known}' is not a field of the candidate`);
  }
  if (trainer.kind === 'external') {
    throw new TypeError(
      `Model '${name}': byFolds() is for the trainers of the platform; external() takes byTime()`,
    );
  }
  if (split.withinMs <= label.maturesAfterMs) {
    throw new TypeError(
      `Model '${name}': 'within' must be longer than label '${label.name}' takes to mature`,
    );
  }
  if (split.groupBy !== undefined) assertKey(name, vector, split.groupBy);
}

/** Groups are of key fields: those are the columns of a dataset that name an entity. The candidate's own id names no other row. */
function assertKey(name: string, { candidate }: Vector, groupBy: string): void {
  const keys = Object.entries(candidate.fields)
    .filter(([field, { kind }]) => kind === 'key' || (kind === 'id' && field !== candidate.id))
    .map(([field]) => field);
  if (keys.includes(groupBy)) return;
  throw new TypeError(
    `Model '${name}': groupBy '${groupBy}' is no key field of '${candidate.name}', which has ${keys.join(', ') || 'none'}`,
  );
}

/** @internal What a model answers with: a probability, or a score to sort the rows of a group by. */
export function taskOf({ trainer }: Pick<Model, 'trainer'>): 'binary' | 'ranking' {
  return trainer.kind === 'gbdt' && trainer.objective === 'rank' ? 'ranking' : 'binary';
}

/** A ranking is judged by other metrics than a probability, and by time alone. */
function assertTask(
  name: string,
  { trainer, vector, gates = [] }: ModelOptions<Source>,
  split: ModelSplit,
): void {
  const task = taskOf({ trainer });
  for (const { metric } of gates) {
    if (!isRankingMetric(metric) && isRecommenderMetric(metric))
      throw new TypeError(`Model '${name}': the gate on ${metric} is for a recommender`);
    if (isRankingMetric(metric) === (task === 'ranking')) continue;
    throw new TypeError(
      `Model '${name}': the gate on ${metric} is ${task === 'ranking' ? 'not for' : 'for'} a model that ranks`,
    );
  }
  if (split.kind === 'folds' && gates.some(({ metric }) => metric === 'cardPrecision100')) {
    throw new TypeError(
      `Model '${name}': cardPrecision100 is measured by the days of byTime(), not by folds`,
    );
  }
  if (task !== 'ranking' || trainer.kind !== 'gbdt') return;
  if (split.kind !== 'time' || split.excludeKnown !== undefined) {
    throw new TypeError(`Model '${name}': a model that ranks is judged by byTime() without excludeKnown`);
  }
  assertKey(name, vector, trainer.groupBy ?? '');
}

function assertMonotone(name: string, { trainer, vector }: ModelOptions<Source>): void {
  if (trainer.kind !== 'gbdt') return;
  const inputs = vector.values.map((value) => value.name);
  for (const [input, direction] of Object.entries(trainer.monotone ?? {})) {
    if (!inputs.includes(input)) {
      throw new TypeError(
        `Model '${name}': monotone '${input}' is no input; vector '${vector.name}' has ${inputs.join(', ')}`,
      );
    }
    if (vector.values.some((value) => value.name === input && value.categories !== undefined)) {
      throw new TypeError(
        `Model '${name}': monotone '${input}' is categorical, and its categories have no order`,
      );
    }
    if (direction !== 'rising' && direction !== 'falling') {
      throw new TypeError(
        `Model '${name}': monotone '${input}' is 'rising' or 'falling'; got '${String(direction)}'`,
      );
    }
  }
}
