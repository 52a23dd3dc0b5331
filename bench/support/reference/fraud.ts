import type { Matrix, ParameterValues, SearchSpace, TreesOptions } from '../../../src/ml/index.ts';
import { aucRoc, averagePrecision, cardPrecisionAtK, fitTrees } from '../../../src/ml/index.ts';
import type { Goal, Measurement } from '../../run.ts';
import { matrixRows } from './cases.ts';
import { hasData } from './data-folder.ts';
import type { Fraud, FraudSplit } from './fraud-data.ts';
import { FEATURES_FILE, FIRST_DAY, TRANSACTIONS_FILE, readFraud, splitFrom } from './fraud-data.ts';
import { logisticOnMatrix, meanAnswers, searchTrees, treesOnMatrix } from './models.ts';
import { printTable } from './text-table.ts';

/** 2018-07-25, the first training day of the published split. */
const TRAIN_DAY = 115;
/** Each fold of prequential validation starts a week before the one after it. */
const WEEK = 7;
/** Between the start of a training and that of the training that it validates for: training and delay. */
const VALIDATION_DAYS = 14;
const FOLDS_MAX = 4;
/** Days that the windows of 7 days, delayed by 7, look back. A fold with less has no sound features. */
const LOOKBACK_DAYS = 14;
const TRIALS = 40;
/** Ensembles whose answers are averaged in the end. */
const SEEDS = [0, 1, 2, 3, 4];
const CARDS = 100;

const SPACE: SearchSpace = [
  { name: 'rounds', kind: 'log-whole', least: 25, most: 250 },
  { name: 'learningRate', kind: 'log-real', least: 0.03, most: 0.3 },
  { name: 'maxDepth', kind: 'whole', least: 2, most: 7 },
  { name: 'minHessian', kind: 'log-real', least: 0.1, most: 10 },
  { name: 'lambda', kind: 'log-real', least: 0.1, most: 30 },
  { name: 'rowSample', kind: 'real', least: 0.5, most: 1 },
  { name: 'columnSample', kind: 'real', least: 0.3, most: 1 },
];
/** What the handbook found best for XGBoost. */
const FIRST: readonly ParameterValues[] = [
  {
    rounds: 50,
    learningRate: 0.3,
    maxDepth: 3,
    minHessian: 1,
    lambda: 1,
    rowSample: 1,
    columnSample: 1,
  },
];

interface Quality {
  readonly auc: number;
  readonly averagePrecision: number;
  readonly cardPrecision: number;
}

/** The parts of a split, ready to learn from. */
interface Prepared {
  readonly split: FraudSplit;
  readonly training: Matrix;
  readonly labels: Uint8Array;
  readonly test: Matrix;
}

/**
 * The split and the metrics of the fraud detection handbook: logistic regression and trees with defaults, and
 * trees tuned by prequential validation, which never sees the test week.
 */
export function measureFraud(): Measurement {
  if (!hasData('fraud', [TRANSACTIONS_FILE, FEATURES_FILE])) return { metrics: {}, goals: [] };
  const { fraud, published, equalShare } = readFraud();
  const final = prepare(fraud, TRAIN_DAY);
  const found: [string, Quality][] = [
    ['logistic', qualityOf(fraud, final, logisticOnMatrix(final))],
    ['trees', qualityOf(fraud, final, treesOnMatrix(final, {}))],
    ['tunedTrees', tuned(fraud, final)],
  ];
  const metrics: Record<string, number> = {
    fraudPublishedFeatureRows: published,
    fraudDerivedFeatures_share: equalShare,
    fraudTrain_rows: final.split.train.length,
    fraudTest_rows: final.split.test.length,
  };
  for (const [model, quality] of found) {
    const key = `fraud${model.charAt(0).toUpperCase()}${model.slice(1)}`;
    metrics[`${key}Auc`] = quality.auc;
    metrics[`${key}AveragePrecision`] = quality.averagePrecision;
    metrics[`${key}CardPrecision`] = quality.cardPrecision;
  }
  const title = `Fraud: test week of ${final.split.test.length} transactions`;
  printTable(
    title,
    ['model', 'AUC', 'AP', 'CP@100', 'published AUC / AP / CP@100'],
    found.map(([model, { auc, averagePrecision: precision, cardPrecision }]) => [
      model,
      ...[auc, precision, cardPrecision].map((value) => value.toFixed(4)),
      PUBLISHED[model] ?? '',
    ]),
  );
  return { metrics, goals: GOALS };
}

