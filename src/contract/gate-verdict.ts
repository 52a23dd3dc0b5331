import { gateBoundText, gateMeasureText } from '../define/index.ts';
import type { GateVerdict } from './routes/train.ts';

/** What a verdict says of its value: `0.72 where sex is F (130 rows)`. `digits` writes a number. Default: all of it. */
export function gateValueText(verdict: GateVerdict, digits: (value: number) => string = String): string {
  const { value, where, baseline, unmeasured } = verdict;
  if (unmeasured !== undefined) return `not measurable, ${unmeasured}`;
  const slice =
    where === undefined ? '' : ` where ${where.input} is ${where.values} (${String(where.rows)} rows)`;
  const without = baseline === undefined ? '' : `, the baseline is ${digits(baseline)}`;
  return `${digits(value)}${slice}${without}`;
}

/** A verdict that failed, in words: `aucRoc is 0.5, at least 0.9 is asked`. */
export function gateVerdictText(verdict: GateVerdict, digits?: (value: number) => string): string {
  return `${gateMeasureText(verdict)} is ${gateValueText(verdict, digits)}, ${gateBoundText(verdict)} is asked`;
}
