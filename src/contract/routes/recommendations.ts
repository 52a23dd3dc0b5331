import { z } from 'zod';
import { digest, name, record, route, rowPositions, time } from './shared.ts';

/** Most items that a request may exclude, or restrict itself to. */
export const FILTER_ITEMS_MAX = 10_000;
/** Most items in one answer: as many as a recommendation may rank. */
export const RECOMMENDED_ITEMS_MAX = 1_000;

const itemIds = z.array(z.string().min(1).max(128)).max(FILTER_ITEMS_MAX);

const recommendedItem = z.object({
  item: z.string(),
  /** `<request id>:<item>`: the id of the event to send when the item was shown. */
  impressionId: z.string(),
  /** What the order goes by: the ranker's score, or without a ranker the candidate score. */
  score: z.number(),
  /** The recommender's. */
  candidateScore: z.number(),
});
export type RecommendedItem = z.infer<typeof recommendedItem>;

/**
 * Why the most popular items are answered: the user has no interactions within reach, or the recommender knows none of their items.
 * `null`: the candidates are the user's own.
 */
const fallback = z.enum(['no history', 'unknown items']).nullable();
export type Fallback = z.infer<typeof fallback>;

const recommendationAnswer = z.object({
  recommendationId: z.string(),
  recommendation: name,
  release: z.string(),
  /** The instant as of which the user's history was read. */
  asOf: time,
  /** The best first. */
  items: z.array(recommendedItem),
  fallback,
});
export type RecommendationAnswer = z.infer<typeof recommendationAnswer>;

/** What a request asks for beside the event that it is. */
const wishes = z.object({
  /** Items that are not answered. Unknown ones do no harm. */
  exclude: itemIds.optional(),
  /** No other items are answered. Those that the recommender does not know cannot be. */
  only: itemIds.optional(),
  /** Items answered at most, up to the recommendation's own number, which is the default. */
  limit: z.number().int().min(1).max(RECOMMENDED_ITEMS_MAX).optional(),
  /** Whether items of the user's history are left out. */
  seen: z.enum(['remove', 'keep']).default('remove'),
});
export type RecommendationWishes = z.infer<typeof wishes>;

export const recommend = route('serve', 'recommend', 'POST /v1/recommendations/{recommendation}', {
  summary: 'Recommend items for a request',
  roles: ['producer'],
  params: z.object({ recommendation: name }).strict(),
  body: wishes.extend({ request: record }).strict(),
  result: recommendationAnswer,
  timeoutMs: 5_000,
});

/** How the candidates were ranked: what makes their vectors recomputable. */
const rankedBy = rowPositions.omit({ groups: true }).extend({
  vector: name,
  vectorHash: digest,
  /** Fields of the impressions: the item, the candidate score, and those copied from the request. */
  item: name,
  score: name.nullable(),
  copied: z.array(name),
  /** The instant of each candidate's vector, in the order of the candidates. */
  asOf: z.array(time),
  /** As in {@link rowPositions}, for each candidate. Absent: all at `positions`. */
  groups: z.array(z.array(z.number().int().nonnegative())).optional(),
});
export type RankedBy = z.infer<typeof rankedBy>;

/** What the ledger keeps of a recommendation beside what it keeps of decisions. */
export const recommendationRecord = wishes.extend({
  /** Candidates that were ranked at most, and what unlikeness counted, as defined at the time. */
  take: z.number().int().positive(),
  diversity: z.number(),
  limit: z.number().int().positive(),
  /** How many candidates there were. */
  candidates: z.number().int().nonnegative(),
  items: z.array(recommendedItem),
  fallback,
  ranking: rankedBy.nullable(),
});
export type RecommendationRecord = z.infer<typeof recommendationRecord>;

/** Answered items, as a replay compares them. */
export const replayedItems = z.array(recommendedItem.omit({ impressionId: true }));
