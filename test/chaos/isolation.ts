import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from '../../examples/driver/process-tree.ts';
import { SERVICE_NAMES, type ServiceName } from '../../src/contract/index.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { type Load, type LoadReport, startLoad } from './support/load.ts';
import { Platform } from './support/platform.ts';
import { type ProbeCounts, Probes } from './support/probes.ts';
import { finishRun, prepareReleases, startRun } from './support/releases.ts';
import { Requests, type Sent } from './support/requests.ts';
import { makeTarget } from './support/target.ts';
import { compareWithTruth, embeddedUrl } from './support/truth.ts';

const REPLICAS = { ingest: 2, features: 1, registry: 1, train: 1, serve: 2, gateway: 1 } as const;
/** How long a probe waits for an answer, in milliseconds. */
const PROBE_MS = 3_000;
/** The first moments after a stop do not count: requests were under way. In milliseconds. */
const SETTLE_MS = 1_000;
/** How long everything may take to be ready again, in milliseconds. */
const READY_MS_MAX = 90_000;

/** What is stopped: a service, or the database. */
type Stopped = ServiceName | 'postgresql';
/** What is asked all the time. */
const PROBES = ['ingest', 'read', 'durable', 'buffered', 'releases', 'runs', 'door'] as const;
type ProbeName = (typeof PROBES)[number];

/**
 * What may happen to a probe. `goes on`: every answer is a success. `refused`: every answer is an honest refusal in
 * time, and none is missing. `away`: the service that is asked is the one that is stopped.
 */
type Promised = 'goes on' | 'refused' | 'away';

/** What is promised of each probe while something is stopped. What is not named goes on. */
const PROMISES: Readonly<Record<Stopped, Readonly<Partial<Record<ProbeName, Promised>>>>> = {
  ingest: { ingest: 'away' },
  features: { read: 'away', durable: 'refused', buffered: 'refused' },
  registry: { releases: 'away', door: 'refused' },
  train: { runs: 'away' },
  serve: { durable: 'away', buffered: 'away' },
  gateway: { door: 'away' },
  postgresql: {
    ingest: 'refused',
    durable: 'refused',
    releases: 'refused',
    runs: 'refused',
    door: 'refused',
  },
};

/** What one stop showed. */
interface Observed {
  readonly stopped: Stopped;
  readonly probes: ReadonlyMap<string, ProbeCounts>;
  /** What became of a run that was started just before. */
  readonly run: string;
  readonly readyMs: number;
  readonly load: Readonly<Record<'events' | 'decisions' | 'failed', number>>;
}

