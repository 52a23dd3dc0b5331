import { type GateMeasure, isRankingMetric, type RankingMetricName } from '../../define/index.ts';
import {
  bootstrap,
  type BootstrapInterval,
  matrix,
  membersOf,
  type Metric,
  metricBySlice,
  permutationImportance,
  recommendationMetrics,
  SeededRandom,
  type SliceColumn,
} from '../../ml/index.ts';
import { lowerEnd, type Measurement, unmeasured } from './measure-gates.ts';
import {
  describe,
  positivesOf,
  referenceOf,
  REPORT_LIMITS,
  sliceColumns,
  unlessUnsound,
} from './measure-report.ts';
import type { Part } from './part-file.ts';
import { partRows } from './part-rows.ts';
import { groupStarts } from './rank-groups.ts';
import type { Interval, ModelReport, Slice } from './report.ts';
import type { Scorer } from './scorer.ts';

export interface RankingInput {
  readonly train: Part;
  readonly test: Part;
  /** Of the test rows. */
  readonly scores: Float64Array;
  readonly scorer: Scorer;
  readonly seed: number;
}

/** Places of a group that its metrics look at. */
const PLACES = 10;
/** Orders by chance whose mean is the baseline. */
const CHANCE_ORDERS = 20;
/** By what slices and inputs are compared. */
const COMPARED: RankingMetricName = 'ndcg10';
/** What groups are sliced by besides their inputs. */
const GROUP_SIZE = 'rows of the group';

/** Metrics of each group that has a relevant row, and which groups those are. */
interface ByGroup {
  readonly groups: Int32Array;
  readonly metrics: Readonly<Record<RankingMetricName, Float64Array>>;
}

/** Metrics of a ranking by name: means over the groups with a relevant row. */
export function rankingMetricsOf(
  part: Part,
  scores: Float64Array,
  seed: number,
): Record<RankingMetricName, number> {
  return meansOf(byGroup(part, scores, seed));
}

/** Measures a model that ranks, group by group. It depends on the input alone. */
export function rankingReportOf(input: RankingInput): ModelReport {
  const { train, test, seed } = input;
  const own = modelByGroup(input);
  const chance = chanceByGroup(test, seed);
  const intervals: Record<string, Interval> = {};
  for (const [name, values] of Object.entries(own.metrics)) {
    const { level } = REPORT_LIMITS;
    const found = meanInterval(values, { seed, resamples: REPORT_LIMITS.resamples });
    if (found !== undefined) intervals[name] = { low: found.lower, high: found.upper, level };
  }
  const [trainPositives, testPositives] = [positivesOf(train), positivesOf(test)];
  return {
    form: 1,
    task: 'ranking',
    train: { rows: train.rows, positives: trainPositives },
    test: { rows: test.rows, positives: testPositives },
    groups: {
      train: groupStarts(train).length - 1,
      test: groupStarts(test).length - 1,
      judged: own.groups.length,
    },
    metrics: meansOf(own),
    intervals,
    baseline: { probability: trainPositives / train.rows, metrics: meansOf(chance) },
    curves: { roc: [], precisionRecall: [], calibration: [] },
    slices: slicesOf(test, own, seed),
    importance: importanceOf(input),
    inputs: train.names.map((name, column) => referenceOf(train, name, column)),
  };
}

/** Measures what a gate asks for: an end of the interval, or how much better than an order by chance it is. */
export function measureRankingGate(measure: GateMeasure, input: RankingInput): Measurement {
  const { metric, end, against, direction } = measure;
  if (!isRankingMetric(metric)) return unmeasured(measure, 'it is no metric of a ranking');
  const own = modelByGroup(input).metrics[metric];
  const effort = { seed: input.seed, resamples: REPORT_LIMITS.resamples };
  if (against === undefined) {
    const value = meanInterval(own, effort)?.[end ?? (direction === 'atLeast' ? 'lower' : 'upper')];
    return value === undefined ? unmeasured(measure, 'there are too few groups') : { measure, value };
  }
  const chance = chanceByGroup(input.test, input.seed).metrics[metric];
  const baseline = meanOf(chance);
  const leads = own.map((value, group) => value - (chance[group] as number));
  if (end === undefined) return { measure, value: meanOf(leads), baseline };
  const found = meanInterval(leads, effort);
  return found === undefined
    ? unmeasured(measure, 'there are too few groups')
    : { measure, value: lowerEnd(found.replicates), baseline };
}

