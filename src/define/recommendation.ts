import type { Field, FieldKind } from './field.ts';
import { definitionHash } from './hash.ts';
import type { Model } from './model.ts';
import { assertName, NAME_LENGTH_MAX } from './name.ts';
import { historyVector, type Recommender } from './recommender.ts';
import type { Source } from './source.ts';
import type { Vector } from './vector.ts';

/** Bounds of what one recommendation may do. */
export const RECOMMENDATION_LIMITS = {
  /** Candidates that are ranked, at most and by default. */
  takeMax: 1_000,
  takeDefault: 100,
  /** Items answered, by default; at most as many as are ranked. */
  answerDefault: 10,
} as const;

export interface RankOptions<TImpression extends Source> {
  /**
   * Orders the candidates: a model of one number per row, such as `gbdt({ objective: 'rank' })`. The candidate of its vector is
   * the source of impressions: one event for each item that was shown.
   */
  readonly model: Model<string, TImpression>;
  /** Field of the impressions that holds the item. */
  readonly item: keyof TImpression['fields'] & string;
  /** Field of the impressions that holds the recommender's score, a number. Default: none holds it. */
  readonly score?: keyof TImpression['fields'] & string;
}

export interface RecommendationOptions<TRequest extends Source, TImpression extends Source> {
  /** The source of what is posted: a request's id, its time, the user as an id or key field, and what else is known. */
  readonly request: TRequest;
  /** The recommender that proposes items. The request has its user field, by the same name. */
  readonly candidates: Recommender;
  /**
   * Recommenders of before, whose releases are answered until one of `candidates` is in charge: a recommender that reads another
   * history gets another name. Default none.
   */
  readonly earlier?: readonly Recommender[];
  /** Candidates that are ranked, 1 to 1,000. Default 100. */
  readonly take?: number;
  /** Ranks the candidates by features. Default: they are answered in the recommender's own order. */
  readonly rank?: RankOptions<TImpression>;
  /** Items answered at most, 1 to `take`. Default 10. */
  readonly answer?: number;
  /**
   * How much unlikeness to the items above counts against the score, in [0, 1]: 1 minus the lambda of maximal marginal relevance,
   * likeness being the recommender's weights between items. Default 0: the order is that of the scores.
   */
  readonly diversity?: number;
  /** `'durable'`: recorded on disk before it is answered. `'buffered'`: within a stated bound. Default `'durable'`. */
  readonly ledger?: 'durable' | 'buffered';
}

/** How candidates become impressions, and what ranks them. */
export interface Ranking {
  readonly model: Model;
  readonly item: string;
  readonly score?: string;
  /** Fields of the impression that are the request's of the same name. */
  readonly copied: readonly string[];
}

/** A recommender that answered before. */
export interface EarlierRecommender {
  readonly candidates: Recommender;
  readonly history: Vector;
}

/** A typed endpoint: a request goes in; items, scores, release and recommendation id come out. */
export interface Recommendation<TName extends string = string, TRequest extends Source = Source> {
  readonly type: 'recommendation';
  readonly name: TName;
  readonly request: TRequest;
  readonly candidates: Recommender;
  /** Field of the request that names the user. */
  readonly user: string;
  /** `<name>_<recommender>`: the user's latest items, read for a request. */
  readonly history: Vector<string, TRequest>;
  /** Recommenders of before, with the vectors that their releases read. Absent without any. */
  readonly earlier?: readonly EarlierRecommender[];
  readonly take: number;
  readonly rank?: Ranking;
  readonly answer: number;
  readonly diversity?: number;
  readonly ledger: 'durable' | 'buffered';
  readonly hash: string;
}

/**
 * Defines a recommendation.
 *
 * @example
 * const forYou = recommendation('for_you', {
 *   request: requests, candidates: shelf, take: 100,
 *   rank: { model: ranker, item: 'itemId', score: 'candidateScore' }, answer: 10,
 * });
 * @throws TypeError when the request lacks the user, a required field of the impressions comes from nowhere, or a number is out of
 *   range.
 */
export function recommendation<
  const TName extends string,
  TRequest extends Source,
  TImpression extends Source = Source,
>(name: TName, options: RecommendationOptions<TRequest, TImpression>): Recommendation<TName, TRequest> {
  assertName('recommendation', name);
  const { request, candidates } = options;
  const take = options.take ?? RECOMMENDATION_LIMITS.takeDefault;
  assertWhole(name, 'take', take, RECOMMENDATION_LIMITS.takeMax);
  const answer = options.answer ?? Math.min(RECOMMENDATION_LIMITS.answerDefault, take);
  assertWhole(name, 'answer', answer, take);
  const diversity = options.diversity ?? 0;
  if (!(diversity >= 0 && diversity <= 1))
    throw new TypeError(`Recommendation '${name}': diversity is in [0, 1]; got ${String(diversity)}`);
  const earlier = (options.earlier ?? []).map((before) => ({
    candidates: before,
    history: historyOf(name, request, before),
  }));
  const definition = {
    type: 'recommendation' as const,
    name,
    request,
    candidates,
    user: candidates.user,
    history: historyOf(name, request, candidates),
    ...(earlier.length === 0 ? {} : { earlier }),
    take,
    ...(options.rank === undefined
      ? {}
      : { rank: rankingOf(name, request, options.rank as unknown as RankOptions<Source>) }),
    answer,
    ...(diversity === 0 ? {} : { diversity }),
    ledger: options.ledger ?? ('durable' as const),
  };
  return recommendationOf(definition);
}

