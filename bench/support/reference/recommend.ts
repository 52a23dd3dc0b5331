import type { Matrix, RecommendationModel, TreesOptions } from '../../../src/ml/index.ts';
import {
  fitAls,
  fitEase,
  fitItemKnn,
  fitMostPopular,
  fitTrees,
  itemScores,
  itemsOfUser,
  recommendationMetrics,
  topItems,
} from '../../../src/ml/index.ts';
import type { Goal, Measurement } from '../../run.ts';
import type { Candidates, FeatureGroup } from './candidate-features.ts';
import { FEATURE_GROUPS, candidatesOf } from './candidate-features.ts';
import { hasData } from './data-folder.ts';
import type { MovieLens, Occasion } from './histories.ts';
import { TEST_FILE, TRAIN_FILE, earlier, interactionsOfHistories, readMovieLens } from './histories.ts';
import { meanAnswers } from './models.ts';
import { printTable } from './text-table.ts';

const CUT_OFF = 10;
/** Earlier occasions to learn a ranking from: each ends where the labels of the next one begin. */
const OCCASIONS = 3;
/** Users are cut into so many parts to judge groups of features. */
const USER_FOLDS = 3;
const SEEDS = [0, 1, 2];

const RANKER: TreesOptions = {
  objective: 'lambdaRank',
  truncation: 20,
  rounds: 120,
  learningRate: 0.05,
  maxDepth: 5,
  minHessian: 0.5,
  lambda: 10,
  rowSample: 0.8,
  columnSample: 0.5,
};

interface Quality {
  readonly ndcg: number;
  readonly recall: number;
  readonly hitRate: number;
  readonly precision: number;
}

/** nDCG@10 as measured with numpy by the same protocol, and how far ours may be from it. */
const REFERENCES = {
  mostPopular: { ndcg: 0.0653, tolerance: 0.0001 },
  ease: { ndcg: 0.1126, tolerance: 0.0005 },
  itemKnn: { ndcg: 0.102, tolerance: 0.001 },
  als: { ndcg: 0.1031, tolerance: 0.004 },
} as const;
const EASE_NDCG = REFERENCES.ease.ndcg;

/**
 * Recommendation on MovieLens: the models of the reference, and candidates of EASE ranked again by LambdaRank on
 * features of the training set. The test set is looked at once by each.
 */
export function measureRecommend(): Measurement {
  if (!hasData('recommend', [TRAIN_FILE, TEST_FILE])) return { metrics: {}, goals: [] };
  const data = readMovieLens();
  const found = new Map(
    Object.entries(singleModels(data)).map(([name, model]) => [name, qualityOfModel(data, model)]),
  );
  const occasions: Occasion[] = [];
  for (let occasion = data.final; occasions.length < OCCASIONS;) {
    occasion = earlier(occasion, data.catalogue);
    occasions.push(occasion);
  }
  const training = occasions.map((occasion) => candidatesOf(occasion, data.catalogue));
  const groups = judgeGroups(data, occasions, training);
  found.set('twoStage', rankFinal(data, training));
  return report(found, groups);
}

function report(found: ReadonlyMap<string, Quality>, groups: ReadonlyMap<string, number>): Measurement {
  const metrics: Record<string, number> = {};
  for (const [name, quality] of found) {
    for (const [metric, value] of Object.entries(quality)) {
      metrics[`recommend${capital(name)}${capital(metric)}`] = value;
    }
  }
  for (const [name, ndcg] of groups) metrics[`recommendInner${capital(name)}Ndcg`] = ndcg;
  const goals: Goal[] = Object.entries(REFERENCES).flatMap(([name, { ndcg, tolerance }]): Goal[] => [
    { metric: `recommend${capital(name)}Ndcg`, goal: Number((ndcg - tolerance).toFixed(4)) },
    { metric: `recommend${capital(name)}Ndcg`, goal: Number((ndcg + tolerance).toFixed(4)), bound: 'max' },
  ]);
  goals.push({ metric: 'recommendTwoStageNdcg', goal: EASE_NDCG });
  metrics.recommendTwoStageToEaseNdcg_ratio = (found.get('twoStage')?.ndcg ?? Number.NaN) / EASE_NDCG;
  goals.push({ metric: 'recommendTwoStageToEaseNdcg_ratio', goal: 1.05 });
  const digits = (values: readonly number[]): string[] => values.map((value) => value.toFixed(4));
  printTable(
    'Recommendation: test set, cut-off 10',
    ['model', 'nDCG', 'recall', 'hit rate', 'precision'],
    [...found].map(([name, { ndcg, recall, hitRate, precision }]) => [
      name,
      ...digits([ndcg, recall, hitRate, precision]),
    ]),
  );
  printTable(
    `Feature groups: nDCG@10 on the last fifth of train, users in ${USER_FOLDS} folds`,
    ['features', 'nDCG'],
    [...groups].map(([name, ndcg]) => [name, ndcg.toFixed(4)]),
  );
  return { metrics, goals };
}

function singleModels({ final, catalogue }: MovieLens): Readonly<Record<string, RecommendationModel>> {
  const interactions = interactionsOfHistories(final.known, catalogue);
  return {
    mostPopular: fitMostPopular(interactions),
    ease: fitEase(interactions, { lambda: 200 }),
    itemKnn: fitItemKnn(interactions, { k: 20 }),
    als: fitAls(interactions, { factors: 32, regularisation: 0.01, alpha0: 0.3, sweeps: 16 }),
  };
}

function qualityOfModel({ final, catalogue }: MovieLens, model: RecommendationModel): Quality {
  const interactions = interactionsOfHistories(final.known, catalogue);
  const recommended = final.known.map((_, user) => {
    const own = itemsOfUser(interactions, user);
    return topItems(itemScores(model, own), CUT_OFF, { seen: own.items }).map(
      ({ item }) => catalogue[item] as number,
    );
  });
  return qualityOf(recommended, final.wanted);
}

