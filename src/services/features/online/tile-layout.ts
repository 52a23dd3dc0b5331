import type { GroupPlan } from '../plan.ts';

/** Columns of a tile: its start, its events, then what the inputs need of the usual statistics, then the slots. */
export const START = 0;
export const EVENTS = 1;
const INPUTS = 2;

/** Columns of one input's usual statistics; -1 for what no feature of the group asks for. */
export interface InputLayout {
  /** Values that are not null. */
  readonly count: number;
  readonly sum: number;
  /** What rounding took from the sum. */
  readonly rest: number;
  readonly minimum: number;
  readonly maximum: number;
  /** The latest value, its time and its place. */
  readonly latest: number;
  readonly time: number;
  readonly sequence: number;
}

export interface TileLayout {
  /** float64 columns of a tile, without those of slots. */
  readonly columns: number;
  /** By input; undefined for one that has no usual statistics. */
  readonly inputs: readonly (InputLayout | undefined)[];
}

/** Columns for what the group's features ask for, and no more: the tiles of a count have two, not ten. */
export function layoutOf(plan: GroupPlan): TileLayout {
  let columns = INPUTS;
  const take = (isNeeded: boolean): number => {
    columns += isNeeded ? 1 : 0;
    return isNeeded ? columns - 1 : -1;
  };
  const inputs = plan.inputs.map((_, input): InputLayout | undefined => {
    const reads = plan.usualReads.filter((read) => read.input === input);
    if (reads.length === 0) return undefined;
    const own = reads.flatMap((read) => read.features).filter((item) => item.input === input);
    const asks = (...kinds: readonly string[]): boolean =>
      own.some(({ feature }) => kinds.includes(feature.kind));
    const isSummed = asks('sum', 'mean');
    const isLast = asks('last');
    return {
      count: take(true),
      sum: take(isSummed),
      rest: take(isSummed),
      minimum: take(asks('min')),
      maximum: take(asks('max')),
      latest: take(isLast),
      time: take(isLast || own.some(({ feature }) => feature.ttlMs !== undefined)),
      sequence: take(isLast),
    };
  });
  return { columns, inputs };
}

/** Makes the statistics of no value. */
export function openInput(values: Float64Array, tile: number, layout: InputLayout): void {
  if (layout.minimum >= 0) values[tile + layout.minimum] = Number.POSITIVE_INFINITY;
  if (layout.maximum >= 0) values[tile + layout.maximum] = Number.NEGATIVE_INFINITY;
  if (layout.time >= 0) values[tile + layout.time] = Number.NEGATIVE_INFINITY;
  if (layout.sequence >= 0) values[tile + layout.sequence] = Number.NEGATIVE_INFINITY;
}

/** One value, which is not null, into the statistics of a tile. */
export function addToInput(
  values: Float64Array,
  tile: number,
  layout: InputLayout,
  value: number,
  time: number,
  sequence: number,
): void {
  values[tile + layout.count] = (values[tile + layout.count] ?? 0) + 1;
  if (layout.sum >= 0) {
    const sum = values[tile + layout.sum] ?? 0;
    const total = sum + value;
    const rest = Math.abs(sum) >= Math.abs(value) ? sum - total + value : value - total + sum;
    values[tile + layout.sum] = total;
    // What rounding took from the sum, as the accumulator has it.
    values[tile + layout.rest] = (values[tile + layout.rest] ?? 0) + rest;
  }
  if (layout.minimum >= 0 && value < (values[tile + layout.minimum] ?? 0))
    values[tile + layout.minimum] = value;
  if (layout.maximum >= 0 && value > (values[tile + layout.maximum] ?? 0))
    values[tile + layout.maximum] = value;
  if (layout.time < 0) return;
  const latest = values[tile + layout.time] ?? 0;
  if (layout.latest < 0) {
    if (time > latest) values[tile + layout.time] = time;
  } else if (time > latest || (time === latest && sequence > (values[tile + layout.sequence] ?? 0))) {
    values[tile + layout.latest] = value;
    values[tile + layout.time] = time;
    values[tile + layout.sequence] = sequence;
  }
}
