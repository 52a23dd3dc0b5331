import { AGGREGATE_LIMITS, lastK } from './aggregate.ts';
import { code } from './code.ts';
import { type Duration, durationMs } from './duration.ts';
import { Expression } from './expression.ts';
import { type FeatureGroup, features } from './features.ts';
import type { Field, FieldKind } from './field.ts';
import { definitionHash } from './hash.ts';
import type { Gate } from './gate.ts';
import { assertName, NAME_LENGTH_MAX } from './name.ts';
import { isRecommenderMetric, RECOMMENDER_METRICS } from './recommender-metric.ts';
import type { RecommenderTrainer } from './recommender-trainers.ts';
import { type RetrainRule, retrainRules } from './retrain.ts';
import type { Fields, Source } from './source.ts';
import { vector, type Vector } from './vector.ts';

/** Bounds of recommenders. */
export const RECOMMENDER_LIMITS = {
  /** Items of a recommender, at most and by default. 8,000 items make a file of 256 MB, the largest that is read. */
  itemsMax: 8_000,
  itemsDefault: 5_000,
  /** Latest interactions of a user that serving reads, at most and by default. */
  recentMax: AGGREGATE_LIMITS.sizeMax,
  recentDefault: 50,
  /** Least and largest weight of an interaction that counts; one beyond counts as the nearer of the two. */
  weightMin: 0.001,
  weightMax: 1_000_000,
  /** Fewest interactions of the users and items that are judged by, at most. */
  coreMax: 1_000,
} as const;

/**
 * How a recommender is judged: of each user the last `fraction` of the items, in the order in which they were first met and
 * rounded up, is to be predicted from the ones before.
 */
export interface UserSplit {
  readonly kind: 'user';
  readonly fraction: number;
  /** Only users with so many items, and items with so many users, take part; found by leaving out others until none is left to. */
  readonly core: number;
}

/**
 * Splits the items of each user by time: see {@link UserSplit}. Users with one item are learnt from and not judged by.
 *
 * @param options `fraction` default 0.2, in (0, 1); `core` default 1, which leaves nobody out
 * @throws TypeError on options out of range.
 */
export function lastOfUsers(options: { readonly fraction?: number; readonly core?: number } = {}): UserSplit {
  const { fraction = 0.2, core = 1 } = options;
  if (!(fraction > 0 && fraction < 1)) {
    throw new TypeError(`lastOfUsers(): fraction lies between 0 and 1; got ${String(fraction)}`);
  }
  if (!Number.isInteger(core) || core < 1 || core > RECOMMENDER_LIMITS.coreMax) {
    throw new TypeError(
      `lastOfUsers(): core is a whole number from 1 to ${String(RECOMMENDER_LIMITS.coreMax)}; got ${String(core)}`,
    );
  }
  return { kind: 'user', fraction, core };
}

/** Names of the fields of such kinds that are never null. */
type NamesOf<TFields extends Fields, TKind extends FieldKind> = {
  [TName in keyof TFields]: TFields[TName] extends Field<TKind, false> ? TName : never;
}[keyof TFields] &
  string;

export interface RecommenderOptions<TSource extends Source> {
  /** The source whose events are interactions of a user with an item. */
  readonly interactions: TSource;
  /** The id or key field that names the user. */
  readonly user: NamesOf<TSource['fields'], 'id' | 'key'>;
  /** The id or key field that names the item. */
  readonly item: NamesOf<TSource['fields'], 'id' | 'key'>;
  /**
   * How much an interaction counts, from 0.001 to 1,000,000, and as these bounds beyond them; one of 0 or less is none. Of several
   * interactions of a user with an item the one that counts most counts. Default: 1 for each.
   */
  readonly weight?: NamesOf<TSource['fields'], 'number' | 'integer'>;
  readonly trainer: RecommenderTrainer;
  /** How far back interactions count, in training and for a user who is answered. At most, and by default, `'400d'`. */
  readonly history?: Duration;
  /** So many of a user's latest interactions are read to answer. 1 to 100. Default 50. */
  readonly recent?: number;
  /** So many items are kept, the most popular ones. 2 to 8,000. Default 5,000. */
  readonly itemsMax?: number;
  /** Default `lastOfUsers()`. */
  readonly split?: UserSplit;
  /** Bounds of {@link RECOMMENDER_METRICS}. Default none. */
  readonly gates?: readonly Gate[];
  /** Seed of everything random in training: the users who are judged by, where there are very many. Default 0. */
  readonly seed?: number;
  /**
   * When it is trained by itself: `every('1d')`, `onNewEvents(10_000)`, or both in a list. No part of what it is. Default: never.
   */
  readonly retrain?: RetrainRule | readonly RetrainRule[];
}

