export const DAY_MS = 86_400_000;

/** The instant in ISO 8601, to the second where it is a whole one. */
export function instant(time: number): string {
  return new Date(time).toISOString().replace('.000Z', 'Z');
}

/** The day in UTC, such as `2018-04-01`. */
export function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
