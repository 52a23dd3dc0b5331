import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';
import { partsOf } from './support/profile-parts.ts';
import { type RecoveryEvents, RecoveryLog } from './support/recovery-log.ts';
import { FeaturesProcess } from './support/features-process.ts';

/*
 * How long a features process needs from its start until it answers vectors, over a real log on the embedded server: with no
 * snapshot, so that all events are read again, and with snapshots that cover all of them. 18 features, three windows by six
 * aggregates. Every process is killed, so none leaves a snapshot by going; what it answers is compared with counts of our own.
 * Sizes by BENCH_EVENTS, BENCH_KEYS and BENCH_ROUNDS; BENCH_FOLDER keeps what was prepared for the next time.
 */

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 10_000_000);
const KEYS = Number(process.env['BENCH_KEYS'] ?? 100_000);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
/** How long the snapshots of a finished state may take, in milliseconds. */
const SNAPSHOTS_MS_MAX = 600_000;
/** Keys whose vectors are compared. */
const COMPARED = 200;

interface Round {
  readonly seconds: number;
  readonly mainCpuSeconds: number;
  readonly threadsCpuSeconds: number;
  readonly databaseCpuSeconds: number;
  readonly rssMiBPeak: number;
}

export async function measure(): Promise<Measurement> {
  const log = await RecoveryLog.prepare({ events: EVENTS, keys: KEYS, folder: process.env['BENCH_FOLDER'] });
  try {
    await log.dropSnapshots();
    const tailParts = await profiled(log, 'tail');
    const tail: Round[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await log.dropSnapshots();
      // The last one lives until it has saved what it has.
      tail.push(await restart(log, round === ROUNDS - 1));
    }
    const snapshot: Round[] = [];
    for (let round = 0; round < ROUNDS; round += 1) snapshot.push(await restart(log, false));
    const snapshotParts = await profiled(log, 'snapshot');
    return {
      metrics: {
        events: EVENTS,
        keys: KEYS,
        prepareSeconds: log.prepareSeconds,
        ...described('tail', tail),
        tailEventsPerSecond: EVENTS / median(tail.map(({ seconds }) => seconds)),
        ...named('tail', tailParts),
        ...described('snapshot', snapshot),
        snapshotMiB: await log.snapshotMiB(),
        ...named('snapshot', snapshotParts),
      },
      goals: [
        { metric: 'tailSeconds', goal: 30, bound: 'max' },
        { metric: 'snapshotSeconds', goal: 3, bound: 'max' },
      ],
    };
  } finally {
    await log.close();
  }
}

/** One process from its start to its first vectors, and its death; `isSaving`: not before it has saved all of its state. */
async function restart(log: RecoveryLog, isSaving: boolean): Promise<Round> {
  const databaseBefore = await log.databaseCpuSeconds();
  await using features = await FeaturesProcess.start(log);
  await features.ready();
  const { seconds } = features;
  const cpu = await features.cpuSeconds();
  const databaseCpuSeconds = (await log.databaseCpuSeconds()) - databaseBefore;
  await compare(features, log.prepared);
  const rssMiBPeak = await features.rssMiBPeak();
  if (isSaving) await saved(log);
  return {
    seconds,
    mainCpuSeconds: cpu.main,
    threadsCpuSeconds: cpu.threads,
    databaseCpuSeconds,
    rssMiBPeak,
  };
}

/** The state's counts are those of the events that were written. */
async function compare(features: FeaturesProcess, prepared: RecoveryEvents): Promise<void> {
  const step = Math.max(1, Math.floor(prepared.keys / COMPARED));
  for (let key = 0; key < prepared.keys; key += step) {
    const count = await features.count(key);
    const expected = prepared.counts[key] ?? 0;
    // The event to decide on is counted too.
    if (count !== expected + 1)
      throw new Error(`Customer ${String(key)} has ${String(count - 1)} events, not ${String(expected)}`);
  }
}

/** Waits until all of the state is saved. */
async function saved(log: RecoveryLog): Promise<void> {
  const endMs = performance.now() + SNAPSHOTS_MS_MAX;
  while (!(await log.isSaved())) {
    if (performance.now() > endMs) throw new Error('The state was not saved in time');
    await sleep(100);
  }
}

/** Seconds of the main thread by part, from a sampled profile of a round of its own. */
async function profiled(log: RecoveryLog, name: string): Promise<Readonly<Record<string, number>>> {
  const folder = join(log.directory, `profile-${name}`);
  await mkdir(folder, { recursive: true });
  {
    await using features = await FeaturesProcess.start(log, [
      '--cpu-prof',
      `--cpu-prof-dir=${folder}`,
      '--cpu-prof-interval=2000',
    ]);
    await features.ready();
    // The profile is written when it ends.
    await features.end();
  }
  const parts: Record<string, number> = {};
  for (const file of await readdir(folder)) {
    const text = await readFile(join(folder, file), 'utf8');
    for (const [part, seconds] of Object.entries(partsOf(text))) parts[part] = (parts[part] ?? 0) + seconds;
  }
  if (process.env['BENCH_PROFILES'] === undefined) await rm(folder, { recursive: true });
  return parts;
}

function described(name: string, rounds: readonly Round[]): Record<string, number> {
  const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
  return {
    [`${name}Seconds`]: of(({ seconds }) => seconds),
    [`${name}MainCpuSeconds`]: of(({ mainCpuSeconds }) => mainCpuSeconds),
    [`${name}ThreadsCpuSeconds`]: of(({ threadsCpuSeconds }) => threadsCpuSeconds),
    [`${name}DatabaseCpuSeconds`]: of(({ databaseCpuSeconds }) => databaseCpuSeconds),
    [`${name}RssMiBPeak`]: of(({ rssMiBPeak }) => rssMiBPeak),
  };
}

function named(name: string, parts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(parts).map(([part, seconds]) => [`${name}Part${part}Seconds`, seconds]),
  );
}