/** A recommender: scores all items for a user, by the items that the user had to do with. It is trained and registered as models are. */
export interface Recommender<TName extends string = string, TSource extends Source = Source> {
  readonly type: 'recommender';
  readonly name: TName;
  readonly interactions: TSource;
  readonly user: string;
  readonly item: string;
  readonly weight?: string;
  readonly trainer: RecommenderTrainer;
  readonly historyMs: number;
  readonly recent: number;
  readonly itemsMax: number;
  readonly split: UserSplit;
  readonly gates: readonly Gate[];
  readonly seed: number;
  /** At most one rule of each kind; not in the hash. */
  readonly retrain: readonly RetrainRule[];
  /** `<name>_history`, by user: the codes of the latest items, latest first, and then their weights if there is one. */
  readonly history: FeatureGroup;
  /** `<name>_interactions`, over the interactions: the training table's. Its one value, `weight`, is 1 without a weight. */
  readonly training: Vector;
  readonly hash: string;
}

/** Behind the name of a recommender: its group and vectors of users' items, and the vector that it is trained by. */
const HISTORY = '_history';
const INTERACTIONS = '_interactions';

/**
 * Defines a recommender.
 *
 * @throws TypeError on fields that are not there or of another kind, on bounds, gates and rules that are not a recommender's.
 * @example
 * const shelf = defineRecommender('shelf', {
 *   interactions: views, user: 'userId', item: 'itemId', trainer: ease({ lambda: 200 }), gates: [atLeast('ndcg10', 0.05)],
 * });
 */
export function defineRecommender<const TName extends string, TSource extends Source>(
  name: TName,
  options: RecommenderOptions<TSource>,
): Recommender<TName, TSource> {
  assertName('recommender', name);
  const longest = NAME_LENGTH_MAX - INTERACTIONS.length;
  if (name.length > longest) {
    throw new TypeError(`The name of a recommender has at most ${String(longest)} characters; got '${name}'`);
  }
  const { interactions, user, item, weight, trainer } = options;
  assertFields(name, { interactions, user, item, weight });
  const { itemsMax, itemsDefault, recentMax, recentDefault } = RECOMMENDER_LIMITS;
  const window = options.history ?? '400d';
  const definition = {
    type: 'recommender' as const,
    name,
    interactions,
    user,
    item,
    ...(weight === undefined ? {} : { weight }),
    trainer,
    historyMs: durationMs(window),
    recent: within(name, 'recent', options.recent ?? recentDefault, [1, recentMax]),
    itemsMax: within(name, 'itemsMax', options.itemsMax ?? itemsDefault, [2, itemsMax]),
    split: options.split ?? lastOfUsers(),
    gates: gatesOf(name, options.gates ?? []),
    seed: options.seed ?? 0,
  };
  const history = historyGroup(definition, window);
  const training = trainingVector(definition);
  const hash = definitionHash({
    ...definition,
    interactions: interactions.hash,
    history: history.hash,
    training: training.hash,
  });
  return { ...definition, retrain: rulesOf(name, options.retrain), history, training, hash };
}

/**
 * The vector that tells what a user had to do with: `<recommender>_history` unless it gets another name, over the source of
 * requests. Its values are those of {@link Recommender.history}; {@link readHistory} reads them.
 *
 * @throws TypeError unless the request has the recommender's user as an id or key field of the same name.
 */
export function historyVector<TSource extends Source>(
  recommender: Recommender,
  request: TSource,
  name: string = `${recommender.name}${HISTORY}`,
): Vector<string, TSource> {
  const field = request.fields[recommender.user];
  if ((field?.kind !== 'id' && field?.kind !== 'key') || field.optional) {
    throw new TypeError(
      `Recommender '${recommender.name}' is asked for a user by '${recommender.user}', ` +
        `which is not an id or key field of source '${request.name}'`,
    );
  }
  const parts = { candidate: request, history: recommender.history } as Parameters<
    typeof vector<string, TSource>
  >[1];
  return vector(name, parts);
}

/** What a user had to do with. */
export interface UserHistory {
  /** Code of each item, see `codeOf`: each once, that of the latest interaction first. */
  readonly codes: readonly number[];
  /** One for each item, as {@link RecommenderOptions.weight} says; undefined without a weight. */
  readonly weights: readonly number[] | undefined;
}

/**
 * Reads the values of a recommender's history, in their order. Of several interactions with an item the one that counts most counts,
 * and those that count 0 or less are none, as in training.
 *
 * @throws RangeError when there are not as many values as the history has.
 */
