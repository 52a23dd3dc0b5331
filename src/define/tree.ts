import type { Duration } from './duration.ts';

/**
 * Types of values in expressions. `money` is a whole number of the smallest unit, `timestamp` milliseconds UTC, `embedding`
 * a vector of numbers, which only aggregates take.
 */
export type ValueType = 'number' | 'money' | 'boolean' | 'string' | 'timestamp' | 'embedding';

/** The functions of the expression language. Each is defined once here and once in SQL, and both are tested as equal. */
export type Operator =
  | 'add'
  | 'subtract'
  | 'multiply'
  | 'divide'
  | 'greater'
  | 'greaterOrEqual'
  | 'less'
  | 'lessOrEqual'
  | 'equal'
  | 'and'
  | 'or'
  | 'not'
  | 'ifNull'
  | 'toNumber'
  | 'hourOfDay'
  | 'dayOfWeek'
  | 'absolute'
  | 'code'
  | 'category'
  | 'element';

/** An expression as data: what is hashed, sent, and compiled to JavaScript and SQL. */
export type ExpressionNode =
  | {
      readonly op: 'field';
      readonly name: string;
      readonly type: ValueType;
      readonly decimals?: number;
      /** Of an embedding. */
      readonly length?: number;
    }
  | { readonly op: 'literal'; readonly value: number | boolean | string; readonly type: ValueType }
  | {
      readonly op: 'call';
      readonly operator: Operator;
      readonly type: ValueType;
      readonly arguments: readonly ExpressionNode[];
      readonly decimals?: number;
    }
  | {
      /** An aggregate's value. A group replaces it by a field that names its part: engines never see it. */
      readonly op: 'aggregate';
      readonly spec: AggregateSpec;
      readonly window: Window;
      readonly type: ValueType;
    };

export type AggregateKind =
  | 'count'
  | 'sum'
  | 'mean'
  | 'min'
  | 'max'
  | 'variance'
  | 'std'
  | 'first'
  | 'last'
  | 'firstK'
  | 'lastK'
  | 'histogram'
  | 'distinct'
  | 'topK'
  | 'percentile';

/** How far back an aggregate sees: a length of time, or `'ever'` for all there was, which exact groups do not keep. */
export type Window = Duration | 'ever';

/** What some kinds need to know beside their input. */
export interface AggregateParameters {
  /** Of `firstK`, `lastK` and `topK`: number of values. */
  readonly size?: number;
  /** Of `histogram`: the bounds between its buckets, ascending; of money in the smallest unit. */
  readonly bounds?: readonly number[];
  /** Of `topK`: what is answered. */
  readonly of?: 'counts' | 'values';
  /** Of `distinct`: counted exactly up to so many. Of `topK`: a window with more different values has no answer. */
  readonly limit?: number;
  /** Of `percentile`: the part of the values that lies below, 0 to 1. */
  readonly quantile?: number;
  /** Of `percentile`: largest relative error. */
  readonly accuracy?: number;
}

/** An aggregate without its windows, as data. */
export interface AggregateSpec {
  readonly kind: AggregateKind;
  /** What is aggregated; absent for `count`. */
  readonly input?: ExpressionNode;
  /** Only events for which it is true are counted in. */
  readonly filter?: ExpressionNode;
  readonly parameters?: AggregateParameters;
  readonly ttlMs?: number;
  readonly fallback?: number;
}
