import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../../src/adapters/postgres/embedded/processes.ts';
import { killTree } from '../../examples/driver/process-tree.ts';
import { isAlive } from '../../src/cli/process-identity.ts';
import { SERVICE_NAMES } from '../../src/contract/index.ts';
import { SeededRandom } from '../../src/ml/random.ts';
import type { FailPointName } from '../../src/runtime/index.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { FailPointOrders } from './support/fail-point-orders.ts';
import { type LoadResult, startLoad } from './support/load.ts';
import { Platform } from './support/platform.ts';
import { correctBad, type DriverContext, FIRST_START, POINT_PLANS } from './support/point-drivers.ts';
import { finishRun, prepareReleases, startRun } from './support/releases.ts';
import { Requests } from './support/requests.ts';
import { makeTarget } from './support/target.ts';
import { compareWithTruth, embeddedUrl } from './support/truth.ts';

/** Pause before something is driven once more, in milliseconds. */
const DRIVE_MS = 300;
/** Fixed numbers: load is not to start or stop any meanwhile. */
const REPLICAS = { ingest: 2, features: 1, registry: 1, train: 1, serve: 2, gateway: 1 } as const;
/** Often, so that each kill finds something of it under way. */
const SETTINGS = ['features.snapshotMs=1000', 'features.archiveMs=1000', 'features.archiveFilesMax=4'];

/** How long a point that is armed may take to act, in milliseconds. */
const FIRE_MS_MAX = 60_000;
/** After this the run is given up: something does not come back by itself. In milliseconds. */
const READY_MS_MAX = 90_000;
/** Calm between two kills at most, in milliseconds. */
const CALM_MS_MAX = 1_000;
/** Buffered entries that one killed process of serve may take with it: what came within this time, in milliseconds. */
const BUFFER_MS = 2_000;

/** Who is killed from outside. */
const OUTSIDE = [...SERVICE_NAMES, 'supervisor', 'postmaster', 'everything'] as const;
type Outside = (typeof OUTSIDE)[number];

interface Killed {
  /** A kind of process, or a point. */
  readonly what: Outside | FailPointName;
  readonly readyMs: number;
}

interface Kills {
  readonly context: DriverContext;
  readonly orders: FailPointOrders;
  readonly note: (text: string) => void;
  readonly killed: Killed[];
  /** Points that did not act although everything was done for it. */
  readonly silent: FailPointName[];
  /** Processes of serve that died, which is what loses buffered entries. */
  serves: number;
}

