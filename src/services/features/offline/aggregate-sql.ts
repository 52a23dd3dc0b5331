import type { Feature } from '../../../define/index.ts';
import type { FeaturePlan } from '../plan.ts';
import { emptyValue } from '../online/aggregators/index.ts';
import { MOMENT_MAX } from '../online/aggregators/moments.ts';
import { floatSumSql } from './float-sum.ts';

/** How many times a place fits below one millisecond in the order (time, place). */
const TIME_FACTOR = '9007199254740992::hugeint';
const ORDER = `_at::hugeint * ${TIME_FACTOR} + _place::hugeint`;

/** Kinds that only the online class itself computes, offline by replay: their sketches are our own code. */
const REPLAYED: ReadonlySet<Feature['kind']> = new Set(['distinct', 'topK', 'percentile']);

/** Whether a feature or part has no SQL. */
export function isReplayed({ feature }: FeaturePlan): boolean {
  return REPLAYED.has(feature.kind);
}

/** An aggregate function of SQL over the events of a window. */
export interface Call {
  readonly name: 'count' | 'sum' | 'fsum' | 'min' | 'max' | 'arg_min' | 'arg_max' | 'list';
  readonly of: string;
  /** Of `arg_min` and `arg_max`: what they order by, and how many they take where it is not one. */
  readonly by?: string;
  readonly size?: string;
}

/** A call over the events of one window for which `condition` is true too. */
export interface Total {
  readonly column: string;
  readonly call: Call;
  readonly condition: string | undefined;
  readonly window: Pick<Feature, 'windowMs' | 'hopMs'>;
}

/** What is aggregated over the pairs of a row and its events: each expression once, however many features use it. */
export class Totals {
  readonly #closed: 'left' | 'right';
  readonly #totals = new Map<string, Total>();

  constructor(closed: 'left' | 'right') {
    this.#closed = closed;
  }

  get all(): Total[] {
    return [...this.#totals.values()];
  }

  /** The total as SQL over pairs, with its name. */
  sql({ call, condition, window, column }: Total): string {
    const also = condition === undefined ? '' : ` and ${condition}`;
    return `${callSql(call)} filter (where ${this.#inside(window)}${also}) as ${column}`;
  }

  /** The column with an aggregate over the events of the feature's window for which `condition` is true too. */
  column({ feature: { windowMs, hopMs } }: FeaturePlan, call: Call, condition?: string): string {
    const window = { windowMs, hopMs };
    const what = JSON.stringify([call, condition, window]);
    const total = this.#totals.get(what) ?? {
      column: `_total_${String(this.#totals.size)}`,
      call,
      condition,
      window,
    };
    this.#totals.set(what, total);
    return total.column;
  }

  /** Whether an event lies in the window; its right edge is cut by the join. */
  #inside({ windowMs, hopMs }: Total['window']): string {
    const from = `(_as_of - ${String(windowMs)})`;
    const hop = String(hopMs);
    const edge = hopMs === 0 ? from : `${from} - (((${from} % ${hop}) + ${hop}) % ${hop})`;
    return `_at ${this.#closed === 'right' ? '>' : '>='} ${edge}`;
  }
}

export function callSql({ name, of, by, size }: Call): string {
  return `${name}(${[of, by, size].filter((part) => part !== undefined).join(', ')})`;
}

/** A feature's value as SQL over its totals and the columns of table q: fallbacks, time to live, money in its main unit. */
export function valueSql(plan: FeaturePlan, totals: Totals): string {
  const { feature } = plan;
  const input = `input_${String(plan.input)}`;
  const count = `coalesce(${totals.column(plan, { name: 'count', of: plan.input < 0 ? '*' : input })}, 0)`;
  const ttl = feature.ttlMs;
  const newest =
    ttl === undefined ? '' : totals.column(plan, { name: 'max', of: '_at' }, `${input} is not null`);
  const isEmpty =
    ttl === undefined ? `${count} = 0` : `${count} = 0 or q.as_of - ${newest} >= ${String(ttl)}`;
  const text = feature.inputType === 'string';
  const empty = literalSql(emptyValue(feature), text);
  const value = presentSql(plan, totals, input, count);
  // What is no finite number is none: sums of very large ones.
  const finite = feature.kind === 'sum' || feature.kind === 'mean' ? finiteSql(plan, value) : value;
  const fallback = literalSql(feature.fallback ?? null, text);
  return `(case when ${isEmpty} then ${empty} else coalesce(${finite}, ${fallback}) end)`;
}

