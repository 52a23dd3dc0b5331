import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Db, JobWithMetadata, PgBoss } from 'pg-boss';
import { PlatformError } from '../../contract/errors.ts';
import type {
  Backlog,
  JobAttempt,
  Jobs,
  JobState,
  JobStatus,
  QueueOptions,
  Tables,
  WorkLimits,
} from '../../runtime/ports/index.ts';
import { translated } from './failures.ts';
import type { ForeignSchema } from './migrate.ts';

/** Times of the job queue. */
const JOB_LIMITS = {
  /** How often a worker looks for a job, in seconds. */
  pollSeconds: 0.5,
  /** How often jobs of dead workers are looked for, in seconds; on top of the queue's heartbeat. */
  superviseSeconds: 1,
  /** How often a worker says that it lives and learns that its job was cancelled, in seconds. */
  heartbeatSeconds: 2,
  /** Shortest heartbeat of a queue, in seconds. */
  queueHeartbeatSecondsMin: 10,
  /** Pause before the first retry, in seconds; it doubles with each one. */
  retrySeconds: 1,
  /** Longest pause between retries, in seconds. */
  retrySecondsMax: 300,
  /** How long a finished job can be asked for, and its id is remembered, in seconds. */
  keepFinishedSeconds: 7 * 86_400,
  /** How long a job may wait for a worker, in seconds. */
  keepQueuedSeconds: 30 * 86_400,
  /** Most jobs that one `work` call does at a time. */
  concurrencyMax: 64,
  /** How long a handler may take to notice that it was aborted, in milliseconds. */
  abortMs: 5_000,
} as const;

/** The port `Jobs`, with what ends it. */
export interface PostgresJobs extends Jobs {
  close(): Promise<void>;
}

/** What is stored as the payload: the id as the caller named it, and the caller's payload. */
interface Envelope {
  readonly id: string;
  readonly payload: object;
}

const SCHEMA = 'pgboss';

const STATES: Readonly<Record<JobWithMetadata['state'], JobState>> = {
  created: 'queued',
  retry: 'retry',
  active: 'active',
  completed: 'done',
  failed: 'failed',
  cancelled: 'cancelled',
};

/** Jobs on pg-boss. It starts working the database at its first use, over the given pool. */
export function postgresJobs(pool: pg.Pool, tables: Tables, report: (error: unknown) => void): PostgresJobs {
  let starting: Promise<PgBoss> | undefined;
  const boss = (): Promise<PgBoss> => {
    starting ??= startBoss(pool, report).catch((error: unknown) => {
      starting = undefined;
      throw error;
    });
    return starting;
  };
  const stops = new Set<(graceMs: number) => Promise<void>>();
  const workers = new Map<string, Set<string>>();
  return {
    createQueue: (queue, options) => translated(async () => createQueue(await boss(), queue, options)),
    async send(queue, payload, options = {}) {
      const id = options.id ?? randomUUID();
      const started = await boss();
      const data: Envelope = { id, payload };
      const db = options.tx === undefined ? {} : { db: executorOf(options.tx) };
      // Nothing is inserted when the id is there already.
      const { priority = 0, group } = options;
      const grouped = group === undefined ? {} : { group: { id: group } };
      await translated(() =>
        started.send(queue, data, { id: jobId(queue, id), priority, ...grouped, ...db }),
      );
      if (options.tx === undefined)
        for (const worker of workers.get(queue) ?? []) started.notifyWorker(worker);
      return id;
    },
    async work(queue, given, handle) {
      const limits = typeof given === 'number' ? { concurrency: given } : given;
      const ids = workers.get(queue) ?? new Set<string>();
      workers.set(queue, ids);
      const stop = await work({ boss: await boss(), tables, queue, limits, handle, ids });
      stops.add(stop);
      return async (graceMs) => {
        stops.delete(stop);
        await stop(graceMs);
      };
    },
    status: async (queue, id) => translated(async () => statusOf(await find(await boss(), queue, id), id)),
    async cancel(queue, id) {
      await translated(async () => (await boss()).cancel(queue, jobId(queue, id)));
    },
    async retry(queue, id, { tx } = {}) {
      const options = tx === undefined ? {} : { db: executorOf(tx) };
      await translated(async () => (await boss()).retry(queue, jobId(queue, id), options));
    },
    backlog: (queue) => translated(() => backlog(pool, queue)),
    async close() {
      await Promise.all([...stops].map((stop) => stop(0)));
      const started = await starting?.catch(() => undefined);
      await started?.stop({ graceful: false, close: false });
    },
  };
}

