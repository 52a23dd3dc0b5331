/** A length of time as a team writes it: a whole number and a unit (`ms`, `s`, `m`, `h`, `d`, `w`), for example `'7d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The longest duration a definition may use: 400 days, in milliseconds. */
export const DURATION_MS_MAX: number = 400 * 86_400_000;

/** Milliseconds of a duration. Throws a TypeError that says what was expected and what came. */
export function durationMs(duration: Duration): number {
  const match = /^(\d{1,15})(ms|s|m|h|d|w)$/.exec(duration);
  const unit = match?.[2] === undefined ? undefined : UNIT_MS[match[2]];
  const value = Number(match?.[1]);
  if (unit === undefined || value <= 0 || value * unit > DURATION_MS_MAX) {
    throw new TypeError(
      `A duration is a whole number above 0 and one of ms, s, m, h, d, w (like '7d'), at most 400d; got '${duration}'`,
    );
  }
  return value * unit;
}
