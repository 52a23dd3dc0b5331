import {
  bootstrap,
  catalogueCoverage,
  type ItemModel,
  recommendationMetrics,
  type RecommendationMetrics,
} from '../../ml/index.ts';
import { type InteractionsFile, SIDE } from './recommender-file.ts';
import type { JudgedUser, Recommended } from './recommender-judged.ts';
import { RECOMMENDER_TRAINING } from './recommender-limits.ts';
import type { ActivitySlice, RecommenderReport } from './recommender-report.ts';
import type { Interval, Point } from './report.ts';

export interface RecommenderReportInput {
  readonly file: InteractionsFile;
  readonly model: ItemModel;
  /** Who is judged by, and of how many. */
  readonly users: readonly JudgedUser[];
  readonly of: number;
  /** What each of them was recommended. */
  readonly recommended: readonly Recommended[];
  readonly seed: number;
}

/** The metrics that are means over users, with what `recommendationMetrics` calls them. */
const MEANS = {
  ndcg10: 'ndcg',
  recall10: 'recall',
  map10: 'averagePrecision',
  mrr10: 'reciprocalRank',
  hitRate10: 'hitRate',
} as const satisfies Readonly<Record<string, keyof RecommendationMetrics['mean']>>;
/** By what slices and the baseline are compared. */
const COMPARED = 'ndcg10';

/** Measures what a card tells. It depends on the input alone. */
export function recommenderReportOf(input: RecommenderReportInput): RecommenderReport {
  const { file, model, users, of, recommended, seed } = input;
  const lists = recommended.map(({ byModel }) => byModel);
  const byModel = measured(users, lists);
  const byPopularity = measured(
    users,
    recommended.map((one) => one.byPopularity),
  );
  const gains = byModel.byUser.ndcg.map((value, user) => value - (byPopularity.byUser.ndcg[user] as number));
  const { shown, resamples } = RECOMMENDER_TRAINING;
  const coverage = (of10: readonly Int32Array[]): number =>
    catalogueCoverage({ recommended: of10, k: shown, catalogueSize: model.itemCount });
  return {
    form: 1,
    kind: 'recommender',
    train: trainOf(file, model),
    judged: { users: users.length, of, ...laterOf(input) },
    metrics: { ...meansOf(byModel), coverage10: coverage(lists) },
    intervals: Object.fromEntries(
      Object.entries(MEANS).flatMap(([name, score]) => {
        const interval = intervalOf(byModel.byUser[score], { resamples, seed });
        return interval === null ? [] : [[name, interval]];
      }),
    ),
    baseline: {
      metrics: {
        ...meansOf(byPopularity),
        coverage10: coverage(recommended.map((one) => one.byPopularity)),
      },
    },
    gain: { metric: COMPARED, difference: meanOf(gains), interval: intervalOf(gains, { resamples, seed }) },
    slices: slicesOf(users, byModel, seed),
    spread: spreadOf(lists, model.itemCount),
    popular: Array.from(model.itemIds.slice(0, RECOMMENDER_TRAINING.popularShown), (item, index) => ({
      item,
      popularity: model.popularity[index] as number,
    })),
  };
}

function measured(users: readonly JudgedUser[], recommended: readonly Int32Array[]): RecommendationMetrics {
  const relevant = users.map(({ later }) => later);
  return recommendationMetrics({ recommended, relevant, k: RECOMMENDER_TRAINING.shown });
}

function meansOf({ mean }: RecommendationMetrics): Record<string, number> {
  return Object.fromEntries(Object.entries(MEANS).map(([name, score]) => [name, mean[score]]));
}

function trainOf(
  { rows, sides, userOf, users }: InteractionsFile,
  { itemCount }: ItemModel,
): RecommenderReport['train'] {
  const has = new Uint8Array(users);
  let interactions = 0;
  for (let row = 0; row < rows; row += 1) {
    if (sides[row] !== SIDE.earlier) continue;
    interactions += 1;
    has[userOf[row] as number] = 1;
  }
  return { interactions, users: has.reduce((sum, one) => sum + one, 0), items: itemCount };
}

function laterOf({ file, model, users }: RecommenderReportInput): {
  readonly items: number;
  readonly unknown: number;
} {
  const known = new Set(model.itemIds);
  const later = users.flatMap((user) => user.later);
  const unknown = later.filter((item) => !known.has(file.items[item] as string)).length;
  return { items: later.length, unknown };
}

interface Draws {
  readonly resamples: number;
  readonly seed: number;
}

/** The interval of a mean over users, who are drawn anew; `null` for one user. */
function intervalOf(values: Float64Array, { resamples, seed }: Draws): Interval | null {
  if (values.length < 2) return null;
  const { level } = RECOMMENDER_TRAINING;
  const rows = { labels: values, scores: new Float64Array(values.length) };
  const { lower, upper } = bootstrap(meanOf, rows, {
    resamples,
    level,
    method: 'percentile',
    stratified: false,
    seed,
  });
  return { low: lower, high: upper, level };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Users by how many items they had: groups of about the same size, of users with as many items all in one. */
function slicesOf(
  users: readonly JudgedUser[],
  { byUser }: RecommendationMetrics,
  seed: number,
): RecommenderReport['slices'] {
  const { slices, sliceResamples } = RECOMMENDER_TRAINING;
  const counts = Uint32Array.from(users, ({ earlier }) => earlier.size);
  const sorted = counts.slice().sort();
  const bounds = new Set(
    Array.from(
      { length: slices },
      (_, slice) => sorted[Math.ceil(((slice + 1) * sorted.length) / slices) - 1] as number,
    ),
  );
  let above = (sorted[0] as number) - 1;
  const list: (ActivitySlice & { readonly best: number })[] = [];
  for (const bound of bounds) {
    const from = above + 1;
    const values = byUser.ndcg.filter(
      (_, user) => (counts[user] as number) >= from && (counts[user] as number) <= bound,
    );
    const interval = intervalOf(values, { resamples: sliceResamples, seed });
    list.push({
      items: from === bound ? String(from) : `${String(from)} to ${String(bound)}`,
      users: values.length,
      value: meanOf(values),
      interval,
      best: interval?.high ?? Number.POSITIVE_INFINITY,
    });
    above = bound;
  }
  const worst =
    list.length < 2 ? undefined : list.reduce((least, slice) => (slice.best < least.best ? slice : least));
  return {
    metric: COMPARED,
    list: list.map(({ best: _best, ...slice }) => slice),
    worst: worst === undefined || worst.best === Number.POSITIVE_INFINITY ? null : worst.items,
  };
}

function spreadOf(lists: readonly Int32Array[], itemCount: number): Point[] {
  const times = new Map<number, number>();
  let all = 0;
  for (const list of lists) {
    for (const item of list) times.set(item, (times.get(item) ?? 0) + 1);
    all += list.length;
  }
  const falling = [...times.values()].sort((a, b) => b - a);
  const points: Point[] = [[0, 0]];
  if (all === 0) return points;
  const step = Math.max(1, Math.ceil(falling.length / RECOMMENDER_TRAINING.curvePointsMax));
  let sum = 0;
  for (const [place, count] of falling.entries()) {
    sum += count;
    const isLast = place === falling.length - 1;
    if ((place + 1) % step === 0 || isLast) points.push([(place + 1) / itemCount, sum / all]);
  }
  if (falling.length < itemCount) points.push([1, 1]);
  return points;
}
