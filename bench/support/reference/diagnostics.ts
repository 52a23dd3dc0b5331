import type { SearchSpace, Split, TreesOptions } from '../../../src/ml/index.ts';
import { aucRoc, averagePrecision, metricsAtThreshold, stratifiedFolds } from '../../../src/ml/index.ts';
import type { Goal, Measurement } from '../../run.ts';
import { median } from '../median.ts';
import type { Cases } from './cases.ts';
import {
  codedTable,
  matrixRows,
  readCreditData,
  readGermanCredit,
  readHaberman,
  readHeart,
  readHypothyroid,
  readPima,
  readWdbc,
  tableRows,
} from './cases.ts';
import { hasData } from './data-folder.ts';
import { logisticOnTable, searchTrees, treesOnMatrix } from './models.ts';
import { printTable } from './text-table.ts';

/** Seeds of the folds; of each figure the middle one counts. */
const SEEDS = [0, 1, 2];
const FOLDS = 10;
const INNER_FOLDS = 3;
const TRIALS = 12;
/** What the best of ours may lack against the best reference. */
const AUC_TOLERANCE = 0.01;

/** For small data: shallow trees that each correct little and see a part of the rows and columns. */
const SMALL_DATA: TreesOptions = {
  rounds: 150,
  learningRate: 0.05,
  maxDepth: 3,
  minHessian: 2,
  rowSample: 0.8,
  columnSample: 0.7,
};

const SPACE: SearchSpace = [
  { name: 'rounds', kind: 'log-whole', least: 40, most: 300 },
  { name: 'learningRate', kind: 'log-real', least: 0.015, most: 0.2 },
  { name: 'maxDepth', kind: 'whole', least: 1, most: 5 },
  { name: 'minHessian', kind: 'log-real', least: 0.5, most: 15 },
  { name: 'lambda', kind: 'log-real', least: 0.3, most: 30 },
  { name: 'rowSample', kind: 'real', least: 0.5, most: 1 },
  { name: 'columnSample', kind: 'real', least: 0.3, most: 1 },
];
const FIRST = [
  {
    rounds: 150,
    learningRate: 0.05,
    maxDepth: 3,
    minHessian: 2,
    lambda: 1,
    rowSample: 0.8,
    columnSample: 0.7,
  },
];

interface DataSet {
  readonly name: string;
  readonly file: string;
  readonly read: () => Cases;
  /** AUC of the best measured reference, and which one it is. */
  readonly reference: number;
  readonly referenceName: string;
}

const DATA_SETS: readonly DataSet[] = [
  set('wdbc', 'diagnostics/wdbc_breast_cancer.csv', readWdbc, [0.9952, 'logistic']),
  set('pimaZeros', 'diagnostics/pima_with_missing.csv', () => readPima(false), [0.8285, 'logistic']),
  set('pimaMissing', 'diagnostics/pima_with_missing.csv', () => readPima(true), [0.8346, 'logistic']),
  set('heart', 'diagnostics/heart_scale', readHeart, [0.9107, 'logistic']),
  set('haberman', 'diagnostics/haberman.csv', readHaberman, [0.682, 'logistic']),
  set('hypothyroid', 'diagnostics/hypothyroid.arff', readHypothyroid, [0.9994, 'forest']),
  set('creditData', 'credit/modeldata_credit_data.csv', readCreditData, [0.8327, 'histogram trees']),
  set('germanCredit', 'credit/german_credit-g.arff', readGermanCredit, [0.7961, 'forest']),
];

type ModelName = 'logistic' | 'trees' | 'tunedTrees';
const MODELS: readonly ModelName[] = ['logistic', 'trees', 'tunedTrees'];

interface Quality {
  readonly auc: number;
  readonly averagePrecision: number;
  readonly accuracy: number;
}

/**
 * Diagnostics and credit: pooled out-of-fold probabilities of stratified 10-fold cross-validation, against
 * scikit-learn's logistic regression, random forest and histogram trees by the same protocol.
 */
