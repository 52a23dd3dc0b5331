/**
 * A place in a source's log is one number that orders like (partition, offset): `partition * 2^44 + offset`. Both engines
 * break ties by it.
 */
export const PARTITION_FACTOR: number = 2 ** 44;

/** Most partitions of a source: a place must stay an exact integer. */
export const PARTITIONS_MAX = 512;

export function placeOf(partition: number, offset: number): number {
  return partition * PARTITION_FACTOR + offset;
}

/** The place of a row of the archive, as SQL. */
export const PLACE_SQL: string = `(_partition * ${String(PARTITION_FACTOR)} + _offset)`;
