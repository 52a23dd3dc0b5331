import type { FeaturePlan } from '../plan.ts';
import { emptyValue, isStale } from './aggregators/index.ts';

/**
 * Statistics of one input over one window. All of them are merged in the same order by both readers of online state, and
 * nothing is ever subtracted.
 */
export class Accumulator {
  /** Events. */
  events = 0;
  /** Non-null values. */
  count = 0;
  sum = 0;
  /** What rounding took from `sum` (Neumaier 1974); 0 for whole numbers. */
  rest = 0;
  minimum = Number.POSITIVE_INFINITY;
  maximum = Number.NEGATIVE_INFINITY;
  latest = Number.NaN;
  latestTime = Number.NEGATIVE_INFINITY;
  latestSequence = Number.NEGATIVE_INFINITY;

  reset(): void {
    this.events = 0;
    this.count = 0;
    this.sum = 0;
    this.rest = 0;
    this.minimum = Number.POSITIVE_INFINITY;
    this.maximum = Number.NEGATIVE_INFINITY;
    this.latest = Number.NaN;
    this.latestTime = Number.NEGATIVE_INFINITY;
    this.latestSequence = Number.NEGATIVE_INFINITY;
  }

  /** One event; NaN is a null input. */
  add(value: number, time: number, sequence: number): void {
    this.events += 1;
    if (Number.isNaN(value)) return;
    this.count += 1;
    this.addSum(value);
    if (value < this.minimum) this.minimum = value;
    if (value > this.maximum) this.maximum = value;
    if (time > this.latestTime || (time === this.latestTime && sequence > this.latestSequence)) {
      this.latest = value;
      this.latestTime = time;
      this.latestSequence = sequence;
    }
  }

  addSum(value: number): void {
    const total = this.sum + value;
    this.rest += Math.abs(this.sum) >= Math.abs(value) ? this.sum - total + value : value - total + this.sum;
    this.sum = total;
  }
}

/** The feature's value: null over an empty window, money in its main unit, never NaN. */
export function finish(plan: FeaturePlan, accumulator: Accumulator, asOf: number): number | null {
  const { feature, unit } = plan;
  if (isStale(feature, accumulator.latestTime, asOf)) return emptyValue(feature);
  if (feature.kind === 'count') return plan.input < 0 ? accumulator.events : accumulator.count;
  if (accumulator.count === 0) return emptyValue(feature);
  const value = finishValue(feature.kind, accumulator) / unit;
  // Sums of very large numbers can pass what a float64 holds.
  return Number.isFinite(value) ? value : (feature.fallback ?? null);
}

function finishValue(kind: FeaturePlan['feature']['kind'], accumulator: Accumulator): number {
  switch (kind) {
    case 'sum':
      return accumulator.sum + accumulator.rest;
    case 'mean':
      return (accumulator.sum + accumulator.rest) / accumulator.count;
    case 'min':
      return accumulator.minimum;
    case 'max':
      return accumulator.maximum;
    case 'last':
      return accumulator.latest;
    case 'count':
    case 'variance':
    case 'std':
    case 'first':
    case 'firstK':
    case 'lastK':
    case 'histogram':
    case 'distinct':
    case 'topK':
    case 'percentile':
    case 'expression':
      throw new TypeError(`${kind} does not come from the usual statistics`);
  }
}

/** An input as a number for accumulation: a boolean as 0 or 1, null as NaN. */
export function inputNumber(value: number | boolean | string | null): number {
  return value === null ? Number.NaN : Number(value);
}
