import { join } from 'node:path';
import { PlatformError, type Positions, sourceTopic } from '../../contract/index.ts';
import type { Claim, ServiceHost, Tables } from '../../runtime/index.ts';
import { archiveColumns, archiveFilesSql, archiveRow } from './offline/event-tables.ts';
import { literal } from './offline/sql.ts';
import type { FeaturesOptions } from './options.ts';
import type { Plan, SourcePlan } from './plan.ts';

const GROUP = 'features.archive';
/** A process that dies is replaced after this, in milliseconds. */
const LEASE_MS = 10_000;
const READ_RECORDS_MAX = 10_000;
/** A retired file stays for readers that have its name already, for this long. */
const RETIRED_FOR = '15 minutes';
/** Files below this many rows are merged. */
const SMALL_FILE_ROWS = 1_000_000;

/**
 * Copies the log of each source into Parquet files, in the order of the log. A file and the position behind it are
 * committed together, so every record is in exactly one file.
 */
export class Archive {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #plan: Plan;
  readonly #claims = new Map<string, Claim>();
  /** One flush of a source at a time. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(host: ServiceHost<FeaturesOptions>, plan: Plan) {
    this.#host = host;
    this.#plan = plan;
  }

  /** Next offsets that are archived, by partition. */
  positions(source: string): Promise<number[]> {
    return this.#host.groups.positions(sourceTopic(source), GROUP);
  }

