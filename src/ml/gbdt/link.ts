/** What makes an answer of margins: nothing, 1 / (1 + exp(-m)), exp(m) / sum of all exp(m), or exp(m). */
export type Link = 'identity' | 'logistic' | 'softmax' | 'exponential';

/** Margins row after row: `values[row * outputs + output]`. */
export interface MarginRows {
  readonly values: Float64Array;
  readonly outputs: number;
  /** First row to be changed, and the one after the last. */
  readonly start: number;
  readonly end: number;
}

/** @internal Turns margins into answers, in place. Training, prediction and serving all do it here. */
export function applyLink(link: Link, rows: MarginRows): void {
  const { values, outputs } = rows;
  const start = rows.start * outputs;
  const end = rows.end * outputs;
  switch (link) {
    case 'identity':
      return;
    case 'logistic':
      for (let at = start; at < end; at += 1) values[at] = 1 / (1 + Math.exp(-(values[at] as number)));
      return;
    case 'exponential':
      for (let at = start; at < end; at += 1) values[at] = Math.exp(values[at] as number);
      return;
    case 'softmax':
      for (let at = start; at < end; at += outputs) softmax(values, at, at + outputs);
  }
}

/** Less the largest margin, which changes nothing but keeps every exponential within 1. */
function softmax(values: Float64Array, start: number, end: number): void {
  let largest = values[start] as number;
  for (let at = start + 1; at < end; at += 1) largest = Math.max(largest, values[at] as number);
  let total = 0;
  for (let at = start; at < end; at += 1) {
    const part = Math.exp((values[at] as number) - largest);
    values[at] = part;
    total += part;
  }
  for (let at = start; at < end; at += 1) values[at] = (values[at] as number) / total;
}
