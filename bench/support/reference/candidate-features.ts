import type { EaseModel, Interactions, Matrix, RecommendationModel } from '../../../src/ml/index.ts';
import {
  easeWeights,
  fitAls,
  fitEase,
  fitItemKnn,
  itemScores,
  itemsOfUser,
  topItems,
} from '../../../src/ml/index.ts';
import type { History, Occasion } from './histories.ts';
import { interactionsOfHistories } from './histories.ts';
import { ItemTimes } from './item-times.ts';
import { successions } from './successions.ts';

export const FEATURE_GROUPS = ['models', 'popularity', 'time', 'sequence', 'user', 'catalogue'] as const;
export type FeatureGroup = (typeof FEATURE_GROUPS)[number];

const DAY = 86_400;
/** Candidates of each user: the best by EASE. */
const CANDIDATES = 200;

/** Candidates of all users, user after user. */
export interface Candidates {
  /** Rows of each user. */
  readonly groups: Int32Array;
  readonly items: Int32Array;
  readonly features: Matrix;
  /** Group of each column. */
  readonly columns: readonly FeatureGroup[];
  /** 1 for an item that the user took next. */
  readonly labels: Uint8Array;
}

/** All that is learnt from what is known on an occasion. */
interface Knowledge {
  readonly catalogue: readonly number[];
  readonly interactions: Interactions;
  readonly ease: EaseModel;
  readonly weights: Float64Array;
  readonly models: readonly RecommendationModel[];
  readonly times: ItemTimes;
  readonly following: Float32Array;
}

/** Candidates of everybody, with features that look at nothing but what is known on this occasion. */
export function candidatesOf(occasion: Occasion, catalogue: readonly number[]): Candidates {
  const knowledge = learn(occasion.known, catalogue);
  const groups: number[] = [];
  const items: number[] = [];
  const labels: number[] = [];
  const values: number[] = [];
  let columns: FeatureGroup[] = [];
  occasion.known.forEach((history, user) => {
    const wanted = new Set(occasion.wanted[user]);
    const view = viewOf(knowledge, history, user);
    const candidates = topItems(view.scores[0] as Float64Array, CANDIDATES, { seen: history.items });
    for (const { item } of candidates) {
      const found = featuresOf(knowledge, view, item);
      items.push(item);
      labels.push(wanted.has(catalogue[item] as number) ? 1 : 0);
      for (const group of FEATURE_GROUPS) values.push(...found[group]);
      if (columns.length === 0) {
        columns = FEATURE_GROUPS.flatMap((group) => found[group].map((): FeatureGroup => group));
      }
    }
    groups.push(candidates.length);
  });
  return {
    groups: Int32Array.from(groups),
    items: Int32Array.from(items),
    features: { rows: items.length, columns: columns.length, values: Float32Array.from(values) },
    columns,
    labels: Uint8Array.from(labels),
  };
}

function learn(known: readonly History[], catalogue: readonly number[]): Knowledge {
  const interactions = interactionsOfHistories(known, catalogue);
  const ease = fitEase(interactions);
  return {
    catalogue,
    interactions,
    ease,
    weights: easeWeights(ease),
    models: [ease, fitItemKnn(interactions, { k: 20 }), fitAls(interactions)],
    times: new ItemTimes(known, catalogue.length),
    following: successions(known, catalogue.length),
  };
}

/** One user as the features need it. */
interface View {
  readonly history: History;
  /** Of each model, for all items. */
  readonly scores: readonly Float64Array[];
  /** The highest score of each model among the items that the user does not have. */
  readonly highest: readonly number[];
  /** Place of each item by each model, from 0. */
  readonly places: readonly Int32Array[];
  /** The last items, the latest first. */
  readonly last: Int32Array;
  readonly now: number;
}

function viewOf(knowledge: Knowledge, history: History, user: number): View {
  const own = itemsOfUser(knowledge.interactions, user);
  const scores = knowledge.models.map((model) => itemScores(model, own));
  const ranked = scores.map((values) => topItems(values, values.length, { seen: history.items }));
  return {
    history,
    scores,
    highest: ranked.map(([best]) => best?.score ?? 0),
    places: ranked.map((list) => {
      const places = new Int32Array(knowledge.catalogue.length).fill(list.length);
      list.forEach(({ item }, place) => {
        places[item] = place;
      });
      return places;
    }),
    last: history.items.slice(-20).reverse(),
    now: history.times.at(-1) ?? 0,
  };
}

function featuresOf(knowledge: Knowledge, view: View, item: number): Record<FeatureGroup, number[]> {
  const { scores, highest, places, history, now, last } = view;
  const { times, catalogue } = knowledge;
  const number = catalogue[item] as number;
  const lastNumbers = Array.from(last, (other) => catalogue[other] as number);
  const models = scores.flatMap((values, model) => {
    const score = values[item] as number;
    return [score, score / ((highest[model] as number) || 1), Math.log1p(places[model]?.[item] ?? 0)];
  });
  return {
    models,
    popularity: [
      Math.log1p(times.count(item)),
      ...[30, 180, 730].map((days) => times.share(item, now - days * DAY, now)),
    ],
    time: [
      (now - times.first(item)) / DAY,
      (now - times.latestBefore(item, now)) / DAY,
      times.shareBefore(item, now),
      times.share(item, now, now + 30 * DAY),
      (now - times.median(item)) / DAY,
    ],
    sequence: sequenceFeatures(knowledge, last, item),
    user: [
      history.items.length,
      (now - (history.times[0] ?? now)) / DAY,
      (now - (history.times.at(-5) ?? now)) / DAY,
      Math.log1p(times.count(item)) - mean(Array.from(last, (other) => Math.log1p(times.count(other)))),
    ],
    catalogue: [
      number,
      number - (lastNumbers[0] ?? number),
      Math.min(...lastNumbers.map((other) => Math.abs(other - number))),
      number - mean(lastNumbers),
      number - Math.max(...lastNumbers),
    ],
  };
}

/** How near the item is to what the user took last, by users in common, by EASE, and by what followed on it. */
function sequenceFeatures(knowledge: Knowledge, last: Int32Array, item: number): number[] {
  const { ease, weights, following } = knowledge;
  const side = ease.itemCount;
  const gram = (row: number, column: number): number => ease.gram[row * side + column] as number;
  const cosines = Array.from(
    last,
    (other) => gram(other, item) / Math.sqrt(Math.max(1, gram(other, other) * gram(item, item))),
  );
  const byEase = Array.from(last, (other) => weights[other * side + item] as number);
  const followed = Array.from(
    last,
    (other, place) => (following[other * side + item] as number) / (place + 1),
  );
  return [
    cosines[0] ?? 0,
    Math.max(...cosines.slice(0, 5)),
    mean(cosines.slice(0, 5)),
    mean(cosines),
    sum(byEase.slice(0, 5)),
    sum(byEase),
    followed[0] ?? 0,
    sum(followed.slice(0, 5)),
    sum(followed),
    sum(followed) / Math.sqrt(1 + gram(item, item)),
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : sum(values) / values.length;
}
