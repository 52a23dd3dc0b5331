/** Runs of this length are sorted by insertion, which is fast where little is out of place. */
const RUN = 16;

/** Room to sort in: arrays of at least as many entries as there are rows. */
export interface SortingRoom {
  readonly rows: Int32Array;
  readonly keys: Float64Array;
}

/**
 * @internal Sorts rows by their margin, the largest first and equal ones by their number, in place, and writes their margins in this order
 * into `keys`. From one round of training to the next little changes places, and an order that is nearly right costs little more than a look.
 *
 * @param margins by row
 */
export function sortByMargin(
  rows: Int32Array,
  keys: Float64Array,
  { margins, room }: { readonly margins: Float64Array; readonly room: SortingRoom },
): void {
  const { length } = rows;
  for (let place = 0; place < length; place += 1) keys[place] = margins[rows[place] as number] as number;
  for (let start = 0; start < length; start += RUN)
    insert(rows, keys, { start, end: Math.min(length, start + RUN) });
  for (let width = RUN; width < length; width *= 2) {
    for (let start = 0; start + width < length; start += 2 * width) {
      const range = { start, middle: start + width, end: Math.min(length, start + 2 * width) };
      merge(rows, keys, { ...range, room });
    }
  }
}

/** Sorts a range by insertion. */
function insert(
  rows: Int32Array,
  keys: Float64Array,
  { start, end }: { readonly start: number; readonly end: number },
): void {
  for (let next = start + 1; next < end; next += 1) {
    const row = rows[next] as number;
    const key = keys[next] as number;
    let place = next;
    for (; place > start; place -= 1) {
      const before = keys[place - 1] as number;
      if (!(key > before || (key === before && row < (rows[place - 1] as number)))) break;
      keys[place] = before;
      rows[place] = rows[place - 1] as number;
    }
    keys[place] = key;
    rows[place] = row;
  }
}

/** Merges two neighbouring ranges that are sorted. */
function merge(
  rows: Int32Array,
  keys: Float64Array,
  given: {
    readonly start: number;
    readonly middle: number;
    readonly end: number;
    readonly room: SortingRoom;
  },
): void {
  const { start, middle, end, room } = given;
  const last = keys[middle - 1] as number;
  const first = keys[middle] as number;
  if (last > first || (last === first && (rows[middle - 1] as number) < (rows[middle] as number))) return;
  const length = middle - start;
  for (let at = 0; at < length; at += 1) {
    room.rows[at] = rows[start + at] as number;
    room.keys[at] = keys[start + at] as number;
  }
  let left = 0;
  let right = middle;
  for (let place = start; left < length; place += 1) {
    const key = room.keys[left] as number;
    const row = room.rows[left] as number;
    const other = keys[right] as number;
    if (right < end && (other > key || (other === key && (rows[right] as number) < row))) {
      keys[place] = other;
      rows[place] = rows[right] as number;
      right += 1;
    } else {
      keys[place] = key;
      rows[place] = row;
      left += 1;
    }
  }
}
