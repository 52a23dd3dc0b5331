import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/adapters/postgres/embedded/index.ts';
import { openPostgres, type Postgres, removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { partitionOf, SOURCE_PARTITIONS, sourceTopic, STATE_PARTITIONS } from '../../src/contract/index.ts';
import { cpuTime } from './cpu-time.ts';

/** Records of one append to the log. */
const APPEND_RECORDS = 5_000;
/** The events lie within so long before the moment at which they are written, in milliseconds. */
const SPREAD_MS = 86_400_000;
/** Of one event in fifty: how much later than its neighbours it is written, in milliseconds. */
const LATE_MS_MAX = 3_600_000;
const TOPIC = sourceTopic('payments');

export interface RecoveryOptions {
  readonly events: number;
  readonly keys: number;
  /** Kept for the next time, and used again when it has the same sizes and is not old; without it a temporary one. */
  readonly folder: string | undefined;
}

/** What was written. */
export interface RecoveryEvents {
  readonly writtenAt: number;
  readonly events: number;
  readonly keys: number;
  /** Events by key. */
  readonly counts: readonly number[];
}

/** Windows move on: what was prepared longer ago than this is prepared anew, in milliseconds. */
const KEPT_MS_MAX = 12 * 3_600_000;

/** A log of many events on an embedded server of its own, written through the log's own append. */
export class RecoveryLog {
  readonly directory: string;
  readonly prepared: RecoveryEvents;
  readonly prepareSeconds: number;
  readonly #server: EmbeddedServer;
  readonly #postgres: Postgres;
  readonly #isKept: boolean;

  private constructor(
    directory: string,
    opened: { server: EmbeddedServer; postgres: Postgres },
    found: { prepared: RecoveryEvents; prepareSeconds: number; isKept: boolean },
  ) {
    this.directory = directory;
    this.prepared = found.prepared;
    this.prepareSeconds = found.prepareSeconds;
    this.#server = opened.server;
    this.#postgres = opened.postgres;
    this.#isKept = found.isKept;
  }

  static async prepare({ events, keys, folder }: RecoveryOptions): Promise<RecoveryLog> {
    const directory = folder ?? (await mkdtemp(join(tmpdir(), 'tandem-bench-')));
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o755);
    const file = join(directory, 'prepared.json');
    const known = await readFile(file, 'utf8')
      .then((text) => JSON.parse(text) as RecoveryEvents)
      .catch(() => undefined);
    const isUsable =
      known?.events === events && known.keys === keys && Date.now() - known.writtenAt < KEPT_MS_MAX;
    if (known !== undefined && !isUsable) {
      await removeEmbedded(join(directory, 'postgres'));
      await rm(directory, { recursive: true });
      await mkdir(directory, { recursive: true });
    }
    const server = await startEmbedded({ directory: join(directory, 'postgres') });
    const postgres = await openPostgres(server.url, { applicationName: 'bench', connectionsMax: 10 });
    await postgres.migrate([]);
    const begunMs = performance.now();
    const prepared = isUsable ? known : await write(postgres, events, keys);
    const prepareSeconds = (performance.now() - begunMs) / 1_000;
    if (!isUsable) await writeFile(file, JSON.stringify(prepared));
    const found = { prepared, prepareSeconds, isKept: folder !== undefined };
    return new RecoveryLog(directory, { server, postgres }, found);
  }

  get url(): string {
    return this.#server.url;
  }

  /** Makes the next start read the whole log. */
  async dropSnapshots(): Promise<void> {
    const [found] = await this.#postgres.tables.query<{ table: string | null }>(
      `select to_regclass('features_snapshot')::text as "table"`,
    );
    if (found?.table === null) return;
    const objects = directoryObjects(join(this.directory, 'objects'));
    const saved = await this.#postgres.tables.query<{ digest: string }>(
      'delete from features_snapshot returning digest',
    );
    for (const { digest } of saved) await objects.remove(digest);
  }

  /** Whether every part of the state has a snapshot of all events. */
  async isSaved(): Promise<boolean> {
    const rows = await this.#postgres.tables.query<{ positions: Record<string, number[]> }>(
      'select positions from features_snapshot',
    );
    if (rows.length < STATE_PARTITIONS + 1) return false;
    return rows.every(({ positions }) => {
      const offsets = positions['payments'] ?? [];
      return offsets.reduce((sum, offset) => sum + offset, 0) === this.prepared.events;
    });
  }

  async snapshotMiB(): Promise<number> {
    const [row] = await this.#postgres.tables.query<{ bytes: number }>(
      'select sum(bytes)::float8 as bytes from features_snapshot',
    );
    return (row?.bytes ?? 0) / 2 ** 20;
  }

  /** CPU of the server's processes, past and present. 0 where there is no /proc. */
  async databaseCpuSeconds(): Promise<number> {
    let seconds = 0;
    for (const name of await readdir('/proc').catch(() => [])) {
      if (!/^\d+$/.test(name)) continue;
      const { own = 0, children = 0, parent } = (await cpuTime(`/proc/${name}`)) ?? {};
      if (Number(name) === this.#server.pid) seconds += own + children;
      else if (parent === this.#server.pid) seconds += own;
    }
    return seconds;
  }

  async close(): Promise<void> {
    await this.#postgres.close();
    await this.#server.stop();
    if (this.#isKept) return;
    await removeEmbedded(join(this.directory, 'postgres'));
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** An event as its producer would send it. */
export function paymentOf(serial: number, key: number, at: number): string {
  const mixed = Math.imul(serial, 0x85ebca6b) >>> 0;
  const amount = String((mixed % 40_000) / 100);
  return `{"paymentId":"payment-${String(serial)}","at":${String(at)},"customerId":"customer-${String(key)}","shopId":"shop-${String(mixed % 5_000)}","amount":${amount}}`;
}

async function write({ log }: Postgres, events: number, keys: number): Promise<RecoveryEvents> {
  await log.createTopic(TOPIC, { partitions: SOURCE_PARTITIONS });
  const writtenAt = Date.now();
  const counts = Array.from({ length: keys }, () => 0);
  const partitions = Uint8Array.from(counts, (_, key) =>
    partitionOf(`customer-${String(key)}`, SOURCE_PARTITIONS),
  );
  const waiting: Buffer[][] = Array.from({ length: SOURCE_PARTITIONS }, () => []);
  const appends: Promise<unknown>[] = Array.from({ length: SOURCE_PARTITIONS }, () => Promise.resolve());
  const append = async (partition: number): Promise<void> => {
    const records = waiting[partition] ?? [];
    if (records.length === 0) return;
    waiting[partition] = [];
    await appends[partition];
    // Answers of the server get their turn.
    await turn();
    appends[partition] = log.append(TOPIC, partition, records);
  };
  for (let serial = 0; serial < events; serial += 1) {
    const mixed = Math.imul(serial + 1, 0x9e3779b1) >>> 0;
    const key = mixed % keys;
    const late = mixed % 50 === 0 ? (mixed >>> 8) % LATE_MS_MAX : 0;
    const at = writtenAt - SPREAD_MS + Math.floor((serial / events) * SPREAD_MS) - late;
    const partition = partitions[key] ?? 0;
    counts[key] = (counts[key] ?? 0) + 1;
    const records = waiting[partition];
    if (records === undefined) continue;
    records.push(Buffer.from(paymentOf(serial, key, at)));
    if (records.length === APPEND_RECORDS) await append(partition);
  }
  for (let partition = 0; partition < SOURCE_PARTITIONS; partition += 1) await append(partition);
  await Promise.all(appends);
  return { writtenAt, events, keys, counts };
}