/**
 * SIGKILLs of every kind of process and at every fail-point, while events and decisions flow: `--kills` (default 200,
 * short 20) at `--events` and `--decisions` a second (500 and 200; short 200 and 80), everything ready again within
 * `--readyMs` (5,000; short 20,000) each time, `--everythingMs` (10,000; short 20,000) after the death of everything at
 * once, each decision answered within `--decisionMs` (10,000; short 30,000). `--only=serve,log.append.before` for these
 * and no others.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const kills = Number(values['kills'] ?? (short ? 20 : 200));
  const readyMs = Number(values['readyMs'] ?? (short ? 20_000 : 5_000));
  const everythingMs = Number(values['everythingMs'] ?? (short ? 20_000 : 10_000));
  const decisionsPerSecond = Number(values['decisions'] ?? (short ? 80 : 200));
  const random = new SeededRandom(seed);
  await using orders = await FailPointOrders.open();
  const begun: FailPointName[] = [];
  // One ingest at first: with two the second one migrates while the first is being killed.
  const options = {
    replicas: { ...REPLICAS, ingest: 1 },
    set: SETTINGS,
    environment: orders.environment,
    keepUp: true,
    note,
  };
  await using platform = await Platform.begin(options, async (starting) => {
    await firstStart(starting, orders, begun);
    await starting.untilReady(READY_MS_MAX);
    await starting.scale('ingest', REPLICAS.ingest);
  });
  try {
    await using requests = new Requests(await makeTarget(platform.target));
    const version = await prepareReleases(requests, seed);
    note(`released; died at ${begun.join(', ')} before that`);
    let serial = 0;
    const unique = (): string => `${String(seed)}-${String((serial += 1))}`;
    const context = { platform, requests, random, version, unique, runs: new Set<string>() };
    const state: Kills = { context, orders, note, killed: [], silent: [], serves: 0 };
    await using load = await startLoad({
      target: platform.target,
      seed,
      eventsPerSecond: Number(values['events'] ?? (short ? 200 : 500)),
      decisionsPerSecond,
      decisionMs: Number(values['decisionMs'] ?? (short ? 30_000 : 10_000)),
    });
    const only = values['only']?.split(',') as (Outside | FailPointName)[] | undefined;
    const planned = only ?? schedule(kills, random);
    for (const [index, what] of planned.entries()) {
      await sleep(random.uniform() * CALM_MS_MAX);
      const before = state.killed.length;
      await killAt(state, what);
      const { decisions, failures } = await load.report();
      const { failed, pending } = decisions;
      const took = state.killed.at(-1)?.readyMs ?? 0;
      note(
        `${String(index + 1)}/${String(planned.length)} ${what}: ${before === state.killed.length ? 'did not act' : `ready after ${took.toFixed(0)} ms`}` +
          `; decisions failed ${String(failed)}, open ${String(pending)}` +
          (failures.length === 0 ? '' : ` (last ${failures.at(-1)?.last ?? ''})`),
      );
    }
    const unended = await endRuns(context);
    await correctBad(context);
    const result = await load.stop();
    const truth = await compareWithTruth({
      requests,
      loads: [result],
      seed,
      databaseUrl: await embeddedUrl(platform.dataDir),
      bufferedLossMax: Math.ceil((state.serves * decisionsPerSecond * BUFFER_MS) / 2 / 1_000),
    });
    const limitOf = ({ what }: Killed): number => (what === 'everything' ? everythingMs : readyMs);
    const slow = state.killed.filter((kill) => kill.readyMs > limitOf(kill));
    const violations = [
      ...truth.violations,
      ...unended,
      ...decisionViolations(result),
      ...state.silent.map((point) => `${point} never acted`),
      ...slow.map(
        (kill) => `${kill.what}: ready after ${kill.readyMs.toFixed(0)} ms, not ${String(limitOf(kill))}`,
      ),
    ];
    if (violations.length > 0) platform.failed();
    const counts = { ...truth.counts, ...countsOf(state, begun, result) };
    return { counts, violations, table: tableOf(state.killed) };
  } catch (error) {
    platform.failed();
    throw error;
  }
}

/** Kills at the points that only a new database passes: the embedded server's start and the migrations. */
async function firstStart(
  platform: Platform,
  orders: FailPointOrders,
  begun: FailPointName[],
): Promise<void> {
  for (const point of FIRST_START) {
    const { passages } = POINT_PLANS[point];
    // Once the first process died, whichever service starts next brings the tables up to date.
    for (const service of SERVICE_NAMES) await orders.arm(service, `${point}=kill@${String(passages)}`);
    const fired = await orders.fired(READY_MS_MAX);
    for (const service of SERVICE_NAMES) await orders.disarm(service);
    if (fired === undefined)
      throw new Error(`${point} was not passed at the first start in ${platform.dataDir}`);
    begun.push(point);
  }
}

/** Every kind and every point at least once, if there are that many kills, in random order; then by chance. */
function schedule(kills: number, random: SeededRandom): (Outside | FailPointName)[] {
  const points = (Object.keys(POINT_PLANS) as FailPointName[]).filter(
    (point) => !FIRST_START.includes(point),
  );
  const planned: (Outside | FailPointName)[] = [];
  while (planned.length < kills) planned.push(...random.shuffle([...OUTSIDE, ...points]));
  return planned.slice(0, kills);
}

async function killAt(state: Kills, what: Outside | FailPointName): Promise<void> {
  if (!isOutside(what)) return killInside(state, what);
  const begun = performance.now();
  await killOutside(state, what);
  const readyMs = await state.context.platform.untilReady(READY_MS_MAX, [], begun);
  state.killed.push({ what, readyMs });
}

function isOutside(what: Outside | FailPointName): what is Outside {
  return (OUTSIDE as readonly string[]).includes(what);
}

async function killOutside(state: Kills, kind: Outside): Promise<void> {
  const { platform, random } = state.context;
  if (kind === 'supervisor') return platform.killSupervisor();
  if (kind === 'postmaster') return killAndWait(await platform.postmasterPid());
  if (kind === 'everything') return killEverything(state);
  const living = await platform.living(kind);
  const one = living[random.integer(Math.max(living.length, 1))];
  if (one === undefined) throw new Error(`No process of ${kind} runs`);
  if (kind === 'serve') state.serves += 1;
  await killAndWait(one.pid);
}

/** As when the machine loses its power, but for what the operating system still writes out. */
async function killEverything(state: Kills): Promise<void> {
  const { platform } = state.context;
  const postmaster = await platform.postmasterPid();
  const living = await platform.living();
  state.serves += REPLICAS.serve;
  await platform.killSupervisor();
  await Promise.all(living.map(({ pid }) => killAndWait(pid)));
  if (postmaster !== undefined) await killTree(postmaster);
}

/** Until it is gone: whoever asks sooner may find that everything is ready. */
async function killAndWait(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  signal(pid, 'SIGKILL');
  await died(pid);
}

