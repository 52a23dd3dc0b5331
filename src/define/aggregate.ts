import { type Duration, durationMs } from './duration.ts';
import { decimalsOf, Expression } from './expression.ts';
import type {
  AggregateKind,
  AggregateParameters,
  AggregateSpec,
  ExpressionNode,
  ValueType,
  Window,
} from './tree.ts';

/**
 * The length that stands for `'ever'`, in milliseconds: more than lies between any two event times, which are of the
 * years 1900 to 2200. It is the length of the tiles of such windows too: a key has at most two of them.
 */
export const EVER_MS = 10_000_000_000_000;

/** Bounds of what one aggregate may keep for a key. */
export const AGGREGATE_LIMITS = {
  /** Values of `firstK`, `lastK` and `topK`. */
  sizeMax: 100,
  /** Bounds of a `histogram`. */
  boundsMax: 100,
  /** Different values that `distinct` counts exactly, at most and by default. */
  exactMax: 4_096,
  exactDefault: 256,
  /** Different values in a window of `topK`, at most and by default. */
  distinctMax: 10_000,
  distinctDefault: 1_000,
  /** Relative error of `percentile`, at least, at most and by default. */
  accuracyMin: 0.001,
  accuracyMax: 0.1,
  accuracyDefault: 0.01,
} as const;

/** An aggregate over one or more windows, before it has a name. */
export interface Aggregate<TType extends ValueType = ValueType> extends AggregateSpec {
  readonly windows: readonly Window[];
  /** The value where it would be null: over an empty window, or past its time to live. */
  orElse(fallback: number): Aggregate<TType>;
  /** Counts in only the events for which this is true, beside the `where` of the group. */
  where(condition: Expression<'boolean'>): Aggregate<TType>;
  /**
   * Time to live: at T the aggregate is as over an empty window unless the newest event that it counts lies less than this
   * before T. Applied at the read, online and offline.
   */
  ttl(duration: Duration): Aggregate<TType>;
  /**
   * The value in an expression that makes one more feature of the group: arithmetic over aggregates, and comparisons with
   * the event being decided, whose fields stand there for themselves. Money is in its main unit. Only of an aggregate
   * with one window and one value.
   *
   * @example
   * surge: sum(p.amount).over('1h').value().dividedBy(sum(p.amount).over('7d').value()).orElse(0),
   * sameShop: last(p.shopId).over('30d').value().equals(p.shopId),
   */
  value(): Expression<TType>;
}

/** An aggregate that still needs its windows. */
export interface AggregateBuilder<TType extends ValueType = ValueType> {
  over(...windows: readonly [Window, ...Window[]]): Aggregate<TType>;
}

type Numeric = Expression<'number'> | Expression<'money'> | Expression<'boolean'>;
type Text = Expression<'string'>;
type Time = Expression<'timestamp'>;
type Floats = Expression<'embedding'>;

function make<TType extends ValueType>(spec: AggregateSpec, windows: readonly Window[]): Aggregate<TType> {
  const changed = (change: Partial<AggregateSpec>): Aggregate<TType> => make({ ...spec, ...change }, windows);
  return {
    ...spec,
    windows,
    orElse: (fallback) => {
      if (!Number.isFinite(fallback))
        throw new TypeError(`orElse() takes a finite number; got ${String(fallback)}`);
      return changed({ fallback });
    },
    where: (condition) => changed({ filter: condition.node }),
    ttl: (duration) => changed({ ttlMs: durationMs(duration) }),
    value: () => {
      const [window, ...others] = windows;
      if (window === undefined || others.length > 0 || valuesOf(spec) > 1) {
        throw new TypeError(
          `value() is of one window and one value; ${spec.kind} here has ${String(windows.length)} windows ` +
            `and ${String(valuesOf(spec))} values`,
        );
      }
      return new Expression<TType>({
        op: 'aggregate',
        spec,
        window,
        type: resultType(spec) as TType,
      });
    },
  };
}

function aggregate<TType extends ValueType>(
  kind: AggregateKind,
  input?: Expression,
  parameters?: AggregateParameters,
): AggregateBuilder<TType> {
  const spec: AggregateSpec = {
    kind,
    ...(input === undefined ? {} : { input: input.node }),
    ...(parameters === undefined ? {} : { parameters }),
  };
  return { over: (...windows) => make(spec, windows) };
}

