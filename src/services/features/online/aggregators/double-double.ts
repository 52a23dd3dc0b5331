/*
 * Numbers of 106 bits, each as two float64 columns: a value and what rounding took from it (Dekker 1971). Sums of whole numbers
 * below 2^100 are exact in them, and so do not depend on their order.
 */

/** 2^27 + 1: splits a float64 into two halves of 26 bits. */
const SPLITTER = 134_217_729;

/** Adds (high, low) to the number at `at`. */
export function addTo(values: Float64Array, at: number, high: number, low: number): void {
  const a = values[at] ?? 0;
  const b = values[at + 1] ?? 0;
  const sum = a + high;
  const part = sum - a;
  const rests = b + low;
  const restPart = rests - b;
  const rest = a - (sum - part) + (high - part) + rests;
  const upper = sum + rest;
  const lower = rest - (upper - sum) + (b - (rests - restPart) + (low - restPart));
  values[at] = upper + lower;
  values[at + 1] = lower - ((values[at] ?? 0) - upper);
}

/** What rounding takes from the product of two float64 numbers below 1e150 in magnitude. */
export function productRest(a: number, b: number): number {
  const product = a * b;
  const aHigh = a * SPLITTER - (a * SPLITTER - a);
  const bHigh = b * SPLITTER - (b * SPLITTER - b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}
