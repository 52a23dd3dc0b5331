import { PlatformError } from '../../../contract/errors.ts';
import type { Tables, Topic, TopicOptions } from '../../../runtime/ports/index.ts';
import { batchTable, createBatchTable, createSegment, segmentTable } from './schema.ts';

const PARTITIONS_MAX = 1_024;
const NAME_LENGTH_MAX = 200;
/**
 * First half of the advisory lock under which a topic's tables are made and dropped; the second half is its
 * id.
 */
const LOCK_CLASS = 1_952_542_308;

/** A topic with what this process knows about it. */
export interface KnownTopic extends Topic {
  readonly id: number;
  /** The newest day, since 1970-01-01, whose segment and whose next day's segment are known to exist. */
  segmentsUntil: number;
}

/** Topics and the tables they live in. Topics never change, so what was found once is kept. */
export class Topics {
  readonly #tables: Tables;
  readonly #known = new Map<string, KnownTopic>();

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** The topic if this process has met it before. */
  known(name: string): KnownTopic | undefined {
    return this.#known.get(name);
  }

  /** Rejects with TOPIC_NOT_FOUND. */
  async find(name: string): Promise<KnownTopic> {
    const known = this.#known.get(name) ?? (await this.#load(this.#tables, name));
    if (known === undefined) {
      throw new PlatformError('TOPIC_NOT_FOUND', `The event log has no topic ${JSON.stringify(name)}`, {
        details: { topic: name },
      });
    }
    return known;
  }

  async create(name: string, options: TopicOptions): Promise<KnownTopic> {
    const { partitions } = options;
    if (name === '' || name.length > NAME_LENGTH_MAX || name.includes('\0')) {
      throw new PlatformError('BAD_REQUEST', `A topic's name has 1 to ${NAME_LENGTH_MAX} characters`);
    }
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
      throw new PlatformError(
        'BAD_REQUEST',
        `A topic has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`,
      );
    }
    const topic = (await this.#load(this.#tables, name)) ?? (await this.#make(name, partitions));
    if (topic.partitions !== partitions) {
      throw new PlatformError(
        'CONFLICT',
        `Topic ${name} has ${topic.partitions} partitions, not ${partitions}: their number is fixed, use a new topic`,
        { details: { topic: name, partitions: topic.partitions } },
      );
    }
    return topic;
  }

  /** Makes the segments of the database's today and tomorrow when they are missing. */
  async ensureSegments(topic: KnownTopic): Promise<void> {
    const today = await this.#tables.transaction(async (tx) => {
      await lockSegments(tx, topic.id);
      return makeSegments(tx, topic.id);
    });
    topic.segmentsUntil = Math.max(topic.segmentsUntil, today);
  }

  async #load(tables: Tables, name: string): Promise<KnownTopic | undefined> {
    const rows = await tables.query<{ id: number; partitions: number }>(
      'select id, partitions from tandem_log_topic where name = $1',
      [name],
    );
    const row = rows[0];
    if (row === undefined) return undefined;
    return this.#remember({ id: row.id, name, partitions: row.partitions, segmentsUntil: 0 });
  }

  async #make(name: string, partitions: number): Promise<KnownTopic> {
    await this.#tables.transaction(async (tx) => {
      // The name's unique index makes a second maker wait here, and then do nothing.
      const rows = await tx.query<{ id: number }>(
        'insert into tandem_log_topic (name, partitions) values ($1, $2) on conflict (name) do nothing returning id',
        [name, partitions],
      );
      const id = rows[0]?.id;
      if (id === undefined) return;
      await tx.query(createBatchTable(id));
      await makeSegments(tx, id);
      await tx.query(
        `insert into tandem_log_head (topic, part, day)
         select $1, part, (clock_timestamp() at time zone 'utc')::date from generate_series(0, $2::int - 1) part`,
        [id, partitions],
      );
    });
    const made = await this.#load(this.#tables, name);
    if (made === undefined) throw new Error(`Topic ${name} was made but is not there`);
    return made;
  }

  #remember(topic: KnownTopic): KnownTopic {
    const known = this.#known.get(topic.name);
    if (known !== undefined) return known;
    this.#known.set(topic.name, topic);
    return topic;
  }
}

/** Until the end of the transaction nobody else makes or drops segments of the topic. */
export async function lockSegments(tx: Tables, topic: number): Promise<void> {
  await tx.query('select pg_advisory_xact_lock($1, $2)', [LOCK_CLASS, topic]);
}

/** Makes the segments of today and tomorrow that are missing. Returns today. */
async function makeSegments(tx: Tables, topic: number): Promise<number> {
  const rows = await tx.query<{ today: number }>(
    `select (clock_timestamp() at time zone 'utc')::date - date '1970-01-01' as today`,
  );
  const today = rows[0]?.today ?? 0;
  for (const day of [today, today + 1]) {
    const name = segmentTable(topic, day);
    const found = await tx.query<{ made: boolean }>('select to_regclass($1) is not null as made', [name]);
    if (found[0]?.made !== true) await tx.query(createSegment(topic, day));
  }
  return today;
}

/** Days, since 1970-01-01, that have a segment, oldest first. */
export async function segmentDays(tables: Tables, topic: number): Promise<number[]> {
  const rows = await tables.query<{ name: string }>(
    `select child.relname as name from pg_inherits
     join pg_class child on child.oid = inhrelid
     where inhparent = to_regclass($1) order by 1`,
    [batchTable(topic)],
  );
  return rows.flatMap(({ name }) => {
    const match = /_(\d{4})(\d{2})(\d{2})$/.exec(name);
    return match === null
      ? []
      : [Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3])) / 86_400_000];
  });
}