function finiteSql({ whole }: FeaturePlan, value: string): string {
  return whole ? value : `(case when isfinite(${value}) then ${value} end)`;
}

function literalSql(value: number | null, text: boolean): string {
  return value === null ? `null::${text ? 'varchar' : 'double'}` : `${String(value)}::double`;
}

/** The value over at least one event. */
function presentSql(plan: FeaturePlan, totals: Totals, input: string, count: string): string {
  const { feature } = plan;
  const unit = `1e${String(feature.decimals)}`;
  const total = (call: Call, condition?: string): string => totals.column(plan, call, condition);
  const number = (sql: string): string =>
    feature.inputType === 'string' ? sql : `(${sql}::double / ${unit})`;
  const size = String(feature.parameters?.size ?? 1);
  const present = `${input} is not null`;
  const rank = feature.rank ?? 0;
  switch (feature.kind) {
    case 'count':
      return `${count}::double`;
    case 'sum':
      return number(sumSql(plan, totals, input));
    case 'mean':
      return `(${sumSql(plan, totals, input)}::double / ${count}::double / ${unit})`;
    case 'min':
    case 'max':
      return number(total({ name: feature.kind, of: input }));
    case 'variance':
      return `(${varianceSql(plan, totals, input, count)} / ${unit} / ${unit})`;
    case 'std':
      return `(sqrt(${varianceSql(plan, totals, input, count)}) / ${unit})`;
    case 'first':
      return number(total({ name: 'arg_min', of: input, by: ORDER }, present));
    case 'last':
      return number(total({ name: 'arg_max', of: input, by: ORDER }, present));
    case 'firstK':
      return number(
        `${total({ name: 'arg_min', of: input, by: ORDER, size }, present)}[${String(rank + 1)}]`,
      );
    case 'lastK':
      return number(
        `${total({ name: 'arg_max', of: input, by: ORDER, size }, present)}[${String(rank + 1)}]`,
      );
    case 'histogram':
      return `${total({ name: 'count', of: '*' }, bucketSql(plan, input))}::double`;
    case 'distinct':
    case 'topK':
    case 'percentile':
    case 'expression':
      throw new TypeError(`${feature.kind} is not computed by SQL`);
  }
}

function sumSql(plan: FeaturePlan, totals: Totals, input: string): string {
  if (plan.whole) return totals.column(plan, { name: 'sum', of: input });
  return floatSumSql(input, (name, of) => totals.column(plan, { name, of }));
}

/**
 * The sum of squares about the mean, corrected by what the mean was rounded by (two passes). Values are taken in the order of their
 * size, so that the last digits do not depend on the order of the rows.
 */
function varianceSql(plan: FeaturePlan, totals: Totals, input: string, count: string): string {
  const list = `list_sort(${totals.column(plan, { name: 'list', of: `${input}::double` }, `${input} is not null`)})`;
  const sum = floatSumSql(`${input}::double`, (name, of) => totals.column(plan, { name, of }));
  const mean = `(${sum} / ${count})`;
  const largest = totals.column(plan, { name: 'max', of: `abs(${input}::double)` });
  // A list of one element, so that the mean is computed once and not for each value.
  const squares = `list_sum(list_transform(${list}, lambda x: (x - m) * (x - m)))`;
  const rest = `list_sum(list_transform(${list}, lambda x: x - m))`;
  const moment = `(${squares} - ${rest} * ${rest} / ${count}) / ${count}`;
  return `(case when ${largest} <= ${String(MOMENT_MAX)}
    then greatest(0, list_transform([${mean}], lambda m: ${moment})[1]) end)`;
}

/** Whether a value lies in the bucket of this rank. */
function bucketSql({ feature }: FeaturePlan, input: string): string {
  const bounds = feature.parameters?.bounds ?? [];
  const rank = feature.rank ?? 0;
  const type = feature.inputType === 'money' ? 'bigint' : 'double';
  const [low, high] = [bounds[rank - 1], bounds[rank]];
  const conditions = [
    ...(low === undefined ? [] : [`${input} >= ${String(low)}::${type}`]),
    ...(high === undefined ? [] : [`${input} < ${String(high)}::${type}`]),
  ];
  return conditions.join(' and ');
}
