import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { duckdbWarehouse } from '../../src/adapters/duckdb/index.ts';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import { openPostgres, type Postgres } from '../../src/adapters/postgres/index.ts';
import { routes, type ServiceName } from '../../src/contract/index.ts';
import { ROOT } from '../tidy/tree.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { FailPointOrders } from './support/fail-point-orders.ts';
import { startLoad } from './support/load.ts';
import { Platform } from './support/platform.ts';
import { finishRun, prepareReleases, release, startRun } from './support/releases.ts';
import { Requests } from './support/requests.ts';
import { makeTarget } from './support/target.ts';
import { compareWithTruth, embeddedUrl } from './support/truth.ts';

const REPLICAS = { ingest: 2, features: 1, registry: 2, train: 2, serve: 2, gateway: 1 } as const;
const SETTINGS = ['features.archiveMs=1000', 'features.snapshotMs=1000'];
/** Holds a process at a point for long enough to stop it there, in milliseconds. */
const HOLD_MS = 3_000;
/** How long a point may take to be reached, in milliseconds. */
const FIRE_MS_MAX = 60_000;
/** How long something may take to happen that must happen, in milliseconds. */
const PATIENCE_MS = 120_000;
const LOOK_MS = 100;
/** How long a decision may take, in milliseconds. */
const DECISION_MS = 60_000;

interface Pause {
  readonly platform: Platform;
  readonly requests: Requests;
  readonly orders: FailPointOrders;
  readonly postgres: Postgres;
  readonly databaseUrl: string;
  readonly seed: number;
  readonly version: number;
  readonly note: (text: string) => void;
}

/** What a scenario counted and what went wrong. */
interface Found {
  readonly counts: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/**
 * Stops an owner with SIGSTOP at the worst place, until its lease is over and somebody else has done its work, and lets
 * it go on with SIGCONT: what it then still writes changes nothing. `--only=archive,run,release,serve,ingest`.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  await using orders = await FailPointOrders.open();
  const options = { replicas: REPLICAS, set: SETTINGS, environment: orders.environment, note };
  await using platform = await Platform.start(options);
  try {
    await using requests = new Requests(await makeTarget(platform.target));
    const version = await prepareReleases(requests, seed);
    const databaseUrl = await embeddedUrl(platform.dataDir);
    await using postgres = await openPostgres(databaseUrl, {
      applicationName: 'chaos pause',
      connectionsMax: 3,
    });
    await using load = await startLoad({
      target: platform.target,
      seed,
      eventsPerSecond: Number(values['events'] ?? (short ? 100 : 500)),
      decisionsPerSecond: Number(values['decisions'] ?? (short ? 40 : 200)),
      // Whoever waits for a stopped process waits long; what matters here is what becomes of its work.
      decisionMs: DECISION_MS,
    });
    // It would end a process that does not answer for long, which is the other way to keep its late writes out.
    const supervisor = platform.supervisorPid ?? 0;
    process.kill(supervisor, 'SIGSTOP');
    const pause: Pause = { platform, requests, orders, postgres, databaseUrl, seed, version, note };
    const counts: Record<string, number> = {};
    const violations: string[] = [];
    for (const name of values['only']?.split(',') ?? Object.keys(SCENARIOS)) {
      const scenario = SCENARIOS[name];
      if (scenario === undefined) throw new Error(`There is no scenario '${name}'`);
      const found = await scenario(pause);
      note(`${name}: ${JSON.stringify(found)}`);
      Object.assign(counts, found.counts);
      violations.push(...found.violations.map((text) => `${name}: ${text}`));
    }
    process.kill(supervisor, 'SIGCONT');
    await platform.untilReady(PATIENCE_MS);
    const result = await load.stop();
    const truth = await compareWithTruth({
      requests,
      loads: [result],
      seed,
      databaseUrl,
      bufferedLossMax: 0,
    });
    const archive = await archiveTruth(pause);
    violations.push(...truth.violations, ...archive.violations, ...result.wrong);
    const { failed, answered, answeredLater } = result.decisions;
    if (failed > 0)
      violations.push(`${String(failed)} decisions failed for good: ${JSON.stringify(result.failures)}`);
    if (violations.length > 0) platform.failed();
    Object.assign(counts, truth.counts, archive.counts, {
      events: result.events.due,
      decisions: answered,
      decisionsLater: answeredLater,
    });
    return { counts, violations };
  } catch (error) {
    platform.failed();
    throw error;
  }
}

const SCENARIOS: Readonly<Record<string, (pause: Pause) => Promise<Found>>> = {
  archive: pauseArchive,
  run: pauseRun,
  release: pauseRelease,
  serve: (pause) => pauseService(pause, 'serve'),
  ingest: (pause) => pauseService(pause, 'ingest'),
};

/** Holds the first process of a service that passes a point; resolves when all of them know. */
async function holdAt({ orders, platform }: Pause, service: ServiceName, point: string): Promise<void> {
  for (const { pid } of await platform.living(service)) {
    await orders.arm(String(pid), `${point}=pause:${String(HOLD_MS)}`);
    await orders.taken(String(pid));
  }
}

/** Stops the process that is held at a point; the answer is its id. */
async function stopHeld({ orders }: Pause, point: string): Promise<number> {
  const fired = await orders.fired(FIRE_MS_MAX);
  if (fired === undefined) throw new Error(`${point} was not passed`);
  process.kill(fired.pid, 'SIGSTOP');
  await orders.disarm('');
  return fired.pid;
}

async function until<TValue>(what: string, look: () => Promise<TValue | undefined>): Promise<TValue> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(LOOK_MS)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`In ${String(PATIENCE_MS)} ms it did not happen that ${what}`);
}

