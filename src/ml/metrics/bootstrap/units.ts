/** Strata of one bootstrap. Labels with more values than this are measurements, not classes. */
export const STRATA_MAX = 1000;

/** @internal What is drawn as a whole, and what it is drawn from. */
export interface Units {
  /** Number of units: rows, or groups of rows. */
  readonly count: number;
  /** Unit of each row. */
  readonly unitOf: Int32Array;
  /** The units of each stratum. Every resample draws as many from each as it has. */
  readonly strata: readonly Int32Array[];
}

/**
 * @internal Forms the units of a bootstrap: rows, or the groups if there are any; all in one stratum, or
 * stratified by the label of a row. A group may hold several labels: its stratum is the SET of labels that it
 * holds, so that every label of the data is in every resample here too.
 *
 * @throws RangeError when there are more than {@link STRATA_MAX} strata.
 */
export function formUnits(
  labels: Float64Array,
  groups: ArrayLike<number | string> | undefined,
  stratified: boolean,
): Units {
  const unitOf = new Int32Array(labels.length);
  const unitOfGroup = new Map<number | string, number>();
  for (let row = 0; row < labels.length; row += 1) {
    unitOf[row] = groups === undefined ? row : numberOf(unitOfGroup, groups[row] as number | string);
  }
  const count = groups === undefined ? labels.length : unitOfGroup.size;
  if (!stratified) return { count, unitOf, strata: [Int32Array.from({ length: count }, (_, unit) => unit)] };
  const labelsOf = Array.from({ length: count }, () => new Set<number>());
  for (let row = 0; row < labels.length; row += 1) {
    (labelsOf[unitOf[row] as number] as Set<number>).add(labels[row] as number);
  }
  const members = new Map<string, number[]>();
  labelsOf.forEach((held, unit) => {
    const key = [...held].sort((a, b) => a - b).join(' ');
    const stratum = members.get(key);
    if (stratum === undefined) members.set(key, [unit]);
    else stratum.push(unit);
  });
  if (members.size > STRATA_MAX) {
    throw new RangeError(
      `The labels make ${members.size} strata, ${STRATA_MAX} at most: labels that are measurements need ` +
        '`stratified: false`',
    );
  }
  return { count, unitOf, strata: [...members.values()].map((stratum) => Int32Array.from(stratum)) };
}

/** The number of a key, counted from 0 by first sight. */
function numberOf<TKey>(seen: Map<TKey, number>, key: TKey): number {
  const known = seen.get(key);
  if (known !== undefined) return known;
  seen.set(key, seen.size);
  return seen.size - 1;
}
