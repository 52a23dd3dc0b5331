import { type Aggregate, EVER_MS, resultType, valuesOf } from './aggregate.ts';
import { type Duration, durationMs } from './duration.ts';
import { AS_OF_FIELD, decimalsOf, Expression } from './expression.ts';
import { canonicalJson, definitionHash } from './hash.ts';
import type { LabelDefinition, MaturedLabel } from './label.ts';
import { assertDistinct, assertName } from './name.ts';
import { beyondEvent } from './of-event.ts';
import { type FieldExpressions, fieldExpressions, type Fields, type Source } from './source.ts';
import type {
  AggregateKind,
  AggregateParameters,
  AggregateSpec,
  ExpressionNode,
  ValueType,
  Window,
} from './tree.ts';

/** What features can be computed from: a source, or a label once it has matured. */
export type EventStream = Source | MaturedLabel;

type KeyNames<TFields extends Fields> = {
  [TName in keyof TFields]: TFields[TName] extends { readonly kind: 'key' | 'id'; readonly optional: false }
    ? TName
    : never;
}[keyof TFields] &
  string;

export interface FeaturesOptions<
  TFrom extends EventStream,
  TKey extends KeyNames<TFrom['fields']> = KeyNames<TFrom['fields']>,
> {
  readonly from: TFrom;
  /** The field of the stream by whose value the features are kept. A vector's candidate has it by the same name. */
  readonly key: TKey;
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

/** What a group may define: an aggregate, or an expression over {@link Aggregate.value}s. */
export type FeatureItem =
  | Aggregate<'number' | 'timestamp' | 'embedding'>
  | Expression<'number'>
  | Expression<'boolean'>;

/** One feature: a value of an aggregate over one window, or of an expression over such values. */
export interface Feature {
  /**
   * `<aggregate name>_<window>`, for example `amount_7d`, with `_1`, `_2` ... behind it where the aggregate has several
   * values; the bare name of an expression.
   */
  readonly name: string;
  readonly kind: AggregateKind | 'expression';
  readonly input?: ExpressionNode;
  readonly inputType: ValueType;
  /** Money inputs are whole numbers of 10^-decimals; results are divided by 10^decimals at the end. */
  readonly decimals: number;
  readonly windowMs: number;
  /** Tile length, or 0 for exact. */
  readonly hopMs: number;
  readonly fallback?: number;
  readonly filter?: ExpressionNode;
  readonly parameters?: AggregateParameters;
  /** Which of several values, from 0. */
  readonly rank?: number;
  readonly ttlMs?: number;
  /**
   * Of an expression. Its fields `#0`, `#1` ... are the group's features and then its parts; {@link AS_OF_FIELD} is the
   * instant of the read, others are fields of the event being decided.
   */
  readonly expression?: ExpressionNode;
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
  /** Aggregates that only expressions of the group use. Absent without any. */
  readonly parts?: readonly Feature[];
  readonly hash: string;
}

/** The version of the semantics of windows and aggregates; part of every definition's hash. */
export const SEMANTICS_VERSION = 1;

/** Usual tile lengths, in milliseconds: every one divides a day or is a day. */
const HOPS_MS: readonly number[] = [
  10, 20, 50, 100, 200, 500, 1_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000,
  1_200_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000,
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
export function features<
  const TName extends string,
  TFrom extends EventStream,
  const TKey extends KeyNames<TFrom['fields']> = KeyNames<TFrom['fields']>,
>(
  name: TName,
  options: FeaturesOptions<TFrom, TKey> & {
    readonly where?: (event: FieldExpressions<TFrom['fields']>) => Expression<'boolean'>;
  },
  build: (event: FieldExpressions<TFrom['fields']>) => Readonly<Record<string, FeatureItem>>,
): FeatureGroup<TName, TKey> {
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
  if (where !== undefined) assertOfEvents(name, where);
  const { features: defined, parts } = expandAll(name, build(event), options.hop);
  if (defined.length === 0) throw new TypeError(`Group '${name}' defines no feature`);
  assertBounded(name, options.from, [...defined, ...parts]);
  const definition = {
    type: 'features' as const,
    name,
    key: options.key,
    exact,
    closed,
    candidate: options.candidate ?? ('merge' as const),
    ...(where === undefined ? {} : { where }),
    features: defined,
    ...(parts.length === 0 ? {} : { parts }),
  };
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

interface Expanded {
  readonly features: readonly Feature[];
  readonly parts: readonly Feature[];
}

/** All features in the order in which they are written, and the parts that only their expressions have. */
function expandAll(
  group: string,
  items: Readonly<Record<string, FeatureItem>>,
  hop: 'exact' | Duration | undefined,
): Expanded {
  const slots = Object.entries(items).flatMap(
    ([label, item]): { readonly label: string; readonly of: Feature | ExpressionNode }[] => {
      assertName('feature', label);
      if (item instanceof Expression) return [{ label, of: item.node }];
      if (resultType(item) === 'string') {
        throw new TypeError(
          `Group '${group}': '${label}' is text, which no model takes; compare it: .value().equals(...)`,
        );
      }
      return item.windows
        .flatMap((window) => expand(group, label, item, window, hop))
        .map((of) => ({ label, of }));
    },
  );
  assertDistinct(
    `Group '${group}'`,
    slots.map(({ label, of }) => ('op' in of ? label : of.name)),
  );
  const known = new Map<string, number>();
  for (const [index, { of }] of slots.entries()) if (!('op' in of)) known.set(identityOf(of), index);
  const parts: Feature[] = [];
  /** The place of an aggregate among features and parts: a feature of its own, or a part that is made for it. */
  const placeOf = (spec: AggregateSpec, window: Window): number => {
    const [part] = expand(group, 'part', spec, window, hop);
    if (part === undefined) throw new TypeError(`Group '${group}': ${spec.kind} has no value`);
    const identity = identityOf(part);
    let place = known.get(identity);
    if (place === undefined) {
      place = slots.length + parts.length;
      parts.push({ ...part, name: `#${String(place)}` });
      known.set(identity, place);
    }
    return place;
  };
  const expressions = slots.map(({ of }) => ('op' in of ? resolve(of, placeOf) : undefined));
  const features = slots.map(({ label, of }, index): Feature => {
    const expression = expressions[index];
    if (expression === undefined) return of as Feature;
    const used = fieldsOf(expression).flatMap((field) => {
      const place = placeOfField(field);
      return place === undefined
        ? []
        : [(slots[place]?.of as Feature | undefined) ?? parts[place - slots.length]];
    });
    if (used.length === 0) {
      throw new TypeError(
        `Group '${group}': '${label}' uses no aggregate; an expression over the candidate alone is a part of a vector`,
      );
    }
    return {
      name: label,
      kind: 'expression',
      inputType: expression.type,
      decimals: 0,
      windowMs: Math.max(...used.map((part) => part?.windowMs ?? 0)),
      hopMs: Math.max(...used.map((part) => part?.hopMs ?? 0)),
      expression,
    };
  });
  return { features, parts };
}

/** Whatever may be corrected is kept event by event, and that must end. */
function assertBounded(group: string, from: EventStream, all: readonly Feature[]): void {
  const source = from.type === 'source' ? from : from.label.of;
  if (source.corrections !== true || all.every(({ windowMs }) => windowMs < EVER_MS)) return;
  throw new TypeError(
    `Group '${group}': a window over 'ever' of '${source.name}', which takes corrections, would keep every event of a key; ` +
      `the longest window is 400d`,
  );
}

/** What is the same in two features that have the same value. */
export function identityOf(feature: Feature): string {
  return canonicalJson({ ...feature, name: undefined });
}

/** The place that a field of an expression names among a group's features and parts. */
export function placeOfField(field: string): number | undefined {
  return field.startsWith('#') ? Number(field.slice(1)) : undefined;
}

/** Fields of the event being decided that an expression of a group uses. */
export function candidateFields(feature: Feature): string[] {
  if (feature.expression === undefined) return [];
  return fieldsOf(feature.expression).filter(
    (field) => placeOfField(field) === undefined && field !== AS_OF_FIELD,
  );
}

function fieldsOf(node: ExpressionNode): string[] {
  if (node.op === 'field') return [node.name];
  return node.op === 'call' ? node.arguments.flatMap((argument) => fieldsOf(argument)) : [];
}

/** The expression with fields `#<place>` for its aggregates. */
function resolve(
  node: ExpressionNode,
  placeOf: (spec: AggregateSpec, window: Window) => number,
): ExpressionNode {
  if (node.op === 'aggregate')
    return { op: 'field', name: `#${String(placeOf(node.spec, node.window))}`, type: node.type };
  if (node.op !== 'call') return node;
  return { ...node, arguments: node.arguments.map((argument) => resolve(argument, placeOf)) };
}

/** Throws a TypeError when the expression is not one over the fields of an event alone. */
function assertOfEvents(group: string, node: ExpressionNode): void {
  const other = beyondEvent(node);
  if (other === undefined) return;
  throw new TypeError(
    `Group '${group}': what is aggregated, and filters, are of an event's fields; got ${other}`,
  );
}

function expand(
  group: string,
  label: string,
  item: AggregateSpec,
  window: Window,
  hop: 'exact' | Duration | undefined,
): Feature[] {
  for (const node of [item.input, item.filter]) if (node !== undefined) assertOfEvents(group, node);
  if (window === 'ever' && hop === 'exact') {
    throw new TypeError(
      `Group '${group}': a window over 'ever' needs tiles; hop: 'exact' would keep every event of a key`,
    );
  }
  const windowMs = window === 'ever' ? EVER_MS : durationMs(window);
  const decimals = item.input === undefined ? 0 : (decimalsOf(item.input) ?? 0);
  const values = valuesOf(item);
  const several = values > 1 || item.parameters?.size !== undefined;
  return Array.from({ length: values }, (_, rank) => ({
    name: `${label}_${window}${several ? `_${String(rank + 1)}` : ''}`,
    kind: item.kind,
    ...inputOf(item, rank),
    decimals,
    windowMs,
    hopMs: hop === 'exact' ? 0 : window === 'ever' ? EVER_MS : hopMs(group, windowMs, hop),
    ...(item.fallback === undefined ? {} : { fallback: item.fallback }),
    ...(item.filter === undefined ? {} : { filter: item.filter }),
    ...(item.parameters === undefined ? {} : { parameters: item.parameters }),
    ...(several && item.input?.type !== 'embedding' ? { rank } : {}),
    ...(item.ttlMs === undefined ? {} : { ttlMs: item.ttlMs }),
  }));
}

/** The input of a value: of an embedding each value has an element. */
function inputOf({ input }: AggregateSpec, rank: number): Pick<Feature, 'input' | 'inputType'> {
  if (input === undefined) return { inputType: 'number' };
  if (input.type !== 'embedding') return { input, inputType: input.type };
  const index: ExpressionNode = { op: 'literal', value: rank, type: 'number' };
  return {
    input: { op: 'call', operator: 'element', type: 'number', arguments: [input, index] },
    inputType: 'number',
  };
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