/**
 * The owner of the archive is stopped when its Parquet file is stored and not committed. A second process of features
 * takes its partitions over and archives the same records. The commit of the first must then be fenced.
 */
async function pauseArchive(pause: Pause): Promise<Found> {
  const { platform, note } = pause;
  await holdAt(pause, 'features', 'features.archive.stored');
  const stopped = await stopHeld(pause, 'features.archive.stored');
  note(`archive: stopped ${String(stopped)} between file and commit`);
  const before = await committed(pause);
  await using other = await secondFeatures(pause);
  await until('another process archived what the stopped one held', async () =>
    sum(await committed(pause)) > sum(before) ? true : undefined,
  );
  const files = await archiveFiles(pause);
  process.kill(stopped, 'SIGCONT');
  const fenced = await until('the late commit was refused', async () =>
    (await logsOf(platform, 'features')).includes('no longer holds') ? true : undefined,
  );
  await other[Symbol.asyncDispose]();
  return { counts: { archiveFiles: files, fenced: Number(fenced) }, violations: [] };
}

/**
 * Another process of features, started by hand as an operator would when one hangs.
 */
async function secondFeatures({ platform, databaseUrl }: Pause): Promise<AsyncDisposable> {
  const app = fileURLToPath(new URL('fixtures/app.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    [
      '--conditions=tandem-source',
      join(ROOT, 'src/cli/main.ts'),
      'run',
      'features',
      '--app',
      app,
      '--data-dir',
      platform.dataDir,
      '--json',
      '--set',
      ...SETTINGS,
    ],
    { cwd: ROOT, env: { ...process.env, DATABASE_URL: databaseUrl }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const ended = once(child, 'exit');
  await once(createInterface({ input: child.stdout }), 'line');
  return {
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await ended;
    },
  };
}

/** A worker is stopped when a step is done and not recorded; another one ends the run. */
async function pauseRun(pause: Pause): Promise<Found> {
  const { requests, seed, note, postgres } = pause;
  const versionsBefore = await versions(pause);
  await holdAt(pause, 'train', 'train.step.done');
  const { id } = await startRun(requests, `pause-${String(seed)}`);
  const stopped = await stopHeld(pause, 'train.step.done');
  note(`run: stopped ${String(stopped)} between a step and its record`);
  const run = await finishRun(requests, id, PATIENCE_MS);
  process.kill(stopped, 'SIGCONT');
  // As long as it takes the late one to notice, and more.
  await sleep(2 * HOLD_MS);
  const after = await requests.call(routes.getRun, { params: { id } });
  const made = (await versions(pause)) - versionsBefore;
  const [{ epoch } = { epoch: 0 }] = await postgres.tables.query<{ epoch: number }>(
    'select epoch from train_run where id = $1',
    [id],
  );
  const violations: string[] = [];
  if (made !== 1) violations.push(`the run made ${String(made)} versions`);
  if (JSON.stringify(after) !== JSON.stringify(run)) {
    violations.push(`the run changed after its end: ${JSON.stringify(run)} became ${JSON.stringify(after)}`);
  }
  if (epoch < 2) violations.push('nobody took the run over');
  return { counts: { runAttempts: epoch, versionsMade: made }, violations };
}

/**
 * A registry is stopped in the transaction that switches a release, with the lock on the decision. The database ends
 * that session in the end, the other registry switches, and the late commit changes nothing.
 */
async function pauseRelease(pause: Pause): Promise<Found> {
  const { requests, seed, version, note } = pause;
  await holdAt(pause, 'registry', 'registry.release.switched');
  const began = performance.now();
  const released = release(requests, version, `pause-${String(seed)}`, PATIENCE_MS);
  const stopped = await stopHeld(pause, 'registry.release.switched');
  note(`release: stopped ${String(stopped)} before the commit of a switch`);
  await released;
  const waitedMs = Math.round(performance.now() - began);
  const before = await requests.call(routes.getCurrentReleases, {});
  process.kill(stopped, 'SIGCONT');
  await sleep(2 * HOLD_MS);
  const after = await requests.call(routes.getCurrentReleases, {});
  const isSame = JSON.stringify(before) === JSON.stringify(after);
  const violations = isSame
    ? []
    : [`releases changed: ${JSON.stringify(before)} became ${JSON.stringify(after)}`];
  return { counts: { releaseWaitedMs: waitedMs }, violations };
}

/**
 * One of two processes is stopped with requests under way, beyond its lease, while a release is switched. Callers turn to
 * the other one; when it goes on, its late writes are repetitions.
 */
async function pauseService(pause: Pause, service: ServiceName): Promise<Found> {
  const { platform, requests, seed, version, note } = pause;
  const [record] = await platform.living(service);
  if (record === undefined) throw new Error(`No process of ${service} runs`);
  process.kill(record.pid, 'SIGSTOP');
  note(`${service}: stopped ${String(record.pid)}`);
  const key = `pause-${service}-${String(seed)}`;
  await sleep(BEYOND_LEASE_MS / 2);
  await release(requests, version, key);
  await sleep(BEYOND_LEASE_MS / 2);
  process.kill(record.pid, 'SIGCONT');
  const answers = await until(`${service} is ready again`, () =>
    fetch(new URL('/readyz', record.url ?? '')).then(
      (answer) => (answer.ok ? true : undefined),
      () => undefined,
    ),
  );
  return { counts: { [`${service}Back`]: Number(answers) }, violations: [] };
}

/** Longer than the lease by which processes find each other, in milliseconds. */
const BEYOND_LEASE_MS = 8_000;

/** Every record of the log is in the archive's files once, by the rows' own places. */
async function archiveTruth(pause: Pause): Promise<Found> {
  const { platform, postgres, requests } = pause;
  const violations: string[] = [];
  let total = 0;
  const objects = directoryObjects(join(platform.dataDir, 'objects'));
  const warehouse = duckdbWarehouse({ directory: join(platform.dataDir, 'warehouse-of-checks') });
  await using session = await warehouse.session();
  for (const source of ['orders', 'returns']) {
    const heads = await until('everything is archived', async () => {
      const { sources } = await requests.call(routes.getFeaturesStatus, {});
      const status = sources.find((found) => found.source === source);
      return status !== undefined && sum(status.archived) === sum(status.heads) ? status.heads : undefined;
    });
    const files = await postgres.tables.query<{ digest: string }>(
      'select digest from features_archive_file where source = $1 and retired_at is null',
      [source],
    );
    const paths = await Promise.all(files.map(({ digest }) => objects.path(digest)));
    const found = await session.query(
      `select count(*)::integer as stored, count(distinct (_partition, _offset))::integer as places
       from read_parquet([${paths.map((path) => `'${path}'`).join(', ')}])`,
    );
    const [stored, places] = ['stored', 'places'].map((name) => Number(found.columns.get(name)?.[0]));
    total += stored ?? 0;
    if (stored !== places || stored !== sum(heads)) {
      violations.push(
        `${source}: ${String(stored)} rows of ${String(places)} places are archived, the log has ${String(sum(heads))}`,
      );
    }
  }
  return { counts: { archivedRows: total }, violations };
}

async function committed({ postgres }: Pause): Promise<number[]> {
  const rows = await postgres.tables.query<{ committed: number }>(
    `select committed from tandem_log_group where name = 'features.archive'`,
  );
  return rows.map((row) => row.committed);
}

async function archiveFiles({ postgres }: Pause): Promise<number> {
  return (await postgres.tables.query('select 1 from features_archive_file')).length;
}

async function versions({ requests }: Pause): Promise<number> {
  const { versions: found } = await requests.call(routes.listVersions, { params: { model: 'returning' } });
  return found.length;
}

async function logsOf({ dataDir }: Platform, service: ServiceName): Promise<string> {
  return readFile(join(dataDir, 'logs', `${service}-1.log`), 'utf8');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