/** Number of values of an aggregate over one window. */
export function valuesOf({ kind, input, parameters }: AggregateSpec): number {
  if (kind === 'histogram') return (parameters?.bounds?.length ?? 0) + 1;
  if (input?.type === 'embedding') return lengthOf(input);
  return parameters?.size ?? 1;
}

/** The type of an aggregate's values: numbers, but for the first, last, smallest and largest of something else. */
export function resultType({ kind, input }: AggregateSpec): ValueType {
  const keeps = kind === 'first' || kind === 'last' || kind === 'min' || kind === 'max';
  return keeps && (input?.type === 'string' || input?.type === 'timestamp') ? input.type : 'number';
}

/** Length of the vectors of an `embedding` expression. */
export function lengthOf(node: ExpressionNode): number {
  return node.op === 'field' ? (node.length ?? 0) : 0;
}

/** Number of events. */
export function count(): AggregateBuilder<'number'> {
  return aggregate('count');
}

/** Sum of the non-null values; 0 over an empty window. Exact for money. */
export function sum(input: Numeric): AggregateBuilder<'number'> {
  return aggregate('sum', input);
}

/** Mean of the non-null values (a boolean counts 0 or 1); null over an empty window. Of an embedding by element. */
export function mean(input: Floats): AggregateBuilder<'embedding'>;
export function mean(input: Numeric): AggregateBuilder<'number'>;
export function mean(input: Floats | Numeric): AggregateBuilder {
  return aggregate('mean', input);
}

/** Smallest non-null value; null over an empty window. */
export function min(input: Time): AggregateBuilder<'timestamp'>;
export function min(input: Numeric): AggregateBuilder<'number'>;
export function min(input: Time | Numeric): AggregateBuilder {
  return aggregate('min', input);
}

/** Largest non-null value; null over an empty window. */
export function max(input: Time): AggregateBuilder<'timestamp'>;
export function max(input: Numeric): AggregateBuilder<'number'>;
export function max(input: Time | Numeric): AggregateBuilder {
  return aggregate('max', input);
}

/** Population variance of the non-null values, in the input's unit squared; 0 of one value, null over an empty window. */
export function variance(input: Numeric): AggregateBuilder<'number'> {
  return aggregate('variance', input);
}

/** Population standard deviation of the non-null values: the root of {@link variance}. */
export function std(input: Numeric): AggregateBuilder<'number'> {
  return aggregate('std', input);
}

/**
 * The non-null value of the earliest event by (event time, partition, offset); null over an empty window. Of text it is only
 * for {@link Aggregate.value}; of an embedding it has a value for each element.
 */
export function first(input: Floats): AggregateBuilder<'embedding'>;
export function first(input: Text): AggregateBuilder<'string'>;
export function first(input: Time): AggregateBuilder<'timestamp'>;
export function first(input: Numeric): AggregateBuilder<'number'>;
export function first(input: Floats | Text | Time | Numeric): AggregateBuilder {
  return aggregate('first', input);
}

/** The non-null value of the latest event, else as {@link first}. */
export function last(input: Floats): AggregateBuilder<'embedding'>;
export function last(input: Text): AggregateBuilder<'string'>;
export function last(input: Time): AggregateBuilder<'timestamp'>;
export function last(input: Numeric): AggregateBuilder<'number'>;
export function last(input: Floats | Text | Time | Numeric): AggregateBuilder {
  return aggregate('last', input);
}

/** The non-null values of the `size` earliest events, earliest first: features `_1` to `_<size>`, null where there are fewer. */
export function firstK(input: Time | Numeric, size: number): AggregateBuilder<'number'> {
  return aggregate('firstK', input, { size: wholeNumber('firstK', size, 1, AGGREGATE_LIMITS.sizeMax) });
}

/** The non-null values of the `size` latest events, latest first, else as {@link firstK}. */
export function lastK(input: Time | Numeric, size: number): AggregateBuilder<'number'> {
  return aggregate('lastK', input, { size: wholeNumber('lastK', size, 1, AGGREGATE_LIMITS.sizeMax) });
}

/**
 * Numbers of values below the first bound, from each bound to below the next, and from the last on: features `_1` to
 * `_<bounds + 1>`. Bounds of money are in its main unit.
 */
