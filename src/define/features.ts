import { type Duration, durationMs } from './duration.ts';
import { decimalsOf, type Expression, type ExpressionNode, type ValueType } from './expression.ts';
import { definitionHash } from './hash.ts';
import type { LabelDefinition, MaturedLabel } from './label.ts';
import { assertName } from './name.ts';
import { type FieldExpressions, fieldExpressions, type Fields, type Source } from './source.ts';

export type AggregateKind = 'count' | 'sum' | 'mean' | 'min' | 'max' | 'last';

/** An aggregate over one or more windows, before it has a name. */
export interface Aggregate {
  readonly kind: AggregateKind;
  /** What is aggregated; absent for `count`. */
  readonly input?: ExpressionNode;
  readonly windows: readonly Duration[];
  readonly fallback?: number;
  /** The value of `mean`, `min`, `max` and `last` over an empty window; without it null. */
  orElse(fallback: number): Aggregate;
}

/** An aggregate that still needs its windows. */
export interface AggregateBuilder {
  over(...windows: readonly [Duration, ...Duration[]]): Aggregate;
}

type Numeric = Expression<'number'> | Expression<'money'> | Expression<'boolean'>;

function aggregate(kind: AggregateKind, input?: Expression): AggregateBuilder {
  const make = (windows: readonly Duration[], fallback?: number): Aggregate => ({
    kind,
    windows,
    ...(input === undefined ? {} : { input: input.node }),
    ...(fallback === undefined ? {} : { fallback }),
    orElse: (value) => make(windows, value),
  });
  return { over: (...windows) => make(windows) };
}

/** Number of events. */
export function count(): AggregateBuilder {
  return aggregate('count');
}

/** Sum of the non-null values; 0 over an empty window. Exact for money. */
export function sum(input: Numeric): AggregateBuilder {
  return aggregate('sum', input);
}

/** Mean of the non-null values (a boolean counts 0 or 1); null over an empty window. */
export function mean(input: Numeric): AggregateBuilder {
  return aggregate('mean', input);
}

/** Smallest non-null value; null over an empty window. */
export function min(input: Numeric): AggregateBuilder {
  return aggregate('min', input);
}

/** Largest non-null value; null over an empty window. */
export function max(input: Numeric): AggregateBuilder {
  return aggregate('max', input);
}

/** The non-null value of the latest event by (event time, partition, offset); null over an empty window. */
export function last(input: Numeric): AggregateBuilder {
  return aggregate('last', input);
}

/** What features can be computed from: a source, or a label once it has matured. */
export type EventStream = Source | MaturedLabel;

type KeyNames<TFields extends Fields> = {
  [TName in keyof TFields]: TFields[TName] extends { readonly kind: 'key' | 'id'; readonly optional: false }
    ? TName
    : never;
}[keyof TFields] &
  string;

export interface FeaturesOptions<TFrom extends EventStream> {
  readonly from: TFrom;
  /** The field of the stream by whose value the features are kept. */
  readonly key: KeyNames<TFrom['fields']>;
  /**
   * `'exact'` keeps events and cuts windows to the millisecond: for keys with few events. Otherwise windows are made of
   * tiles of this length, at most a sixtieth of the window. Default: the largest usual length that fits each window.
   */
  readonly hop?: 'exact' | Duration;
  /** `'left'`: `[T - W, T)`. `'right'`: `(T - W, T]`; needs `hop: 'exact'`. Default `'left'`. */
  readonly closed?: 'left' | 'right';
  /** Whether the event being decided, when it is of this stream's source, is counted in. Default `'merge'`. */
  readonly candidate?: 'merge' | 'ignore';
}

/** One feature: an aggregate over one window. */
export interface Feature {
  /** `<aggregate name>_<window>`, for example `amount_7d`. */
  readonly name: string;
  readonly kind: AggregateKind;
  readonly input?: ExpressionNode;
  readonly inputType: ValueType;
  /** Money inputs are whole numbers of 10^-decimals; results are divided by 10^decimals at the end. */
  readonly decimals: number;
  readonly windowMs: number;
  /** Tile length, or 0 for exact. */
  readonly hopMs: number;
  readonly fallback?: number;
}

/** Features of one key, computed from one stream. */
export interface FeatureGroup<TName extends string = string, TKey extends string = string> {
  readonly type: 'features';
  readonly name: TName;
  readonly key: TKey;
  readonly from: { readonly source: Source; readonly matured?: LabelDefinition };
  readonly exact: boolean;
  readonly closed: 'left' | 'right';
  readonly candidate: 'merge' | 'ignore';
  readonly where?: ExpressionNode;
  readonly features: readonly Feature[];
  readonly hash: string;
}

