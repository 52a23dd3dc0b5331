import {
  aucRoc,
  averagePrecision,
  bootstrap,
  brier,
  calibrationError,
  cardPrecisionAtK,
  logLoss,
  matrix,
  type Metric,
  metricBySlice,
  type MeasuredSlice,
  permutationImportance,
  precisionRecallCurve,
  reliabilityCurve,
  rocCurve,
  SeededRandom,
  type SliceColumn,
  type SliceValue,
  type UnmeasuredSlice,
} from '../../ml/index.ts';
import { categoriesAt } from './categories.ts';
import type { Part } from './part-file.ts';
import type { Scorer } from './scorer.ts';
import { categoryColumn } from './slice-categories.ts';
import {
  type Importance,
  type InputReference,
  type Interval,
  type ModelReport,
  type Point,
  REFERENCE_SHARES,
  type Slice,
} from './report.ts';

/** Limits of what a report measures: it is made of every version, so it is to take a second for 12,000 rows. */
export const REPORT_LIMITS = {
  /** Resamples of the interval of a metric. */
  resamples: 300,
  /** Resamples of the interval of a slice. */
  sliceResamples: 100,
  /** Share of the resamples in an interval. */
  level: 0.95,
  /** Inputs that rows are sliced by: the first ones of the vector. */
  slicedInputsMax: 40,
  /** An input with no more different values is sliced by each of them, another one by its quarters. */
  categoriesMax: 8,
  /** Test rows by which importance is measured, drawn at random. */
  importanceRowsMax: 2_000,
  /** Times that the values of an input are shuffled. */
  importanceRepeats: 3,
  /** Points of a curve. */
  curvePointsMax: 200,
  calibrationBins: 10,
} as const;

/** Entities that can be looked into on a day, for `cardPrecision100`. */
const ENTITIES_A_DAY = 100;
/** By what slices and inputs are compared: it does not depend on how rare positives are. */
const COMPARED = 'aucRoc';

const INTERVALS: Readonly<Record<string, Metric>> = { aucRoc, averagePrecision, logLoss, brier };

export interface ReportInput {
  readonly train: Part;
  readonly test: Part;
  /** Of the test rows. */
  readonly scores: Float64Array;
  readonly scorer: Scorer;
  readonly seed: number;
}

/** Metrics of scores by name. */
export function metricsOf({ labels, days, entities }: Part, scores: Float64Array): Record<string, number> {
  return {
    aucRoc: aucRoc(labels, scores),
    averagePrecision: averagePrecision(labels, scores),
    logLoss: logLoss(labels, scores),
    brier: brier(labels, scores),
    calibrationError: calibrationError(labels, scores),
    ...(days === undefined || entities === undefined
      ? {}
      : {
          cardPrecision100: cardPrecisionAtK({ scores, labels, days, cards: entities, k: ENTITIES_A_DAY })
            .mean,
        }),
  };
}

/** Measures what a card tells. It depends on the input alone. */
export function reportOf(input: ReportInput): ModelReport {
  const { train, test, scores } = input;
  const [trainPositives, testPositives] = [positivesOf(train), positivesOf(test)];
  const probability = trainPositives / train.rows;
  return {
    form: 1,
    train: { rows: train.rows, positives: trainPositives },
    test: { rows: test.rows, positives: testPositives },
    metrics: metricsOf(test, scores),
    intervals: intervalsOf(input),
    baseline: { probability, metrics: metricsOf(test, new Float64Array(test.rows).fill(probability)) },
    curves: curvesOf(test, scores),
    slices: slicesOf(input),
    importance: importanceOf(input),
    inputs: train.names.map((name, column) => referenceOf(train, name, column)),
  };
}

function intervalsOf({ test, scores, seed }: ReportInput): Record<string, Interval> {
  const intervals: Record<string, Interval> = {};
  const { resamples, level } = REPORT_LIMITS;
  for (const [name, metric] of Object.entries(INTERVALS)) {
    const interval = unlessUnsound(() =>
      bootstrap(metric, rowsOf(test, scores), { resamples, level, method: 'percentile', seed }),
    );
    if (interval !== undefined) intervals[name] = { low: interval.lower, high: interval.upper, level };
  }
  return intervals;
}

