import type pg from 'pg';
import { PlatformError } from '../../../contract/errors.ts';
import type { ConsumerGroups, EventLog, EventLogLimits, Tables } from '../../../runtime/ports/index.ts';
import type { FailPoints } from '../../../runtime/fail-points.ts';
import { translated } from '../failures.ts';
import { Appender } from './append.ts';
import { postgresGroups } from './groups.ts';
import { Reader } from './read.ts';
import { Recent } from './recent.ts';
import { retain } from './retain.ts';
import { Tail } from './tail.ts';
import { type KnownTopic, Topics } from './topics.ts';

/** Limits that hold unless others are given. */
const LOG_LIMITS: EventLogLimits = {
  appendRecordsMax: 10_000,
  recordBytesMax: 1_048_576,
  queuedBytesMax: 64 * 1_048_576,
};

export interface PostgresLogOptions {
  readonly tables: Tables;
  /** Connections that append; as many inserts run at once. */
  readonly writers: pg.Pool;
  readonly writersMax: number;
  /** Connections that read. */
  readonly readers: pg.Pool;
  readonly limits: Partial<EventLogLimits> | undefined;
  readonly failPoints: FailPoints;
}

export interface PostgresLog {
  readonly log: EventLog;
  readonly groups: ConsumerGroups;
  /** Refuses new appends, waits for those under way and ends waiting reads. */
  close(): Promise<void>;
}

/** The ports `EventLog` and `ConsumerGroups` on PostgreSQL. */
export function postgresLog(options: PostgresLogOptions): PostgresLog {
  const { tables } = options;
  const limits = { ...LOG_LIMITS, ...options.limits };
  const topics = new Topics(tables);
  const tail = new Tail(options.readers);
  const recent = new Recent();
  const appender = new Appender(
    options.writers,
    topics,
    limits,
    options.writersMax,
    (topic, appended) => {
      for (const batch of appended) recent.keep(topic.id, batch);
      for (const { partition, base, count } of appended) tail.advance(topic, partition, base + count);
    },
    options.failPoints,
  );
  const reader = new Reader(options.readers, tail, recent);
  const log: EventLog = {
    limits,
    createTopic: async (name, topicOptions) => describe(await topics.create(name, topicOptions)),
    topic: async (name) => describe(await topics.find(name)),
    append(name, partition, records, appendOptions) {
      const topic = topics.known(name);
      // Without a detour for a topic that was met before: this is the hot path.
      if (topic !== undefined && isPartition(topic, partition))
        return appender.append(topic, partition, records, appendOptions?.traceparent);
      return topics.find(name).then((found) => {
        checkPartition(found, partition);
        return appender.append(found, partition, records, appendOptions?.traceparent);
      });
    },
    async read(name, partition, offset, readOptions = {}) {
      const topic = await topics.find(name);
      checkPartition(topic, partition);
      checkRead(offset, readOptions.maxRecords ?? 1);
      return translated(() => reader.read(topic, partition, offset, readOptions));
    },
    ranges: async (name) => translated(async () => reader.ranges(await topics.find(name))),
    async retain(name, before, keepFrom) {
      const topic = await topics.find(name);
      const dropped = await retain(tables, topic, before, keepFrom);
      recent.forget(topic.id);
      return dropped;
    },
  };
  return {
    log,
    groups: postgresGroups(tables, topics),
    async close() {
      tail.close();
      await appender.close();
    },
  };
}

function describe(topic: KnownTopic): { name: string; partitions: number } {
  return { name: topic.name, partitions: topic.partitions };
}

function isPartition(topic: KnownTopic, partition: number): boolean {
  return Number.isInteger(partition) && partition >= 0 && partition < topic.partitions;
}

function checkPartition(topic: KnownTopic, partition: number): void {
  if (isPartition(topic, partition)) return;
  throw new PlatformError(
    'BAD_REQUEST',
    `Topic ${topic.name} has the partitions 0 to ${topic.partitions - 1}, not ${partition}`,
  );
}

function checkRead(offset: number, maxRecords: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new PlatformError('BAD_REQUEST', `An offset is a whole number from 0 on, not ${offset}`);
  }
  if (!Number.isSafeInteger(maxRecords) || maxRecords < 1) {
    throw new PlatformError('BAD_REQUEST', `maxRecords is a whole number from 1 on, not ${maxRecords}`);
  }
}