function qualityOf(
  recommended: readonly (readonly number[])[],
  wanted: readonly (readonly number[])[],
): Quality {
  const { ndcg, recall, hitRate, precision } = recommendationMetrics({
    recommended,
    relevant: wanted,
    k: CUT_OFF,
  }).mean;
  return { ndcg, recall, hitRate, precision };
}

/** Learns from all earlier occasions and ranks the candidates of the published split. */
function rankFinal({ final, catalogue }: MovieLens, training: readonly Candidates[]): Quality {
  const candidates = candidatesOf(final, catalogue);
  const models = fitRankers(joined(training), SEEDS);
  return qualityOf(ranked(candidates, meanAnswers(models, candidates.features), catalogue), final.wanted);
}

function fitRankers(
  candidates: Omit<Candidates, 'items' | 'columns'>,
  seeds: readonly number[],
): ReturnType<typeof fitTrees>[] {
  const { features, labels, groups } = candidates;
  return seeds.map((seed) => fitTrees(features, labels, { ...RANKER, groups, seed }));
}

/**
 * What groups of features give, judged within the training set: by users that the ranker has not learnt from, on the
 * latest of the earlier occasions.
 */
function judgeGroups(
  { catalogue }: MovieLens,
  occasions: readonly Occasion[],
  training: readonly Candidates[],
): Map<string, number> {
  const [latest] = training as readonly [Candidates];
  const wanted = occasions[0]?.wanted ?? [];
  const found = new Map<string, number>();
  const inOrder = Float64Array.from(latest.items, (_, row) => -row);
  found.set('ease', qualityOf(ranked(latest, inOrder, catalogue), wanted).ndcg);
  const judge = (name: string, groups: ReadonlySet<FeatureGroup>): void => {
    const chosen = training.map((candidates) => withGroups(candidates, groups));
    const scores = new Float64Array(latest.items.length);
    for (let fold = 0; fold < USER_FOLDS; fold += 1) {
      const models = fitRankers(joined(chosen.map((candidates) => ofUsers(candidates, fold, false))), [0]);
      const judged = ofUsers(chosen[0] as Candidates, fold, true);
      const answers = meanAnswers(models, judged.features);
      rowsOfUsers(latest, fold, true).forEach((row, place) => {
        scores[row] = answers[place] as number;
      });
    }
    found.set(name, qualityOf(ranked(latest, scores, catalogue), wanted).ndcg);
    console.error(`${name}: ${found.get(name)?.toFixed(4)}`);
  };
  FEATURE_GROUPS.forEach((group, index) => {
    judge(`to${capital(group)}`, new Set(FEATURE_GROUPS.slice(0, index + 1)));
  });
  return found;
}

/** The candidates of each user by falling score, as numbers of films. */
function ranked(candidates: Candidates, scores: Float64Array, catalogue: readonly number[]): number[][] {
  let end = 0;
  return Array.from(candidates.groups, (rows) => {
    const start = end;
    end += rows;
    return topItems(scores.subarray(start, end), CUT_OFF).map(
      ({ item }) => catalogue[candidates.items[start + item] as number] as number,
    );
  });
}

function withGroups(candidates: Candidates, groups: ReadonlySet<FeatureGroup>): Candidates {
  const { features, columns } = candidates;
  const kept = [...columns.keys()].filter((column) => groups.has(columns[column] as FeatureGroup));
  const values = new Float32Array(features.rows * kept.length);
  for (let row = 0; row < features.rows; row += 1) {
    kept.forEach((column, place) => {
      values[row * kept.length + place] = features.values[row * features.columns + column] as number;
    });
  }
  return {
    ...candidates,
    columns: kept.map((column) => columns[column] as FeatureGroup),
    features: { rows: features.rows, columns: kept.length, values },
  };
}

/** Rows of the users inside or outside of a fold. */
function rowsOfUsers({ groups }: Candidates, fold: number, inside: boolean): number[] {
  const rows: number[] = [];
  let start = 0;
  groups.forEach((count, user) => {
    if ((user % USER_FOLDS === fold) === inside) {
      for (let row = start; row < start + count; row += 1) rows.push(row);
    }
    start += count;
  });
  return rows;
}

function ofUsers(candidates: Candidates, fold: number, inside: boolean): Candidates {
  const rows = rowsOfUsers(candidates, fold, inside);
  const { columns, values } = candidates.features;
  const chosen = new Float32Array(rows.length * columns);
  rows.forEach((row, place) => {
    chosen.set(values.subarray(row * columns, (row + 1) * columns), place * columns);
  });
  return {
    groups: candidates.groups.filter((_, user) => (user % USER_FOLDS === fold) === inside),
    items: Int32Array.from(rows, (row) => candidates.items[row] as number),
    features: { rows: rows.length, columns, values: chosen },
    columns: candidates.columns,
    labels: Uint8Array.from(rows, (row) => candidates.labels[row] as number),
  };
}

/** Several sets of candidates as one. */
function joined(parts: readonly Candidates[]): Omit<Candidates, 'items' | 'columns'> {
  const rows = parts.reduce((total, { features }) => total + features.rows, 0);
  const columns = parts[0]?.features.columns ?? 0;
  const features: Matrix = { rows, columns, values: new Float32Array(rows * columns) };
  const labels = new Uint8Array(rows);
  let start = 0;
  for (const part of parts) {
    features.values.set(part.features.values, start * columns);
    labels.set(part.labels, start);
    start += part.features.rows;
  }
  return { features, labels, groups: Int32Array.from(parts.flatMap(({ groups }) => Array.from(groups))) };
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
