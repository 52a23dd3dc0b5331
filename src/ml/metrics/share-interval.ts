import { normalQuantile } from './bootstrap/normal.ts';

/** Where the share of a large population lies, given that of a sample. */
export interface ShareInterval {
  readonly lower: number;
  readonly upper: number;
}

/**
 * The score interval of a share of independent rows (Wilson, "Probable inference, the law of succession, and statistical inference",
 * 1927). Unlike a bootstrap it does not shrink to a point where all rows, or none, are hits: of 40 hits in 40 rows the lower end
 * is 0.912, not 1.
 *
 * @param hits from 0 to `rows`; both may be sums of weights
 * @param rows above 0
 * @param level share of such intervals that hold the truth, between 0 and 1. Default 0.95.
 * @throws RangeError on anything else.
 */
export function shareInterval(hits: number, rows: number, level: number = 0.95): ShareInterval {
  if (!(rows > 0 && rows < Infinity && hits >= 0 && hits <= rows)) {
    throw new RangeError(`A share needs hits from 0 to a number of rows above 0, not ${hits} of ${rows}`);
  }
  if (!(level > 0 && level < 1)) throw new RangeError(`The level must be between 0 and 1, not ${level}`);
  const share = hits / rows;
  const z = normalQuantile(1 - (1 - level) / 2);
  const square = z ** 2 / rows;
  const middle = (share + square / 2) / (1 + square);
  const reach = (z / (1 + square)) * Math.sqrt((share * (1 - share) + square / 4) / rows);
  // Rounding must not leave the true end a hair inside.
  return {
    lower: hits === 0 ? 0 : Math.max(0, middle - reach),
    upper: hits === rows ? 1 : Math.min(1, middle + reach),
  };
}
