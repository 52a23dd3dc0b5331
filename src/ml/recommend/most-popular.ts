import type { Interactions, InteractionsChange } from './interactions.ts';

/** Items by their popularity: the same scores for everybody. */
export interface MostPopularModel {
  readonly kind: 'most-popular';
  /** One for each item: the sum of the weights of its users, each reduced by its age. */
  readonly popularity: Float64Array;
  readonly decay: PopularityDecay | undefined;
}

/** How popularity fades: an interaction counts `2^(-(now - time) / halfLife)`. */
export interface PopularityDecay {
  /** In the unit of the times. */
  readonly halfLife: number;
  /** The time to which ages are counted. Later interactions count in full. */
  readonly now: number;
}

export interface MostPopularOptions {
  /** Time after which an interaction counts half, above 0. Default: all count the same. */
  readonly halfLife?: number;
  /** Time to which ages are counted. Default: that of the newest interaction. */
  readonly now?: number;
}

/**
 * Sums the weights of each item's users, optionally reduced by age.
 *
 * @throws RangeError on a half-life that is not a finite number above 0, or one given where interactions have
 *   no times.
 */
export function fitMostPopular(
  interactions: Interactions,
  options: MostPopularOptions = {},
): MostPopularModel {
  const decay = decayOf(interactions, options);
  const popularity = new Float64Array(interactions.items.size);
  for (let item = 0; item < popularity.length; item += 1)
    popularity[item] = popularityOf(interactions, item, decay);
  return { kind: 'most-popular', popularity, decay };
}

/**
 * The model after new interactions: the same bytes as a fit on all of them. Only the items of the new ones are
 * counted again, unless `now` has moved, which changes all.
 *
 * @param now as {@link MostPopularOptions}; without it, the newest interaction after the change.
 * @throws RangeError as {@link fitMostPopular}.
 */
export function updateMostPopular(
  model: MostPopularModel,
  change: InteractionsChange,
  options: { readonly now?: number } = {},
): MostPopularModel {
  const { after } = change;
  const decay =
    model.decay === undefined ? undefined : decayOf(after, { ...options, halfLife: model.decay.halfLife });
  if (decay?.now !== model.decay?.now) {
    return fitMostPopular(after, { ...options, ...decay });
  }
  const popularity = new Float64Array(after.items.size);
  popularity.set(model.popularity);
  for (const item of change.items) popularity[item] = popularityOf(after, item, decay);
  return { kind: 'most-popular', popularity, decay };
}

function popularityOf(interactions: Interactions, item: number, decay: PopularityDecay | undefined): number {
  const { starts, weights, times } = interactions.byItem;
  const to = starts[item + 1] as number;
  let sum = 0;
  for (let entry = starts[item] as number; entry < to; entry += 1) {
    const weight = weights[entry] as number;
    sum += decay === undefined ? weight : weight * freshness(times?.[entry] ?? decay.now, decay);
  }
  return sum;
}

function freshness(time: number, decay: PopularityDecay): number {
  return time >= decay.now ? 1 : Math.exp((-Math.LN2 * (decay.now - time)) / decay.halfLife);
}

function decayOf(interactions: Interactions, options: MostPopularOptions): PopularityDecay | undefined {
  const { halfLife, now } = options;
  if (halfLife === undefined) return undefined;
  if (!(halfLife > 0 && halfLife < Number.POSITIVE_INFINITY))
    throw new RangeError(`The half-life must be a finite number above 0, not ${halfLife}`);
  if (now !== undefined && !Number.isFinite(now))
    throw new RangeError(`Now must be a finite number, not ${now}`);
  const { times, columns } = interactions.byItem;
  if (times === undefined && columns.length > 0)
    throw new RangeError('Popularity with a half-life needs interactions with times');
  return { halfLife, now: now ?? newest(times) };
}

function newest(times: Float64Array | undefined): number {
  let found = Number.NEGATIVE_INFINITY;
  for (const time of times ?? []) found = Math.max(found, time);
  return Number.isFinite(found) ? found : 0;
}