/**
 * Stops each service in turn for `--seconds` (default 60, short 5) while events and decisions flow, and holds what the
 * others do against what is promised of them. Services are scaled to 0; the processes of the database are stopped with
 * SIGSTOP, which is worse than their death: nobody answers and no connection breaks. `--only=features,postgresql`.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const seconds = Number(values['seconds'] ?? (short ? 5 : 60));
  const all = [...SERVICE_NAMES, 'postgresql'] as const;
  const stopping = (values['only']?.split(',') as Stopped[] | undefined) ?? all;
  await using platform = await Platform.start({ replicas: REPLICAS, note });
  try {
    await using requests = new Requests(await makeTarget(platform.target));
    await prepareReleases(requests, seed);
    await using load = await startLoad({
      target: platform.target,
      seed,
      eventsPerSecond: Number(values['events'] ?? (short ? 100 : 500)),
      decisionsPerSecond: Number(values['decisions'] ?? (short ? 40 : 200)),
    });
    const observed: Observed[] = [];
    await using probes = new Probes(requests, probesOf(seed), PROBE_MS);
    for (const stopped of stopping) {
      const { id } = await startRun(requests, `${String(seed)}-${stopped}`);
      const found = await observe({ platform, requests, probes, load, stopped, seconds, run: id });
      observed.push(found);
      note(rowOf(found));
    }
    await probes[Symbol.asyncDispose]();
    const result = await load.stop();
    const truth = await compareWithTruth({
      requests,
      loads: [result],
      seed,
      databaseUrl: await embeddedUrl(platform.dataDir),
      bufferedLossMax: 0,
    });
    const violations = [...truth.violations, ...result.wrong, ...observed.flatMap(violationsOf)];
    if (violations.length > 0) platform.failed();
    const { decisions, events } = result;
    const counts = {
      seconds,
      stopped: observed.length,
      ...truth.counts,
      events: events.due,
      decisions: decisions.due,
      decisionsFailed: decisions.failed,
    };
    return { counts, violations, table: tableOf(observed) };
  } catch (error) {
    platform.failed();
    throw error;
  }
}

function probesOf(seed: number): Readonly<Record<ProbeName, () => Sent>> {
  let serial = 0;
  const order = (): object => ({
    orderId: `probe-${String(seed)}-${String((serial += 1))}`,
    at: Date.now(),
    customerId: 'probe',
    serial: 0,
    risk: 0.5,
  });
  const post = (service: ServiceName, path: string, body: unknown): Sent => ({
    service,
    method: 'POST',
    path,
    body: JSON.stringify(body),
  });
  return {
    ingest: () => post('ingest', '/v1/sources/orders/events', order()),
    read: () => post('features', '/v1/vectors/basket/read', { candidates: [order()] }),
    durable: () => post('serve', '/v1/decisions/accept', order()),
    buffered: () => post('serve', '/v1/decisions/suggest', order()),
    releases: () => ({ service: 'registry', method: 'GET', path: '/v1/current-releases' }),
    door: () => ({ service: 'gateway', method: 'GET', path: '/v1/current-releases' }),
    runs: () => ({ service: 'train', method: 'GET', path: '/v1/models/returning/runs?limit=1' }),
  };
}

interface Observation {
  readonly platform: Platform;
  readonly requests: Requests;
  readonly probes: Probes;
  readonly load: Load;
  readonly stopped: Stopped;
  readonly seconds: number;
  readonly run: string;
}

async function observe(task: Observation): Promise<Observed> {
  const { platform, requests, probes, load, stopped, seconds, run } = task;
  const before = await load.report();
  const resume = await stop(platform, stopped);
  let during: LoadReport;
  let found: ReadonlyMap<string, ProbeCounts>;
  try {
    // What was under way when it stopped may take as long as a probe waits.
    await sleep(PROBE_MS + SETTLE_MS);
    probes.take();
    await sleep(seconds * 1_000);
    found = probes.take();
    during = await load.report();
  } finally {
    await resume();
  }
  const readyMs = await platform.untilReady(READY_MS_MAX);
  const ended = await finishRun(requests, run).then(
    ({ version }) => `done, version ${String(version)}`,
    (error: unknown) => String(error),
  );
  return {
    stopped,
    probes: found,
    run: ended,
    readyMs,
    load: {
      events: during.events.acknowledged - before.events.acknowledged,
      decisions: during.decisions.answered - before.decisions.answered,
      failed: during.decisions.failed - before.decisions.failed,
    },
  };
}

/** Stops it; the answer puts it back. */
async function stop(platform: Platform, stopped: Stopped): Promise<() => Promise<void>> {
  if (stopped === 'postgresql') {
    const postmaster = await platform.postmasterPid();
    if (postmaster === undefined) throw new Error('The database does not run');
    const pids = await processTree(postmaster);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    return async () => {
      for (const pid of await processTree(postmaster)) process.kill(pid, 'SIGCONT');
    };
  }
  const replicas = (await platform.processes(stopped)).length;
  await platform.scale(stopped, 0);
  return () => platform.scale(stopped, replicas);
}

function violationsOf({ stopped, probes, run }: Observed): string[] {
  const violations = run.startsWith('done') ? [] : [`${stopped} stopped: ${run}`];
  for (const probe of PROBES) {
    const promised = PROMISES[stopped][probe] ?? 'goes on';
    const counts = probes.get(probe);
    const found = counts === undefined ? 'was not asked' : whatHappened(counts);
    const { answered = 0, refused = 0, silent = 0, wrong = [] } = counts ?? {};
    const isKept = {
      'goes on': answered > 0 && refused + silent + wrong.length === 0,
      refused: refused > 0 && answered + silent + wrong.length === 0,
      away: answered + wrong.length === 0,
    }[promised];
    if (!isKept) violations.push(`${stopped} stopped: ${probe} was to be '${promised}', but ${found}`);
  }
  return violations;
}

function whatHappened({ answered, refused, codes, silent, wrong, answerMsMax }: ProbeCounts): string {
  const parts = [
    ...(answered > 0 ? [`${String(answered)} answered`] : []),
    ...(refused > 0 ? [`${String(refused)} refused (${[...codes.keys()].join(', ')})`] : []),
    ...(silent > 0 ? [`${String(silent)} without an answer`] : []),
    ...(wrong.length > 0 ? [`${String(wrong.length)} wrong: ${wrong[0] ?? ''}`] : []),
  ];
  return `${parts.join(', ')}${answered + refused > 0 ? `, ${answerMsMax.toFixed(0)} ms at most` : ''}`;
}

function rowOf({ stopped, probes, run, readyMs, load }: Observed): string {
  const cells = PROBES.map((probe) => {
    const counts = probes.get(probe);
    const isAway = PROMISES[stopped][probe] === 'away';
    return counts === undefined ? '-' : isAway && counts.answered === 0 ? 'stopped' : whatHappened(counts);
  });
  const flow = `${String(load.events)} events, ${String(load.decisions)} decisions, ${String(load.failed)} given up`;
  return `| ${[stopped, ...cells, run, flow, (readyMs / 1_000).toFixed(1)].join(' | ')} |`;
}

function tableOf(observed: readonly Observed[]): string {
  const head = [
    'stopped',
    'ingest: one event',
    'features: a vector',
    'serve: a durable decision',
    'serve: a buffered decision',
    'registry: releases',
    'train: runs',
    'gateway: releases',
    'a run started just before',
    'load meanwhile',
    'all ready again, s',
  ];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...observed.map(rowOf)].join('\n');
}