export function readHistory(recommender: Recommender, values: readonly (number | null)[]): UserHistory {
  const { recent, weight } = recommender;
  const count = weight === undefined ? recent : 2 * recent;
  if (values.length !== count) {
    throw new RangeError(
      `The history of recommender '${recommender.name}' has ${String(count)} values, not ${String(values.length)}`,
    );
  }
  const found = new Map<number, number>();
  for (let place = 0; place < recent; place += 1) {
    const item = values[place];
    const counts = weight === undefined ? 1 : values[recent + place];
    if (typeof item !== 'number' || typeof counts !== 'number' || !(counts > 0)) continue;
    found.set(item, Math.max(found.get(item) ?? 0, boundedWeight(counts)));
  }
  return { codes: [...found.keys()], weights: weight === undefined ? undefined : [...found.values()] };
}

/** The weight of an interaction that counts, within the bounds. */
export function boundedWeight(weight: number): number {
  const { weightMin, weightMax } = RECOMMENDER_LIMITS;
  return Math.min(Math.max(weight, weightMin), weightMax);
}

type Defined = Omit<Recommender, 'retrain' | 'history' | 'training' | 'hash'>;

/** Exact windows: a tile would keep room for all the latest items of each day. */
function historyGroup(
  { name, interactions, user, item, weight, recent }: Defined,
  window: Duration,
): FeatureGroup {
  return features(
    `${name}${HISTORY}`,
    { from: interactions, key: user as never, hop: 'exact', closed: 'right' },
    (event) => ({
      item: lastK(code(event[item] as Expression<'string'>), recent).over(window),
      ...(weight === undefined
        ? {}
        : { weight: lastK(event[weight] as Expression<'number'>, recent).over(window) }),
    }),
  );
}

function trainingVector({ name, interactions, weight }: Defined): Vector {
  const one = new Expression<'number'>({ op: 'literal', value: 1, type: 'number' });
  return vector(`${name}${INTERACTIONS}`, {
    candidate: interactions,
    weight: (event) => (weight === undefined ? one : (event[weight] as Expression<'number'>)),
  });
}

interface NamedFields {
  readonly interactions: Source;
  readonly user: string;
  readonly item: string;
  readonly weight: string | undefined;
}

function assertFields(name: string, { interactions, user, item, weight }: NamedFields): void {
  const roles = [
    ['user', user, ['id', 'key'], 'an id or key field'],
    ['item', item, ['id', 'key'], 'an id or key field'],
    ...(weight === undefined ? [] : [['weight', weight, ['number', 'integer'], 'a number'] as const]),
  ] as const;
  for (const [role, field, kinds, what] of roles) {
    const found = Object.hasOwn(interactions.fields, field) ? interactions.fields[field] : undefined;
    if (found !== undefined && !found.optional && (kinds as readonly string[]).includes(found.kind)) continue;
    throw new TypeError(
      `Recommender '${name}': ${role} '${field}' is not ${what} of source '${interactions.name}' that is always there`,
    );
  }
  if (user === item)
    throw new TypeError(`Recommender '${name}': user and item are the same field, '${user}'`);
  for (const field of [user, item]) {
    if (field !== interactions.id) continue;
    throw new TypeError(
      `Recommender '${name}': '${field}' is the id of an event of '${interactions.name}', so that no two events share it`,
    );
  }
}

function within(name: string, what: string, value: number, [low, high]: readonly [number, number]): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new TypeError(
    `Recommender '${name}': ${what} is a whole number from ${String(low)} to ${String(high)}; got ${String(value)}`,
  );
}

/** The parts that a gate of a recommender has: what its metrics are measured of leaves nothing else to be asked. */
const GATE_PARTS: readonly string[] = ['metric', 'direction', 'bound'] satisfies (keyof Gate)[];

function gatesOf(name: string, gates: readonly Gate[]): readonly Gate[] {
  for (const gate of gates) {
    const other = Object.keys(gate).find((part) => !GATE_PARTS.includes(part));
    if (other !== undefined) {
      throw new TypeError(`Recommender '${name}': a gate on '${gate.metric}' has no '${other}'`);
    }
    if (!isRecommenderMetric(gate.metric)) {
      throw new TypeError(
        `Recommender '${name}': gates are on ${RECOMMENDER_METRICS.join(', ')}; got '${gate.metric}'`,
      );
    }
  }
  return gates;
}

function rulesOf(
  name: string,
  given: RetrainRule | readonly RetrainRule[] | undefined,
): readonly RetrainRule[] {
  const rules = retrainRules(name, given);
  if (rules.some(({ kind }) => kind === 'onNewLabels')) {
    throw new TypeError(`Recommender '${name}' has no label: onNewEvents() counts its interactions`);
  }
  return rules;
}