async function startBoss(pool: pg.Pool, report: (error: unknown) => void): Promise<PgBoss> {
  const boss = await makeBoss({ executeSql: (text, values) => pool.query(text, values) });
  boss.on('error', report);
  try {
    await translated(() => boss.start());
  } catch (error) {
    await boss.stop({ graceful: false, close: false });
    throw error;
  }
  return boss;
}

/** The library is loaded when it is needed: most processes have no jobs, and loading it is a good part of their start. */
async function makeBoss(db: Db, migrate = false): Promise<PgBoss> {
  const library = await import('pg-boss');
  return new library.PgBoss({
    db,
    schema: SCHEMA,
    migrate,
    createSchema: migrate,
    schedule: false,
    supervise: !migrate,
    superviseIntervalSeconds: JOB_LIMITS.superviseSeconds,
    monitorIntervalSeconds: JOB_LIMITS.superviseSeconds,
    registerInstance: false,
    openTelemetry: { enabled: false },
  });
}

async function createQueue(boss: PgBoss, queue: string, options: QueueOptions): Promise<void> {
  const { heartbeatSeconds, retries, expireSeconds } = options;
  if (heartbeatSeconds < JOB_LIMITS.queueHeartbeatSecondsMin) {
    throw new PlatformError(
      'CONFIGURATION',
      `The heartbeat of queue ${queue} must be at least ${JOB_LIMITS.queueHeartbeatSecondsMin} s, it is ${heartbeatSeconds}`,
    );
  }
  const settings = {
    heartbeatSeconds,
    retryLimit: retries,
    retryDelay: JOB_LIMITS.retrySeconds,
    retryBackoff: true,
    retryDelayMax: JOB_LIMITS.retrySecondsMax,
    expireInSeconds: expireSeconds,
    retentionSeconds: JOB_LIMITS.keepQueuedSeconds,
    deleteAfterSeconds: JOB_LIMITS.keepFinishedSeconds,
  };
  await boss.createQueue(queue, { ...settings, policy: 'standard' });
  // The queue may be there with the settings of an earlier version of the app.
  await boss.updateQueue(queue, settings);
}

interface Work<TPayload> {
  readonly boss: PgBoss;
  readonly tables: Tables;
  readonly queue: string;
  readonly limits: WorkLimits;
  readonly handle: (job: JobAttempt<TPayload>) => Promise<void>;
  /** Ids of all workers of the queue in this process, to wake them. */
  readonly ids: Set<string>;
}

async function work<TPayload extends object>(
  task: Work<TPayload>,
): Promise<(graceMs: number) => Promise<void>> {
  const { boss, queue, limits, ids } = task;
  const { concurrency, groupMax } = limits;
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > JOB_LIMITS.concurrencyMax) {
    throw new PlatformError(
      'CONFIGURATION',
      `Concurrency must be 1 to ${JOB_LIMITS.concurrencyMax}, it is ${concurrency}`,
    );
  }
  const stopping = new AbortController();
  const options = {
    batchSize: 1,
    localConcurrency: 1,
    includeMetadata: true as const,
    pollingIntervalSeconds: JOB_LIMITS.pollSeconds,
    heartbeatRefreshSeconds: JOB_LIMITS.heartbeatSeconds,
    ...(groupMax === undefined ? {} : { groupConcurrency: groupMax }),
  };
  const own: string[] = [];
  for (let index = 0; index < concurrency; index += 1) {
    const worker: string = await boss.work<Envelope, void, typeof options>(queue, options, async (jobs) => {
      for (const job of jobs) await attempt(task, job, stopping.signal);
      // Where one job was there may be more: look at once instead of at the next poll.
      boss.notifyWorker(worker);
    });
    own.push(worker);
    ids.add(worker);
  }
  return async (graceMs) => {
    for (const worker of own) ids.delete(worker);
    const drained = Promise.all(own.map((id) => boss.offWork(queue, { id, wait: true })));
    await Promise.race([drained, sleep(graceMs, undefined, { ref: false })]);
    stopping.abort(new Error('The worker stops'));
    await Promise.race([drained, sleep(JOB_LIMITS.abortMs, undefined, { ref: false })]);
  };
}