/** Arms the point in one process, makes it pass, and waits for its death. */
async function killInside(state: Kills, point: FailPointName): Promise<void> {
  const { context, orders, note } = state;
  const { kind, which = 'any', passages, drive } = POINT_PLANS[point];
  const living = kind === 'up' ? [] : await context.platform.living(kind);
  const { pid } = living[context.random.integer(Math.max(living.length, 1))] ?? { pid: 0 };
  const who = { any: kind, next: `${kind}.start`, told: String(pid) }[which];
  await orders.arm(who, `${point}=kill@${String(1 + context.random.integer(passages))}`);
  // Processes look for orders now and then: what is driven before they took this one would pass the point unarmed.
  if (which !== 'next' && drive !== undefined) await orders.taken(who);
  const acted = new AbortController();
  const driving = async (): Promise<void> => {
    // Of several processes another one than the armed one may get what is driven.
    do {
      await drive?.(context, pid).catch((error: unknown) => note(`${point}: ${String(error)}`));
      await sleep(DRIVE_MS, undefined, { signal: acted.signal }).catch(() => undefined);
    } while (which === 'any' && living.length > 1 && !acted.signal.aborted);
  };
  const driven = driving();
  const fired = await orders.fired(FIRE_MS_MAX);
  acted.abort();
  if (kind === 'serve') state.serves += drive === undefined ? 1 : 2;
  if (fired === undefined) {
    await orders.disarm(who);
    state.silent.push(point);
  } else {
    await died(fired.pid);
    // From this kill on, also where another one made it pass the point.
    const begun = performance.now();
    if (kind === 'up') await context.platform.supervisorGone(fired.pid);
    const readyMs = await context.platform.untilReady(READY_MS_MAX, [], begun);
    state.killed.push({ what: point, readyMs });
  }
  await driven;
}

/** A point tells before it acts. */
async function died(pid: number): Promise<void> {
  while (await isAlive({ pid, started: '' })) await sleep(1);
}

/** Every run that was started must come to its end, once, whatever was killed. */
async function endRuns({ requests, runs, unique }: DriverContext): Promise<string[]> {
  const problems: string[] = [];
  const versions = new Map<number, string>();
  runs.add((await startRun(requests, unique())).id);
  for (const id of runs) {
    try {
      const { version } = await finishRun(requests, id);
      if (version === null) problems.push(`run ${id} made no version`);
      else if (versions.has(version))
        problems.push(`runs ${id} and ${versions.get(version) ?? ''} made one version`);
      else versions.set(version, id);
    } catch (error) {
      problems.push(String(error));
    }
  }
  return problems;
}

function decisionViolations({ decisions, wrong, failures }: LoadResult): string[] {
  return [
    ...(decisions.failed > 0
      ? [`${String(decisions.failed)} decisions failed for good: ${JSON.stringify(failures)}`]
      : []),
    ...wrong,
  ];
}

function countsOf(
  { killed, serves, context }: Kills,
  begun: readonly FailPointName[],
  { events, decisions, refusals }: LoadResult,
): Record<string, number> {
  const ready = killed.map(({ readyMs }) => readyMs).sort((left, right) => left - right);
  const at = (share: number): number =>
    Math.round(ready[Math.min(ready.length - 1, Math.floor(share * ready.length))] ?? 0);
  const points = new Set(killed.map(({ what }) => what).filter((what) => Object.hasOwn(POINT_PLANS, what)));
  return {
    kills: killed.length + begun.length,
    points: points.size + begun.length,
    servesKilled: serves,
    runs: context.runs.size,
    readyMsP50: at(0.5),
    readyMsP90: at(0.9),
    readyMsMax: at(1),
    readyOver5s: ready.filter((ms) => ms > 5_000).length,
    events: events.due,
    eventsResent: events.resent,
    decisions: decisions.due,
    decisionsFailed: decisions.failed,
    decisionsLater: decisions.answeredLater,
    machineLoad: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    decisionsMsP50: decisions.latency.p50,
    decisionsMsP99: decisions.latency.p99,
    decisionsMsMax: decisions.latency.max,
    // What the load was told instead of an answer, how often.
    ...refusals,
  };
}

function tableOf(killed: readonly Killed[]): string {
  const byKind = new Map<string, number[]>();
  for (const { what, readyMs } of killed) byKind.set(what, [...(byKind.get(what) ?? []), readyMs]);
  const rows = [...byKind]
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([what, times]) => {
      const sorted = times.sort((left, right) => left - right);
      const [middle, most] = [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0];
      return `| ${what} | ${String(times.length)} | ${(middle / 1_000).toFixed(1)} | ${(most / 1_000).toFixed(1)} |`;
    });
  return ['| killed | times | ready again, s: median | longest |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}