export function histogram(
  input: Expression<'number'> | Expression<'money'>,
  bounds: readonly number[],
): AggregateBuilder<'number'> {
  const unit = 10 ** (decimalsOf(input.node) ?? 0);
  const scaled = bounds.map((bound) => (input.node.type === 'money' ? Math.round(bound * unit) : bound));
  const ascending = scaled.every((bound, index) => index === 0 || bound > (scaled[index - 1] ?? bound));
  const fitting = scaled.every(
    (bound, index) =>
      Number.isFinite(bound) && (input.node.type !== 'money' || bound / unit === bounds[index]),
  );
  if (bounds.length < 1 || bounds.length > AGGREGATE_LIMITS.boundsMax || !ascending || !fitting) {
    throw new TypeError(
      `histogram() takes 1 to ${String(AGGREGATE_LIMITS.boundsMax)} ascending bounds` +
        `${unit === 1 ? '' : ` with at most ${String(decimalsOf(input.node))} decimals`}; got [${bounds.join(', ')}]`,
    );
  }
  return aggregate('histogram', input, { bounds: scaled.map((bound) => bound + 0) });
}

/**
 * Number of different non-null values: exact up to `exactUpTo` (default 256, at most 4,096), beyond it an estimate with a standard
 * error of 1.6 % (HyperLogLog with 4,096 registers of its own code). Offline it is computed by replay.
 */
export function distinct(
  input: Numeric | Time | Text,
  options: { readonly exactUpTo?: number } = {},
): AggregateBuilder<'number'> {
  const { exactDefault, exactMax } = AGGREGATE_LIMITS;
  return aggregate('distinct', input, {
    limit: wholeNumber('distinct', options.exactUpTo ?? exactDefault, 1, exactMax),
  });
}

/**
 * The `size` most frequent non-null values of the window: how often each comes (`of: 'counts'`, the default), or the values
 * themselves (`of: 'values'`, of numbers only), as features `_1` to `_<size>`, most frequent first, of equally frequent ones the
 * smaller first; null where there are fewer. Exact; a window with more than `distinctMax` different values (default 1,000, at most
 * 10,000) has none. Offline it is computed by replay.
 */
export function topK(
  input: Numeric,
  size: number,
  options?: { readonly of?: 'counts' | 'values'; readonly distinctMax?: number },
): AggregateBuilder<'number'>;
export function topK(
  input: Numeric | Time | Text,
  size: number,
  options?: { readonly of?: 'counts'; readonly distinctMax?: number },
): AggregateBuilder<'number'>;
export function topK(
  input: Numeric | Time | Text,
  size: number,
  options: { readonly of?: 'counts' | 'values'; readonly distinctMax?: number } = {},
): AggregateBuilder<'number'> {
  const { distinctDefault, distinctMax, sizeMax } = AGGREGATE_LIMITS;
  return aggregate('topK', input, {
    size: wholeNumber('topK', size, 1, sizeMax),
    of: options.of ?? 'counts',
    limit: wholeNumber('topK', options.distinctMax ?? distinctDefault, 1, distinctMax),
  });
}

/**
 * The value below which the part `quantile` (0 to 1) of the non-null values lies: the one of rank floor(quantile * (n - 1)), with
 * a relative error of at most `accuracy` (default 0.01, 0.001 to 0.1) for magnitudes from 1e-9 to 1e16 (of money in the smallest
 * unit). A DDSketch of our own code; offline it is computed by replay.
 */
export function percentile(
  input: Numeric,
  quantile: number,
  options: { readonly accuracy?: number } = {},
): AggregateBuilder<'number'> {
  const { accuracyDefault, accuracyMin, accuracyMax } = AGGREGATE_LIMITS;
  const accuracy = options.accuracy ?? accuracyDefault;
  if (!(quantile >= 0 && quantile <= 1) || !(accuracy >= accuracyMin && accuracy <= accuracyMax)) {
    throw new TypeError(
      `percentile() takes a quantile from 0 to 1 and an accuracy from ${String(accuracyMin)} to ` +
        `${String(accuracyMax)}; got ${String(quantile)} and ${String(accuracy)}`,
    );
  }
  return aggregate('percentile', input, { quantile, accuracy });
}

function wholeNumber(what: string, value: number, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new TypeError(
      `${what}() takes a whole number from ${String(low)} to ${String(high)}; got ${String(value)}`,
    );
  }
  return value;
}

/** One aggregate divided by another, each of one window: null where either is null or the second is 0. */
export function ratio(part: Aggregate<'number'>, whole: Aggregate<'number'>): Expression<'number'> {
  return part.value().dividedBy(whole.value());
}