/** The version of the semantics of windows and aggregates; part of every definition's hash. */
export const SEMANTICS_VERSION = 1;

/** Usual tile lengths, in milliseconds: every one divides a day or is a day. */
const HOPS_MS: readonly number[] = [
  1_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_200_000, 1_800_000,
  3_600_000, 7_200_000, 10_800_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000,
];

/** A window has at least this many tiles, so that it covers at most 1.7 % more than its length. */
export const TILES_PER_WINDOW_MIN = 60;

/**
 * Defines a feature group.
 *
 * @example
 * const customer = features('customer', { from: payments, key: 'customerId', hop: 'exact' }, (p) => ({
 *   count: count().over('1d', '7d'),
 *   amount: mean(p.amount).over('7d'),
 * }));
 */
export function features<const TName extends string, TFrom extends EventStream>(
  name: TName,
  options: FeaturesOptions<TFrom> & {
    readonly where?: (event: FieldExpressions<TFrom['fields']>) => Expression<'boolean'>;
  },
  build: (event: FieldExpressions<TFrom['fields']>) => Readonly<Record<string, Aggregate>>,
): FeatureGroup<TName, KeyNames<TFrom['fields']>> {
  assertName('feature group', name);
  const exact = options.hop === 'exact';
  const closed = options.closed ?? 'left';
  if (closed === 'right' && !exact)
    throw new TypeError(`Group '${name}': closed: 'right' needs hop: 'exact'`);
  if (options.candidate === 'ignore' && !exact) {
    throw new TypeError(
      `Group '${name}': candidate: 'ignore' needs hop: 'exact': an event cannot be taken out of a tile`,
    );
  }
  if (options.from.type === 'matured' && !exact) {
    // An outcome may be learnt after its event was merged into a tile, and nothing is ever subtracted from a tile.
    throw new TypeError(`Group '${name}': features of a matured label need hop: 'exact'`);
  }
  const event = fieldExpressions<TFrom['fields']>(options.from.fields);
  const where = options.where?.(event).node;
  const definition = {
    type: 'features' as const,
    name,
    key: options.key,
    exact,
    closed,
    candidate: options.candidate ?? ('merge' as const),
    ...(where === undefined ? {} : { where }),
    features: Object.entries(build(event)).flatMap(([label, item]) => expand(name, label, item, options.hop)),
  };
  if (definition.features.length === 0) throw new TypeError(`Group '${name}' defines no feature`);
  const from =
    options.from.type === 'source'
      ? { source: options.from as Source }
      : { source: options.from.label.of, matured: options.from.label };
  const hash = definitionHash({
    ...definition,
    semantics: SEMANTICS_VERSION,
    source: from.source.hash,
    matured: from.matured?.hash,
  });
  return { ...definition, from, hash };
}

function expand(
  group: string,
  label: string,
  item: Aggregate,
  hop: 'exact' | Duration | undefined,
): Feature[] {
  assertName('feature', label);
  return item.windows.map((window) => {
    const windowMs = durationMs(window);
    const decimals = item.input === undefined ? 0 : (decimalsOf(item.input) ?? 0);
    return {
      name: `${label}_${window}`,
      kind: item.kind,
      ...(item.input === undefined ? {} : { input: item.input }),
      inputType: item.input?.type ?? 'number',
      decimals,
      windowMs,
      hopMs: hop === 'exact' ? 0 : hopMs(group, windowMs, hop),
      ...(item.fallback === undefined ? {} : { fallback: item.fallback }),
    };
  });
}

function hopMs(group: string, windowMs: number, hop: Duration | undefined): number {
  const longest = windowMs / TILES_PER_WINDOW_MIN;
  if (hop !== undefined) {
    const given = durationMs(hop);
    if (given > longest) {
      throw new TypeError(
        `Group '${group}': a hop of ${hop} is longer than 1/60 of the window of ${String(windowMs)} ms`,
      );
    }
    return given;
  }
  const usual = HOPS_MS.findLast((candidate) => candidate <= longest);
  if (usual === undefined) {
    throw new TypeError(
      `Group '${group}': a window of ${String(windowMs)} ms is too short for tiles; use hop: 'exact'`,
    );
  }
  return usual;
}
