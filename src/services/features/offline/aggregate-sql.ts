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

/** What is aggregated over the pairs of a row and its events: each expression once, however many features use it. */
export class Totals {
  readonly #closed: 'left' | 'right';
  readonly #names = new Map<string, string>();

  constructor(closed: 'left' | 'right') {
    this.#closed = closed;
  }

  /** Expressions with their names. */
  get columns(): string[] {
    return [...this.#names].map(([sql, name]) => `${sql} as ${name}`);
  }

  /** The column with an aggregate over the events of the feature's window for which `condition` is true too. */
  column(plan: FeaturePlan, aggregate: string, condition?: string): string {
    const also = condition === undefined ? '' : ` and ${condition}`;
    const sql = `${aggregate} filter (where ${this.#inside(plan.feature)}${also})`;
    const name = this.#names.get(sql) ?? `_total_${String(this.#names.size)}`;
    this.#names.set(sql, name);
    return name;
  }

  /** Whether an event lies in the window; its right edge is cut by the join. */
  #inside({ windowMs, hopMs }: Feature): string {
    const from = `(_as_of - ${String(windowMs)})`;
    const hop = String(hopMs);
    const edge = hopMs === 0 ? from : `${from} - (((${from} % ${hop}) + ${hop}) % ${hop})`;
    return `_at ${this.#closed === 'right' ? '>' : '>='} ${edge}`;
  }
}

/** A feature's value as SQL over its totals and the columns of table q: fallbacks, time to live, money in its main unit. */
export function valueSql(plan: FeaturePlan, totals: Totals): string {
  const { feature } = plan;
  const input = `input_${String(plan.input)}`;
  const count = `coalesce(${totals.column(plan, plan.input < 0 ? 'count(*)' : `count(${input})`)}, 0)`;
  const ttl = feature.ttlMs;
  const newest = ttl === undefined ? '' : totals.column(plan, 'max(_at)', `${input} is not null`);
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
  const total = (aggregate: string, condition?: string): string => totals.column(plan, aggregate, condition);
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
      return number(total(`${feature.kind}(${input})`));
    case 'variance':
      return `(${varianceSql(plan, totals, input, count)} / ${unit} / ${unit})`;
    case 'std':
      return `(sqrt(${varianceSql(plan, totals, input, count)}) / ${unit})`;
    case 'first':
      return number(total(`arg_min(${input}, ${ORDER})`, present));
    case 'last':
      return number(total(`arg_max(${input}, ${ORDER})`, present));
    case 'firstK':
      return number(`${total(`arg_min(${input}, ${ORDER}, ${size})`, present)}[${String(rank + 1)}]`);
    case 'lastK':
      return number(`${total(`arg_max(${input}, ${ORDER}, ${size})`, present)}[${String(rank + 1)}]`);
    case 'histogram':
      return `${total('count(*)', bucketSql(plan, input))}::double`;
    case 'distinct':
    case 'topK':
    case 'percentile':
    case 'expression':
      throw new TypeError(`${feature.kind} is not computed by SQL`);
  }
}

function sumSql(plan: FeaturePlan, totals: Totals, input: string): string {
  if (plan.whole) return totals.column(plan, `sum(${input})`);
  return floatSumSql(input, (aggregate) => totals.column(plan, aggregate));
}

/**
 * The sum of squares about the mean, corrected by what the mean was rounded by (two passes). Values are taken in the order of their
 * size, so that the last digits do not depend on the order of the rows.
 */
function varianceSql(plan: FeaturePlan, totals: Totals, input: string, count: string): string {
  const list = `list_sort(${totals.column(plan, `list(${input}::double)`, `${input} is not null`)})`;
  const sum = floatSumSql(`${input}::double`, (aggregate) => totals.column(plan, aggregate));
  const mean = `(${sum} / ${count})`;
  const largest = totals.column(plan, `max(abs(${input}::double))`);
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
