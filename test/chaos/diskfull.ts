import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { routes } from '../../src/contract/index.ts';
import { SeededRandom } from '../../src/ml/random.ts';
import { command, type Need, whyNot } from '../cluster/command.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { type Load, type LoadReport, startLoad } from './support/load.ts';
import { MOUNT_NEEDS, Mounts } from './support/mounted.ts';
import { Platform } from './support/platform.ts';
import { prepareReleases } from './support/releases.ts';
import { Requests } from './support/requests.ts';
import { makeTarget } from './support/target.ts';
import { compareWithTruth, embeddedUrl } from './support/truth.ts';

/** The disk: room for the database, its log and some load. */
const DISK_BYTES = 1_500 * 2 ** 20;
/** What is left free at most when the disk is full, in bytes. */
const LEFT_BYTES_MAX = 512 * 2 ** 10;
/** How often filling the disk is tried while others take space too. */
const FILLS_MAX = 20;
/** How soon writes must be back once there is space, in milliseconds. */
const BACK_MS_MAX = 10_000;
/** How long it may take until a full disk is noticed: the database has some room of its own, in milliseconds. */
const NOTICE_MS_MAX = 60_000;
/** How long the disk stays full after a write was refused, in milliseconds. */
const FULL_MS = 3_000;
const CALM_MS = 2_000;
const LOOK_MS = 100;
/** Fixed numbers: a process that is added meanwhile refuses what it cannot answer yet, which says nothing here. */
const REPLICAS = { ingest: 1, features: 1, serve: 1, train: 1 } as const;

const NEEDS: readonly Need[] = [...MOUNT_NEEDS, { program: 'fallocate', package: 'util-linux' }];

export function missing(): Promise<string | undefined> {
  return whyNot(NEEDS);
}

/**
 * The disk of a `tandem up` is full `--times` times (default 10, short 2) under a load of `--events` (default 200) a
 * second and `--decisions` (default 50) a second with a buffered ledger, then there is space again:
 *
 * - events are refused with 507 or 503 and never acknowledged and lost; vectors are read and decisions are answered all
 *   the time;
 * - events are acknowledged again within 10 s, and no service was started anew.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const times = Number(values['times'] ?? (short ? 2 : 10));
  const random = new SeededRandom(seed);
  await using mounts = await Mounts.make();
  const disk = await mounts.memory('disk', DISK_BYTES);
  await using platform = await Platform.start({ parent: disk, replicas: REPLICAS, note });
  await using requests = new Requests(await makeTarget(platform.target));
  await prepareReleases(requests, seed);
  const before = await pidsOf(platform);
  await using load = await startLoad({
    target: platform.target,
    seed,
    eventsPerSecond: Number(values['events'] ?? 200),
    decisionsPerSecond: Number(values['decisions'] ?? 50),
    decisions: ['suggest'],
  });
  const violations: string[] = [];
  let backMsMax = 0;
  for (let time = 1; time <= times; time += 1) {
    await sleep(CALM_MS + random.integer(1_000));
    const filler = await fill(disk, random.integer(LEFT_BYTES_MAX));
    const refused = await untilRefused(load);
    if (refused === undefined) violations.push('no write was refused although the disk was full');
    await requests.call(routes.readVector, { params: { vector: 'basket' }, body: READ });
    await sleep(FULL_MS);
    await requests.call(routes.readVector, { params: { vector: 'basket' }, body: READ });
    const backMs = await untilBack(load, () => rm(filler));
    backMsMax = Math.max(backMsMax, backMs);
    note(
      `full (${refused ?? 'nothing was refused'}), writes are back after ${(backMs / 1_000).toFixed(1)} s`,
    );
    if (backMs > BACK_MS_MAX)
      violations.push(`writes were back ${String(Math.round(backMs))} ms after there was space`);
  }
  const result = await load.stop();
  const after = await pidsOf(platform);
  if (after !== before) violations.push(`services were started anew: ${before} became ${after}`);
  const truth = await compareWithTruth({
    requests,
    loads: [result],
    seed,
    databaseUrl: await embeddedUrl(platform.dataDir),
    bufferedLossMax: 0,
  }).catch((error: unknown) => {
    platform.failed();
    throw error;
  });
  violations.push(...truth.violations, ...loadViolations(result));
  if (violations.length > 0) platform.failed();
  const { decisions, refusals } = result;
  return {
    counts: {
      times,
      backMsMax: Math.round(backMsMax),
      decisions: decisions.due,
      decisionMsP99: decisions.latency.p99,
      refused507: refusals['events 507 STORAGE_FULL'] ?? 0,
      refused503: refusals['events 503 UNAVAILABLE'] ?? 0,
      ...truth.counts,
    },
    violations,
  };
}

/** A read of one vector. */
const READ = {
  candidates: [{ orderId: 'look', at: Date.now(), customerId: 'past-0', serial: 0, risk: 0.5 }],
  waitMs: 0,
  atClock: true,
  record: false,
};

/** Takes all space but some bytes. Resolves with the file that has it. */
async function fill(disk: string, left: number): Promise<string> {
  const filler = join(disk, 'filler');
  for (let tried = 1; ; tried += 1) {
    const { bavail, bsize } = await statfs(disk);
    try {
      await command('fallocate', '-l', String(Math.max(bsize, bavail * bsize - left)), filler);
      return filler;
    } catch (error) {
      // Somebody else, the database, took space after the look at how much there is.
      await rm(filler, { force: true });
      if (tried === FILLS_MAX) throw error;
    }
  }
}

/** Waits until an event is refused; resolves with how. */
async function untilRefused(load: Load): Promise<string | undefined> {
  const before = (await load.report()).refusals;
  for (const begun = performance.now(); performance.now() - begun < NOTICE_MS_MAX; await sleep(LOOK_MS)) {
    const { refusals } = await load.report();
    const grown = Object.keys(refusals).find(
      (what) => what.startsWith('events') && (refusals[what] ?? 0) > (before[what] ?? 0),
    );
    if (grown !== undefined) return grown;
  }
  return undefined;
}

/** Makes space and waits until more events are acknowledged. Resolves with how long that took, in milliseconds. */
async function untilBack(load: Load, free: () => Promise<void>): Promise<number> {
  const before = (await load.report()).events.acknowledged;
  const begun = performance.now();
  await free();
  for (;;) {
    const { events } = await load.report();
    if (events.acknowledged > before) return performance.now() - begun;
    if (performance.now() - begun > 6 * BACK_MS_MAX) return Infinity;
    await sleep(LOOK_MS);
  }
}

/** Which processes serve, as one text. */
async function pidsOf(platform: Platform): Promise<string> {
  const living = await platform.living();
  return living
    .map(({ service, slot, pid }) => `${service}-${String(slot)} ${String(pid)}`)
    .sort()
    .join(', ');
}

function loadViolations({ decisions, wrong, failures, refusals }: LoadReport): string[] {
  const tried = Object.entries(refusals).filter(([what]) => what.startsWith('decide'));
  return [
    ...(decisions.failed > 0
      ? [`${String(decisions.failed)} decisions failed: ${JSON.stringify(failures[0])}`]
      : []),
    ...tried.map(([what, count]) => `${what} ${String(count)} times`),
    ...wrong,
  ];
}