export function measureDiagnostics(): Measurement {
  const metrics: Record<string, number> = {};
  const goals: Goal[] = [];
  const lines: string[][] = [];
  for (const data of DATA_SETS) {
    if (!hasData(data.name, [data.file])) continue;
    const cases = data.read();
    let best = Number.NEGATIVE_INFINITY;
    for (const model of MODELS) {
      const found = SEEDS.map((seed) => qualityOf(cases, outOfFold(cases, model, seed)));
      const middle = (name: keyof Quality): number => median(found.map((quality) => quality[name]));
      const quality = {
        auc: middle('auc'),
        averagePrecision: middle('averagePrecision'),
        accuracy: middle('accuracy'),
      };
      const key = `${data.name}${model.charAt(0).toUpperCase()}${model.slice(1)}`;
      metrics[`${key}Auc`] = quality.auc;
      metrics[`${key}AveragePrecision`] = quality.averagePrecision;
      metrics[`${key}Accuracy`] = quality.accuracy;
      best = Math.max(best, quality.auc);
      const aucs = found.map(({ auc }) => auc);
      lines.push([
        data.name,
        model,
        ...[quality.auc, quality.averagePrecision, quality.accuracy].map((value) => value.toFixed(4)),
        `${Math.min(...aucs).toFixed(4)}-${Math.max(...aucs).toFixed(4)}`,
        `${data.reference.toFixed(4)} ${data.referenceName}`,
      ]);
      console.error(lines.at(-1)?.join(' '));
    }
    metrics[`${data.name}BestLessReferenceAuc`] = best - data.reference;
    goals.push({ metric: `${data.name}BestLessReferenceAuc`, goal: -AUC_TOLERANCE });
  }
  const head = ['data', 'model', 'AUC', 'AP', 'accuracy', 'AUC of the seeds', 'best reference AUC'];
  printTable(`Diagnostics and credit: median of ${SEEDS.length} times ${FOLDS} folds`, head, lines);
  return { metrics, goals };
}

function set(
  name: string,
  file: string,
  read: () => Cases,
  [reference, referenceName]: readonly [number, string],
): DataSet {
  return { name, file, read, reference, referenceName };
}

function qualityOf({ labels }: Cases, probabilities: Float64Array): Quality {
  return {
    auc: aucRoc(labels, probabilities),
    averagePrecision: averagePrecision(labels, probabilities),
    accuracy: metricsAtThreshold({ labels, scores: probabilities, threshold: 0.5 }).accuracy,
  };
}

/** The probability of each row by the model that has not learnt from its fold. */
function outOfFold(cases: Cases, model: ModelName, seed: number): Float64Array {
  const { table, labels } = cases;
  const folds = stratifiedFolds(labels, { folds: FOLDS, seed });
  if (model === 'logistic') {
    return pooled(folds, labels, ({ train, test }) =>
      logisticOnTable({
        training: tableRows(table, train),
        labels: labelsOf(labels, train),
        test: tableRows(table, test),
      }),
    );
  }
  const { features, categorical } = codedTable(table);
  const answer = (split: Split, options: TreesOptions): Float64Array =>
    treesOnMatrix(
      {
        training: matrixRows(features, split.train),
        labels: labelsOf(labels, split.train),
        test: matrixRows(features, split.test),
      },
      { ...options, categorical, seed },
    );
  return pooled(folds, labels, (split) => {
    if (model === 'trees') return answer(split, SMALL_DATA);
    // Nested: the search sees the training rows of this fold only, cut into folds of their own.
    const known = labelsOf(labels, split.train);
    const inner = stratifiedFolds(known, { folds: INNER_FOLDS, seed }).map(({ train, test }) => ({
      train: train.map((place) => split.train[place] as number),
      test: test.map((place) => split.train[place] as number),
    }));
    const scoreOf = (options: TreesOptions): number => {
      const probabilities = pooled(inner, labels, (part) => answer(part, options));
      return aucRoc(
        known,
        Float64Array.from(split.train, (row) => probabilities[row] as number),
      );
    };
    const { options } = searchTrees({ space: SPACE, trials: TRIALS, seed, first: FIRST }, scoreOf);
    return answer(split, options);
  });
}

/** The answers to the test rows of all splits, each in the place of its row. */
function pooled(
  splits: readonly Split[],
  labels: Uint8Array,
  answer: (split: Split) => Float64Array,
): Float64Array {
  const probabilities = new Float64Array(labels.length).fill(Number.NaN);
  for (const split of splits) {
    const answers = answer(split);
    split.test.forEach((row, place) => {
      probabilities[row] = answers[place] as number;
    });
  }
  return probabilities;
}

function labelsOf(labels: Uint8Array, rows: Int32Array): Uint8Array {
  return Uint8Array.from(rows, (row) => labels[row] as number);
}