function modelByGroup({ test, scores, seed }: RankingInput): ByGroup {
  return byGroup(test, scores, seed);
}

/** The means of some orders by chance. */
function chanceByGroup(test: Part, seed: number): ByGroup {
  const equal = new Float64Array(test.rows);
  const orders = Array.from({ length: CHANCE_ORDERS }, (_, order) => byGroup(test, equal, seed + 1 + order));
  const [first] = orders as [ByGroup, ...ByGroup[]];
  const mean = (name: RankingMetricName): Float64Array =>
    first.metrics[name].map(
      (_, group) =>
        orders.reduce((sum, { metrics }) => sum + (metrics[name][group] as number), 0) / CHANCE_ORDERS,
    );
  return {
    groups: first.groups,
    metrics: { ndcg10: mean('ndcg10'), map10: mean('map10'), mrr10: mean('mrr10') },
  };
}

/** Rows of equal score are put in an order by chance: the one in which they came can follow the outcome. */
function byGroup(part: Part, scores: Float64Array, seed: number): ByGroup {
  const place = new Float64Array(part.rows);
  new SeededRandom(seed)
    .shuffle(Int32Array.from({ length: part.rows }, (_, row) => row))
    .forEach((row, index) => (place[row] = index));
  const starts = groupStarts(part);
  const rowsOf = starts.slice(1).map((end, group) => {
    const start = starts[group] as number;
    return Int32Array.from({ length: end - start }, (_, index) => start + index);
  });
  const better = (a: number, b: number): number =>
    (scores[b] as number) - (scores[a] as number) || (place[a] as number) - (place[b] as number);
  const { byUser } = recommendationMetrics({
    recommended: rowsOf.map((rows) => rows.toSorted(better)),
    relevant: rowsOf.map((rows) => rows.filter((row) => part.labels[row] === 1)),
    k: PLACES,
  });
  const groups = Int32Array.from(rowsOf.keys()).filter((group) => !Number.isNaN(byUser.ndcg[group]));
  const pick = (values: Float64Array): Float64Array =>
    Float64Array.from(groups, (group) => values[group] as number);
  return {
    groups,
    metrics: {
      ndcg10: pick(byUser.ndcg),
      map10: pick(byUser.averagePrecision),
      mrr10: pick(byUser.reciprocalRank),
    },
  };
}

function meansOf({ metrics }: ByGroup): Record<RankingMetricName, number> {
  return { ndcg10: meanOf(metrics.ndcg10), map10: meanOf(metrics.map10), mrr10: meanOf(metrics.mrr10) };
}

function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += values[index] as number;
  return sum / values.length;
}

/** The metric of groups is the mean of what each group has; it stands where rows have their label. */
const meanOfGroups: Metric = (values) => meanOf(values);

function meanInterval(
  values: Float64Array,
  { seed, resamples }: { readonly seed: number; readonly resamples: number },
): BootstrapInterval | undefined {
  const { level } = REPORT_LIMITS;
  return unlessUnsound(() =>
    bootstrap(
      meanOfGroups,
      { labels: values, scores: new Float64Array(values.length) },
      { resamples, level, method: 'percentile', stratified: false, seed },
    ),
  );
}