/** Rows with their scores. */
export interface ScoredRows {
  readonly labels: Uint8Array;
  readonly scores: Float64Array;
  readonly groups?: Uint32Array;
}

/** Rows of one entity resemble each other: they are drawn together. */
export function rowsOf({ labels, entities }: Part, scores: Float64Array): ScoredRows {
  return { labels, scores, ...(entities === undefined ? {} : { groups: entities }) };
}

function curvesOf(test: Part, scores: Float64Array): ModelReport['curves'] {
  const roc = rocCurve(test.labels, scores);
  const { recalls, precisions } = precisionRecallCurve(test.labels, scores);
  const { rows, meanProbabilities, positiveShares } = reliabilityCurve(test.labels, scores, {
    bins: REPORT_LIMITS.calibrationBins,
    by: 'width',
  });
  return {
    roc: thinned(roc.falsePositiveRates, roc.truePositiveRates),
    precisionRecall: thinned(recalls, precisions),
    calibration: Array.from(rows, (count, bin) => ({
      rows: count,
      predicted: meanProbabilities[bin] as number,
      observed: positiveShares[bin] as number,
    })),
  };
}

/** Points of a curve that are about as far from each other, the first and the last among them. */
function thinned(x: Float64Array, y: Float64Array): Point[] {
  const points: Point[] = [];
  const least = 2 / REPORT_LIMITS.curvePointsMax;
  const last = x.length - 1;
  let at: Point | undefined;
  for (let index = 0; index <= last; index += 1) {
    const point: Point = [x[index] as number, y[index] as number];
    const isFar =
      at === undefined || Math.abs(point[0] - at[0]) + Math.abs(point[1] - at[1]) >= least || index === last;
    if (!isFar) continue;
    points.push(point);
    at = point;
  }
  return points;
}

function slicesOf({ test, scores, seed }: ReportInput): ModelReport['slices'] {
  const { sliceResamples, level } = REPORT_LIMITS;
  const columns = sliceColumns(test);
  if (columns.length === 0) return { metric: COMPARED, list: [], worst: null };
  const report = unlessUnsound(() =>
    metricBySlice(
      aucRoc,
      { ...rowsOf(test, scores), columns },
      {
        higherIsBetter: true,
        bootstrap: { resamples: sliceResamples, level, method: 'percentile', seed },
      },
    ),
  );
  if (report === undefined) return { metric: COMPARED, list: [], worst: null };
  const worst = report.worst === undefined ? undefined : report.slices.indexOf(report.worst.slice);
  const list = report.slices.map((slice) => toSlice(slice, test, columns));
  const named = worst === undefined ? undefined : list[worst];
  return {
    metric: COMPARED,
    list,
    worst: named === undefined ? null : { input: named.input, values: named.values },
  };
}

/** What rows are sliced by. */
export function sliceColumns(part: Part): SliceColumn[] {
  return part.names
    .slice(0, REPORT_LIMITS.slicedInputsMax)
    .flatMap((name, column) => columnOf(part, name, column));
}

/** An input that tells rows apart, as something to slice by. */
function columnOf(part: Part, name: string, column: number): SliceColumn[] {
  const categories = categoriesAt(part, name);
  if (categories !== undefined)
    return categoryColumn(part, { column, categories, most: REPORT_LIMITS.categoriesMax });
  const values = Float32Array.from({ length: part.rows }, (_, row) => valueOf(part, row, column));
  const different = new Set<number>();
  for (const value of values) {
    different.add(value);
    if (different.size > REPORT_LIMITS.categoriesMax) return [{ name, kind: 'number', values, bins: 4 }];
  }
  if (different.size < 2) return [];
  return [
    { name, kind: 'category', values: Array.from(values, (value) => (Number.isNaN(value) ? null : value)) },
  ];
}

