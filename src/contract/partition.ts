/**
 * The partition of a key: 32-bit FNV-1a over its UTF-16 code units (low byte, then high byte), finished with the
 * murmur3 mixer, modulo the number of partitions. It never changes: a key always maps to the same partition.
 */
export function partitionOf(key: string, partitions: number): number {
  return keyHash(key) % partitions;
}

/** The 32-bit hash under {@link partitionOf}, as an unsigned number. */
export function keyHash(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    const unit = key.charCodeAt(index);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash >>> 0;
}

/** The topic of the event log that holds a source's events. */
export function sourceTopic(source: string): string {
  return `source.${source}`;
}

/** The topic that holds the receipts of vectors that were read with `record: true`. */
export function servedTopic(vector: string): string {
  return `served.${vector}`;
}

/**
 * State partitions: the keys of feature groups are cut into so many parts, each kept by one features replica at a time. Most
 * replicas that can share the work. Fixed for the life of an installation: snapshots and served positions go by it.
 */
export const STATE_PARTITIONS = 16;

/** Partitions of every source's topic. Fixed for the life of an installation: keys are mapped by it. */
export const SOURCE_PARTITIONS = 8;