/** Groups by how many rows they have, and by the inputs that are the same for all rows of each group. */
function slicesOf(test: Part, own: ByGroup, seed: number): ModelReport['slices'] {
  const { sliceResamples, level } = REPORT_LIMITS;
  const starts = groupStarts(test);
  const first = partRows(
    test,
    Array.from(own.groups, (group) => starts[group] as number),
  );
  const sizes = Float64Array.from(
    own.groups,
    (group) => (starts[group + 1] as number) - (starts[group] as number),
  );
  const varied = variedInputs(test, starts);
  const columns: SliceColumn[] = [
    ...sliceColumns(first).filter(({ name }) => !varied.has(name)),
    { name: GROUP_SIZE, kind: 'number', values: sizes, bins: 4 },
  ];
  const values = own.metrics[COMPARED];
  const found = unlessUnsound(() =>
    metricBySlice(
      meanOfGroups,
      { labels: values, scores: new Float64Array(values.length), columns },
      {
        higherIsBetter: true,
        bootstrap: { resamples: sliceResamples, level, method: 'percentile', stratified: false, seed },
      },
    ),
  );
  if (found === undefined) return { metric: COMPARED, list: [], worst: null };
  const members = membersOf(columns, values.length);
  const list = found.slices.map((slice, index): Slice => {
    const inside = members[index]?.rows ?? [];
    let positives = 0;
    for (const judged of inside) {
      const group = own.groups[judged] as number;
      for (let row = starts[group] as number; row < (starts[group + 1] as number); row += 1) {
        positives += test.labels[row] as number;
      }
    }
    const interval = slice.measured ? { low: slice.interval.lower, high: slice.interval.upper, level } : null;
    return {
      input: slice.column,
      values: describe(slice.value),
      rows: slice.rows,
      positives,
      value: slice.measured ? slice.interval.estimate : null,
      interval,
    };
  });
  const worst = list[found.worst === undefined ? -1 : found.slices.indexOf(found.worst.slice)];
  return {
    metric: COMPARED,
    list,
    worst: worst === undefined ? null : { input: worst.input, values: worst.values },
  };
}

/** Inputs that differ between the rows of some group: by those rows are told apart, not groups. */
function variedInputs({ names, values }: Part, starts: readonly number[]): Set<string> {
  const width = names.length;
  const varied = new Set<string>();
  for (let group = 0; group + 1 < starts.length; group += 1) {
    const start = starts[group] as number;
    for (let row = start + 1; row < (starts[group + 1] as number); row += 1) {
      names.forEach((name, column) => {
        if (!Object.is(values[row * width + column], values[start * width + column])) varied.add(name);
      });
    }
  }
  return varied;
}

function importanceOf({ test, scorer, seed }: RankingInput): ModelReport['importance'] {
  const drawn = drawnRows(test, seed);
  const part = partRows(test, drawn);
  const scores = new Float64Array(part.rows);
  const found = unlessUnsound(() =>
    permutationImportance(
      matrix(part.rows, part.names.length, part.values),
      (shuffled) => {
        scorer(shuffled.values, drawn, scores);
        return meanOf(byGroup(part, scores, seed).metrics[COMPARED]);
      },
      {
        repeats: REPORT_LIMITS.importanceRepeats,
        seed,
        groups: part.names.map((name, column) => ({ name, columns: [column] })),
      },
    ),
  );
  const inputs = (found?.groups ?? [])
    .map(({ name, mean, spread }) => ({ name, drop: mean, spread }))
    .sort((left, right) => right.drop - left.drop);
  return { metric: COMPARED, rows: part.rows, inputs };
}

/** The rows of groups that are drawn one after the other until there are enough, in their order. */
function drawnRows(test: Part, seed: number): Int32Array {
  const starts = groupStarts(test);
  const order = new SeededRandom(seed).shuffle(
    Int32Array.from({ length: starts.length - 1 }, (_, group) => group),
  );
  const rows: number[] = [];
  for (const group of order) {
    const [start, end] = [starts[group] as number, starts[group + 1] as number];
    if (rows.length > 0 && rows.length + end - start > REPORT_LIMITS.importanceRowsMax) break;
    for (let row = start; row < end; row += 1) rows.push(row);
  }
  return Int32Array.from(rows).sort();
}