  /** Local paths of the source's files. */
  async files(source: string): Promise<string[]> {
    const rows = await this.#host.tables.query<{ digest: string }>(
      'select digest from features_archive_file where source = $1 and retired_at is null order by written_at, digest',
      [source],
    );
    return Promise.all(rows.map((row) => this.#host.objects.path(row.digest)));
  }

  /** Whether every file of the source is still stored. */
  async isWhole(source: string): Promise<boolean> {
    const { tables, objects } = this.#host;
    const rows = await tables.query<{ digest: string }>(
      'select digest from features_archive_file where source = $1 and retired_at is null',
      [source],
    );
    const found = await Promise.all(rows.map((row) => objects.has(row.digest)));
    return found.every(Boolean);
  }

  /** SQL that reads the source's archive; an empty table of the right columns while it has no file. */
  async rowsSql(source: SourcePlan): Promise<string> {
    const files = await this.files(source.source.name);
    const columns = archiveColumns(source.source);
    if (files.length === 0) {
      const types = { int64: 'bigint', float64: 'double', boolean: 'boolean', string: 'varchar' } as const;
      return `(select ${columns.map((item) => `null::${types[item.type]} as "${item.name}"`).join(', ')} where false)`;
    }
    return archiveFilesSql(source.source, `[${files.map((file) => literal(file)).join(', ')}]`);
  }

  /** Archives until everything below `positions` is in files. Rejects with DEADLINE_EXCEEDED after `waitMs`. */
  async reach(positions: Positions, waitMs: number): Promise<void> {
    const deadline = this.#host.clock.monotonic() + waitMs;
    for (const [source, wanted] of Object.entries(positions)) {
      for (;;) {
        const reached = await this.positions(source);
        if (wanted.every((offset, partition) => (reached[partition] ?? 0) >= offset)) break;
        if (this.#host.clock.monotonic() > deadline) {
          throw new PlatformError(
            'DEADLINE_EXCEEDED',
            `The archive of '${source}' did not reach the wanted position`,
            {
              details: { wanted, reached },
            },
          );
        }
        const moved = await this.flush(source);
        // Another process holds the partitions, or held them until a moment ago and died.
        if (moved === 0) await this.#host.clock.sleep(250);
      }
    }
  }

  /** Archives what the log holds now, up to one file. Returns the number of records. */
  async flush(source: string): Promise<number> {
    const plan = this.#plan.sources.get(source);
    if (plan === undefined)
      throw new PlatformError('SOURCE_NOT_FOUND', `The app defines no source '${source}'`);
    const before = this.#turns.get(source) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(() => this.#flushAndShare(plan));
    this.#turns.set(source, turn);
    return turn;
  }

  /** Gives the partitions back, so that another process can go on at once. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#turns.values());
    await Promise.allSettled([...this.#claims.values()].map((claim) => this.#host.groups.release(claim)));
  }

  async #flushAndShare(plan: SourcePlan): Promise<number> {
    try {
      return await this.#flushOnce(plan);
    } finally {
      await this.#share(plan);
    }
  }

  /** Where there are other replicas, each may have to archive at any time: none keeps the claims until they run out. */
  async #share({ source }: SourcePlan): Promise<void> {
    if (this.#host.peers('features').length < 2) return;
    const topic = sourceTopic(source.name);
    const claims = [...this.#claims.values()].filter((claim) => claim.topic === topic);
    for (const claim of claims) this.#claims.delete(claimKey(claim));
    await Promise.allSettled(claims.map((claim) => this.#host.groups.release(claim)));
  }

  async #flushOnce(plan: SourcePlan): Promise<number> {
    const { log, warehouse, objects, tables, groups, metrics, failPoints } = this.#host;
    const source = plan.source.name;
    const topic = sourceTopic(source);
    const claims = await this.#claim(topic, (await log.topic(topic)).partitions);
    const ranges = await log.ranges(topic);
    if (claims.every((claim) => (ranges[claim.partition]?.next ?? 0) <= claim.committed)) return 0;
    await using session = await warehouse.session({ isBackground: true });
    const appender = await session.append('records', archiveColumns(plan.source));
    let records = 0;
    const done: { claim: Claim; offset: number }[] = [];
    const share = Math.ceil(this.#host.options.archiveRecordsMax / Math.max(1, claims.length));
    for (const claim of claims) {
      const until = Math.min(ranges[claim.partition]?.next ?? 0, claim.committed + share);
      let offset = claim.committed;
      while (offset < until) {
        const batches = await log.read(topic, claim.partition, offset, { maxRecords: READ_RECORDS_MAX });
        if (batches.length === 0) break;
        for (const batch of batches) {
          for (let index = Math.max(0, offset - batch.base); index < batch.count; index += 1) {
            const event = plan.records.read(batch, index);
            const place = {
              partition: batch.partition,
              offset: batch.base + index,
              appendedAt: batch.appendedAt,
            };
            if (event !== undefined) appender.row(archiveRow(plan.source, place, event));
          }
          records += batch.base + batch.count - Math.max(offset, batch.base);
          offset = batch.base + batch.count;
        }
        await this.#host.clock.sleep(0);
      }
      if (offset > claim.committed) done.push({ claim, offset });
    }
    await appender.close();
    if (records === 0) return 0;
    const path = join(session.scratch, 'records.parquet');
    await session.run(
      `copy (select * from records order by _partition, _offset) to ${literal(path)} (format parquet, compression zstd)`,
    );
    const file = await objects.putFile(path);
    await failPoints.pass('features.archive.stored');
    await tables.transaction(async (tx) => {
      await insertFile(tx, source, { ...file, rows: records });
      for (const item of done) await groups.commit(item.claim, item.offset, tx);
    });
    await failPoints.pass('features.archive.committed');
    for (const item of done)
      this.#claims.set(claimKey(item.claim), { ...item.claim, committed: item.offset });
    metrics
      .counter('archived_records_total', 'Records copied to Parquet', ['source'])
      .add(records, { source });
    await this.#merge(plan);
    return records;
  }

  /** Claims what is free and renews what this process holds; a claim that was taken over is forgotten. */
  async #claim(topic: string, partitions: number): Promise<Claim[]> {
    const claims: Claim[] = [];
    for (let partition = 0; partition < partitions; partition += 1) {
      const known = this.#claims.get(claimKey({ topic, partition }));
      const held =
        known !== undefined && (await this.#host.groups.renew(known, LEASE_MS)) ? known : undefined;
      const claim =
        held ?? (await this.#host.groups.claim(topic, GROUP, partition, this.#host.instance, LEASE_MS));
      if (claim === undefined) this.#claims.delete(claimKey({ topic, partition }));
      else {
        this.#claims.set(claimKey(claim), claim);
        claims.push(claim);
      }
    }
    return claims;
  }

  async #merge(plan: SourcePlan): Promise<void> {
    const { tables, warehouse, objects, options, failPoints } = this.#host;
    const source = plan.source.name;
    const small = await tables.query<{ digest: string; rows: number }>(
      `select digest, rows from features_archive_file
       where source = $1 and retired_at is null and rows < $2 order by written_at, digest`,
      [source, SMALL_FILE_ROWS],
    );
    if (small.length > options.archiveFilesMax) {
      await using session = await warehouse.session({ isBackground: true });
      const paths = await Promise.all(small.map((file) => objects.path(file.digest)));
      const path = join(session.scratch, 'merged.parquet');
      const from = archiveFilesSql(plan.source, `[${paths.map((item) => literal(item)).join(', ')}]`);
      await session.run(
        `copy (select * from ${from} order by _partition, _offset) to ${literal(path)} (format parquet, compression zstd)`,
      );
      const merged = await objects.putFile(path);
      await failPoints.pass('features.archive.merged');
      const isDone = await tables
        .transaction(async (tx) => {
          const left = await tx.query(
            `update features_archive_file set retired_at = now()
           where source = $1 and digest = any($2) and retired_at is null returning 1`,
            [source, small.map((file) => file.digest)],
          );
          // Another replica has merged some of them meanwhile: both results together would have rows twice.
          if (left.length < small.length) throw new MergedElsewhere();
          await insertFile(tx, source, { ...merged, rows: small.reduce((sum, file) => sum + file.rows, 0) });
          return true;
        })
        .catch((error: unknown) => {
          if (error instanceof MergedElsewhere) return false;
          throw error;
        });
      if (!isDone) return;
    }
    const retired = await tables.query<{ digest: string }>(
      `delete from features_archive_file where source = $1 and retired_at < now() - interval '${RETIRED_FOR}'
       returning digest`,
      [source],
    );
    for (const file of retired) await objects.remove(file.digest);
  }
}

/** Rolls the merge back. */
class MergedElsewhere extends Error {}

function claimKey(claim: Pick<Claim, 'topic' | 'partition'>): string {
  return `${claim.topic}/${String(claim.partition)}`;
}

async function insertFile(
  tx: Tables,
  source: string,
  file: { readonly digest: string; readonly bytes: number; readonly rows: number },
): Promise<void> {
  await tx.query('insert into features_archive_file (digest, source, bytes, rows) values ($1, $2, $3, $4)', [
    file.digest,
    source,
    file.bytes,
    file.rows,
  ]);
}