async function attempt<TPayload extends object>(
  { boss, tables, handle }: Work<TPayload>,
  job: JobWithMetadata<Envelope>,
  stopping: AbortSignal,
): Promise<void> {
  try {
    await handle({
      id: job.data.id,
      payload: job.data.payload as TPayload,
      attempt: job.retryCount,
      signal: AbortSignal.any([job.signal, stopping]),
    });
  } catch (error) {
    if (!stopping.aborted || job.signal.aborted) throw error;
    // The job did nothing wrong: it goes back to the queue at once instead of counting as failed.
    await putBack(boss, tables, job);
  }
}

/** Does nothing when this attempt no longer holds the job. */
async function putBack(boss: PgBoss, tables: Tables, job: JobWithMetadata<Envelope>): Promise<void> {
  await tables.transaction(async (tx) => {
    const db = executorOf(tx);
    const answer = await boss.cancel(job.name, { id: job.id, retryCount: job.retryCount }, { db });
    // The driver's types leave the answer empty.
    if (((answer as { affected?: number }).affected ?? 0) > 0) await boss.resume(job.name, job.id, { db });
  });
}

async function find(boss: PgBoss, queue: string, id: string): Promise<JobWithMetadata<Envelope> | undefined> {
  return (await boss.findJobs<Envelope>(queue, { id: jobId(queue, id) }))[0];
}

function statusOf(job: JobWithMetadata<Envelope> | undefined, id: string): JobStatus | undefined {
  if (job === undefined) return undefined;
  const { message } = (job.output ?? {}) as { message?: unknown };
  const failed = job.state === 'failed' || job.state === 'retry';
  return {
    id,
    state: STATES[job.state],
    attempt: job.retryCount,
    ...(failed && typeof message === 'string' ? { error: message } : {}),
  };
}

async function backlog(pool: pg.Pool, queue: string): Promise<Backlog> {
  const { rows } = await pool.query<{ ready: number; active: number; oldest: number }>(
    `select count(*) filter (where state < 'active')::int as ready,
            count(*) filter (where state = 'active')::int as active,
            coalesce(extract(epoch from now() - min(start_after) filter (where state < 'active')), 0)::float8 as oldest
     from ${SCHEMA}.job where name = $1 and state <= 'active' and not blocked and start_after <= now()`,
    [queue],
  );
  const { ready = 0, active = 0, oldest = 0 } = rows[0] ?? {};
  return { ready, active, oldestSeconds: Math.max(0, oldest) };
}

/** pg-boss knows jobs by UUID. Another text stands for the UUID made of its hash (version 8, RFC 9562). */
function jobId(queue: string, id: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return id;
  const hex = createHash('sha256').update(`${queue}\n${id}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function executorOf(tx: Tables): Db {
  return { executeSql: async (text, values) => ({ rows: await tx.query(text, values) }) };
}

/** The tables of pg-boss, installed by our one migration step. */
export const jobsSchema: ForeignSchema = {
  async isCurrent(client) {
    // Asked here rather than of the library, which is not loaded for it.
    const { rows } = await client.query<{ found: boolean }>(
      `select to_regclass('${SCHEMA}.version') is not null as found`,
    );
    if (rows[0]?.found !== true) return false;
    const versions = await client.query<{ version: number }>(`select version from ${SCHEMA}.version`);
    return Number(versions.rows[0]?.version) === (await jobsSchemaVersion());
  },
  async install(client) {
    const boss = await makeBoss({ executeSql: (text, values) => client.query(text, values) }, true);
    const found = (await boss.isInstalled()) ? ((await boss.schemaVersion()) ?? 0) : 0;
    const known = await jobsSchemaVersion();
    if (found > known) {
      throw new PlatformError(
        'CONFIGURATION',
        `The job tables were migrated by a newer version (${found}, this one knows ${known}). Update this process.`,
      );
    }
    await boss.start();
    await boss.stop({ graceful: false, close: false });
  },
};

/** Version of the tables that this version of pg-boss works on. */
export async function jobsSchemaVersion(): Promise<number> {
  const { default: manifest } = (await import('pg-boss/package.json', { with: { type: 'json' } })) as {
    default: { pgboss: { schema: number } };
  };
  return manifest.pgboss.schema;
}