const PUBLISHED: Readonly<Record<string, string>> = {
  logistic: '.871 / .606 / .291',
  trees: '.862 / .639 / .273 (XGBoost)',
  tunedTrees: '.869 / .687 / .303 (XGBoost, mean of four weeks)',
};

const GOALS: readonly Goal[] = [
  { metric: 'fraudLogisticAuc', goal: 0.868 },
  { metric: 'fraudLogisticAuc', goal: 0.874, bound: 'max' },
  { metric: 'fraudLogisticAveragePrecision', goal: 0.601 },
  { metric: 'fraudLogisticAveragePrecision', goal: 0.611, bound: 'max' },
  { metric: 'fraudLogisticCardPrecision', goal: 0.281 },
  { metric: 'fraudLogisticCardPrecision', goal: 0.301, bound: 'max' },
  { metric: 'fraudTreesAuc', goal: 0.85 },
  { metric: 'fraudTreesAveragePrecision', goal: 0.63 },
  { metric: 'fraudTunedTreesAveragePrecision', goal: 0.67 },
  { metric: 'fraudTunedTreesCardPrecision', goal: 0.295 },
];

function prepare(fraud: Fraud, trainDay: number): Prepared {
  const split = splitFrom(fraud, trainDay);
  return {
    split,
    training: matrixRows(fraud.features, split.train),
    labels: Uint8Array.from(split.train, (row) => fraud.labels[row] as number),
    test: matrixRows(fraud.features, split.test),
  };
}

function qualityOf(fraud: Fraud, { split }: Prepared, scores: Float64Array): Quality {
  const labels = Uint8Array.from(split.test, (row) => fraud.labels[row] as number);
  const days = split.test.map((row) => fraud.days[row] as number);
  const cards = split.test.map((row) => fraud.customers[row] as number);
  return {
    auc: aucRoc(labels, scores),
    averagePrecision: averagePrecision(labels, scores),
    cardPrecision: cardPrecisionAtK({ scores, labels, days, cards, k: CARDS }).mean,
  };
}

/** Chooses by the mean average precision over the folds; the test week is scored once, by the choice. */
function tuned(fraud: Fraud, final: Prepared): Quality {
  const starts = Array.from(
    { length: FOLDS_MAX },
    (_, fold) => TRAIN_DAY - VALIDATION_DAYS - fold * WEEK,
  ).filter((day) => day - FIRST_DAY >= LOOKBACK_DAYS);
  console.error(
    `Prequential validation: ${starts.length} of ${FOLDS_MAX} folds have the features they need; ` +
      `their trainings start on days ${starts.join(', ')} (of 2018-04-01), the final one on day ${TRAIN_DAY}`,
  );
  const folds = starts.map((day) => prepare(fraud, day));
  const scoreOf = (options: TreesOptions): number => {
    const sum = folds
      .map((fold) => qualityOf(fraud, fold, treesOnMatrix(fold, options)).averagePrecision)
      .reduce((total, value) => total + value, 0);
    return sum / folds.length;
  };
  const { options, score } = searchTrees({ space: SPACE, trials: TRIALS, seed: 0, first: FIRST }, scoreOf);
  console.error(`Chosen with validation AP ${score.toFixed(4)}: ${JSON.stringify(options)}`);
  const models = SEEDS.map((seed) => fitTrees(final.training, final.labels, { ...options, seed }));
  return qualityOf(fraud, final, meanAnswers(models, final.test));
}