/** @internal The recommendation with the hash of what it consists of. */
export function recommendationOf<TName extends string, TRequest extends Source>(
  recommendation: Omit<Recommendation<TName, TRequest>, 'hash'>,
): Recommendation<TName, TRequest> {
  const { hash: _before, ...definition } = recommendation as Recommendation<TName, TRequest>;
  const { request, candidates, history, earlier, rank } = definition;
  const hash = definitionHash({
    ...definition,
    request: request.hash,
    candidates: candidates.hash,
    history: history.hash,
    ...(earlier === undefined ? {} : { earlier: earlier.map((before) => before.history.hash) }),
    ...(rank === undefined ? {} : { rank: { ...rank, model: rank.model.hash } }),
  });
  return { ...definition, hash };
}

function assertWhole(recommendation: string, what: string, value: number, highest: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= highest) return;
  throw new TypeError(
    `Recommendation '${recommendation}': ${what} is a whole number from 1 to ${String(highest)}; got ${String(value)}`,
  );
}

function historyOf<TRequest extends Source>(
  name: string,
  request: TRequest,
  recommender: Recommender,
): Vector<string, TRequest> {
  const vector = `${name}_${recommender.name}`;
  if (vector.length > NAME_LENGTH_MAX) {
    throw new TypeError(
      `The names of recommendation '${name}' and recommender '${recommender.name}' have at most ` +
        `${String(NAME_LENGTH_MAX - 1)} characters together`,
    );
  }
  return historyVector(recommender, request, vector);
}

function rankingOf(name: string, request: Source, options: RankOptions<Source>): Ranking {
  const { item, score } = options;
  const model = options.model as Model;
  const impressions = model.vector.candidate;
  assertField({ name, impressions, option: 'item', field: item, fits: ({ kind }) => isName(kind) });
  if (score !== undefined)
    assertField({ name, impressions, option: 'score', field: score, fits: ({ kind }) => kind === 'number' });
  const made = new Set([impressions.id, impressions.time, item, ...(score === undefined ? [] : [score])]);
  if (made.size < (score === undefined ? 3 : 4)) {
    throw new TypeError(
      `Recommendation '${name}': id, time, item and score of '${impressions.name}' are fields of their own`,
    );
  }
  const copied: string[] = [];
  for (const [field, wanted] of Object.entries(impressions.fields)) {
    if (made.has(field)) continue;
    const given = request.fields[field];
    if (given === undefined && wanted.optional) continue;
    const problem = given === undefined ? 'nothing gives it' : misfit(given, wanted);
    if (problem !== undefined) {
      throw new TypeError(
        `Recommendation '${name}': field '${field}' of '${impressions.name}' would come from '${request.name}': ${problem}`,
      );
    }
    copied.push(field);
  }
  return { model, item, ...(score === undefined ? {} : { score }), copied };
}

function assertField(check: {
  readonly name: string;
  readonly impressions: Source;
  readonly option: 'item' | 'score';
  readonly field: string;
  fits(field: Field): boolean;
}): void {
  const { name, impressions, option, field } = check;
  const found = impressions.fields[field];
  if (found !== undefined && check.fits(found)) return;
  const kind = option === 'item' ? 'a key or text' : 'a number';
  throw new TypeError(
    `Recommendation '${name}': rank.${option} names ${kind} field of '${impressions.name}'; got '${field}'`,
  );
}

function isName(kind: FieldKind): boolean {
  return kind === 'id' || kind === 'key' || kind === 'text';
}

/** Why a value of one field is not always one of the other, in words. */
function misfit(given: Field, wanted: Field): string | undefined {
  const isAlike =
    given.kind === wanted.kind ||
    (isName(given.kind) && isName(wanted.kind) && given.kind !== 'text') ||
    (given.kind === 'integer' && wanted.kind === 'number');
  if (!isAlike) return `it is ${given.kind} there, not ${wanted.kind}`;
  if (given.optional && !wanted.optional) return 'it is optional there and required here';
  for (const unit of ['currency', 'decimals', 'length'] as const) {
    if (given[unit] !== wanted[unit])
      return `its ${unit} is ${String(given[unit])} there, not ${String(wanted[unit])}`;
  }
  if ((given.minimum ?? -Infinity) < (wanted.minimum ?? -Infinity)) return 'it may be less there than here';
  if ((given.maximum ?? Infinity) > (wanted.maximum ?? Infinity)) {
    return isName(given.kind) ? 'it may be longer there than here' : 'it may be more there than here';
  }
  return undefined;
}