function toSlice(slice: MeasuredSlice | UnmeasuredSlice, test: Part, columns: readonly SliceColumn[]): Slice {
  const { column: input, value, rows } = slice;
  const values = columns.find(({ name }) => name === input)?.values ?? [];
  let positives = 0;
  for (let row = 0; row < test.rows; row += 1) {
    if (isIn(value, values[row] ?? null)) positives += test.labels[row] as number;
  }
  const shared = { input, values: describe(value), rows, positives };
  if (!slice.measured) return { ...shared, value: null, interval: null };
  const { estimate, lower, upper, level } = slice.interval;
  return { ...shared, value: estimate, interval: { low: lower, high: upper, level } };
}

function isIn(slice: SliceValue, value: string | number | boolean | null): boolean {
  switch (slice.kind) {
    case 'missing':
      return value === null || Number.isNaN(value);
    case 'category':
      return value === slice.category;
    case 'range':
      return (
        typeof value === 'number' &&
        value >= slice.from &&
        (slice.last ? value <= slice.to : value < slice.to)
      );
  }
}

/** The values of a slice, for people. */
export function describe(slice: SliceValue): string {
  switch (slice.kind) {
    case 'missing':
      return 'missing';
    case 'category':
      return String(slice.category);
    case 'range':
      return `${rounded(slice.from)} to ${slice.last ? '' : 'below '}${rounded(slice.to)}`;
  }
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function importanceOf({ test, scorer, seed }: ReportInput): ModelReport['importance'] {
  const { importanceRowsMax, importanceRepeats } = REPORT_LIMITS;
  const width = test.names.length;
  const rows = Math.min(test.rows, importanceRowsMax);
  const drawn = new SeededRandom(seed).sample(test.rows, rows);
  const values = new Float32Array(rows * width);
  const labels = new Uint8Array(rows);
  for (let index = 0; index < rows; index += 1) {
    const row = drawn[index] as number;
    values.set(test.values.subarray(row * width, (row + 1) * width), index * width);
    labels[index] = test.labels[row] as number;
  }
  const scores = new Float64Array(rows);
  const found = unlessUnsound(() =>
    permutationImportance(
      matrix(rows, width, values),
      (shuffled) => {
        scorer(shuffled.values, drawn, scores);
        return aucRoc(labels, scores);
      },
      {
        repeats: importanceRepeats,
        seed,
        groups: test.names.map((name, column) => ({ name, columns: [column] })),
      },
    ),
  );
  const inputs = (found?.groups ?? [])
    .map(({ name, mean, spread }): Importance => ({ name, drop: mean, spread }))
    .sort((left, right) => right.drop - left.drop);
  return { metric: COMPARED, rows, inputs };
}

/** What an input looks like. */
export function referenceOf(part: Part, name: string, column: number): InputReference {
  const values = Float32Array.from({ length: part.rows }, (_, row) => valueOf(part, row, column))
    .filter((value) => !Number.isNaN(value))
    .sort();
  const last = values.length - 1;
  const missing = 1 - values.length / part.rows;
  const categories = categoriesAt(part, name);
  if (categories !== undefined) {
    const shares = categories.map((category, code) => ({
      category,
      share: values.reduce((sum, value) => sum + (value === code ? 1 : 0), 0) / part.rows,
    }));
    return { name, missing, quantiles: [], shares };
  }
  return {
    name,
    missing,
    quantiles:
      values.length === 0 ? [] : REFERENCE_SHARES.map((share) => values[Math.round(share * last)] as number),
  };
}

function valueOf({ values, names }: Part, row: number, column: number): number {
  return values[row * names.length + column] as number;
}

/** Rows whose label is true. */
export function positivesOf({ labels }: Part): number {
  return labels.reduce((sum, label) => sum + label, 0);
}

/** `undefined` where the rows cannot be measured so: too few of a class, say. */
export function unlessUnsound<TResult>(work: () => TResult): TResult | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
