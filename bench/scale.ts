import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { routes, type ServiceName } from '../src/contract/index.ts';
import { Platform } from '../test/chaos/support/platform.ts';
import { prepareReleases } from '../test/chaos/support/releases.ts';
import { Requests } from '../test/chaos/support/requests.ts';
import { makeTarget, type TargetRecipe } from '../test/chaos/support/target.ts';
import { gatewayTarget } from '../test/support/gateway-target.ts';
import type { LoadOrder, RateOrder, SecondReport } from './fixtures/scale/load-process.ts';
import type { Measurement } from './run.ts';

/** A tenth of the load, and all of it, in requests a second through the gateway. */
const RATE = { low: 12, high: 120 } as const;
const SECONDS = { low: 8, high: 20, training: 8, turns: 2, settle: 15, calm: 3 } as const;
/** Latency is back when three seconds in a row have a p99 of at most twice that before the step. */
const BACK = { factor: 2, seconds: 3 } as const;
const LOOK_MS = 25;
const RUN_LOOK_MS = 200;
const SEED = 5;

const note = (text: string): void => console.error(text);

/**
 * How fast `tandem up` follows ten times the load on serve and then on ingest, whether a request fails meanwhile, and what
 * training costs serve: real processes, real HTTP through the gateway, each request sent once, the sender in a process of its
 * own.
 */
export async function measure(): Promise<Measurement> {
  const app = fileURLToPath(new URL('fixtures/scale/app.ts', import.meta.url));
  await using platform = await Platform.start({ app, note });
  const target = gatewayTarget(platform.dataDir);
  await using requests = new Requests(await makeTarget(target));
  await prepareReleases(requests, SEED);
  note('released');
  const serve = await step(platform, target, 'serve');
  const ingest = await step(platform, target, 'ingest');
  const training = await beside(platform, target, requests);
  const failed = serve.failed + ingest.failed + training.failed;
  return {
    metrics: {
      ...prefixed('serve', serve),
      ...prefixed('ingest', ingest),
      ...training,
      failed,
    },
    goals: [
      { metric: 'serveFollowSeconds', goal: 5, bound: 'max' },
      { metric: 'ingestFollowSeconds', goal: 5, bound: 'max' },
      { metric: 'serveBackSeconds', goal: 10, bound: 'max' },
      { metric: 'ingestBackSeconds', goal: 10, bound: 'max' },
      { metric: 'failed', goal: 0, bound: 'max' },
      { metric: 'trainingCostPercent', goal: 20, bound: 'max' },
    ],
  };
}

type Numbers = Readonly<Record<string, number>>;

function prefixed(name: string, numbers: Numbers): Numbers {
  return Object.fromEntries(
    Object.entries(numbers).map(([metric, value]) => [
      `${name}${metric[0]?.toUpperCase() ?? ''}${metric.slice(1)}`,
      value,
    ]),
  );
}

/** Ten times the load from one moment to the next. */
async function step(platform: Platform, target: TargetRecipe, service: 'serve' | 'ingest') {
  await using load = new Load({ target, what: service === 'serve' ? 'decide' : 'ingest' });
  load.rate(RATE.low);
  await sleep(SECONDS.low * 1_000);
  const before = load.take();
  const stepAt = Date.now();
  load.rate(RATE.high);
  const counts: { readonly at: number; readonly ready: number }[] = [];
  const first = (await readyOf(platform, service)) || 1;
  for (let ready = -1; Date.now() - stepAt < SECONDS.high * 1_000; await sleep(LOOK_MS)) {
    const now = await readyOf(platform, service);
    if (now !== ready) counts.push({ at: Date.now(), ready: now });
    ready = now;
  }
  const after = load.take();
  const most = Math.max(...counts.map(({ ready }) => ready));
  const more = counts.find(({ ready }) => ready > first)?.at ?? Infinity;
  const all = counts.find(({ ready }) => ready === most)?.at ?? Infinity;
  // The middle second: on a shared machine the worst one says little.
  const calm = median(before.slice(2).map(({ p99Ms }) => p99Ms));
  const numbers = {
    replicasBefore: first,
    replicasAfter: most,
    /** Until the first further process is ready, and until all are. */
    followSeconds: seconds(more, stepAt),
    allSeconds: seconds(all, stepAt),
    backSeconds: seconds(backAt(after, calm), stepAt),
    p99MsBefore: calm,
    p99MsAfter: median(after.slice(-8).map(({ p99Ms }) => p99Ms)),
    p99MsWorst: Math.max(...after.map(({ p99Ms }) => p99Ms)),
    answered: sum([...before, ...after].map(({ answered }) => answered)),
    failed: failuresOf([...before, ...after]),
  };
  note(`${service}: ${JSON.stringify(numbers)}`);
  return numbers;
}

/** When the first of enough calm seconds in a row began. */
function backAt(after: readonly SecondReport[], calmMs: number): number {
  const isCalm = ({ p99Ms }: SecondReport): boolean => p99Ms <= BACK.factor * calmMs;
  const found = after.findIndex(
    (_, index) =>
      after.length - index >= BACK.seconds && after.slice(index, index + BACK.seconds).every(isCalm),
  );
  const report = after[found];
  return report === undefined ? Infinity : report.endedAt - 1_000;
}

/** The same load on serve without and with training beside it, in turns. */
async function beside(platform: Platform, target: TargetRecipe, requests: Requests) {
  await using load = new Load({ target, what: 'decide' });
  load.rate(RATE.high);
  // Until the processes that this load calls for are there.
  await sleep(SECONDS.settle * 1_000);
  load.take();
  const alone: SecondReport[] = [];
  const trained: SecondReport[] = [];
  let runs = 0;
  for (let turn = 0; turn < SECONDS.turns; turn += 1) {
    await sleep(SECONDS.training * 1_000);
    alone.push(...load.take());
    runs += await trainFor(requests, SECONDS.training * 1_000);
    trained.push(...load.take());
    await sleep(SECONDS.calm * 1_000);
    load.take();
  }
  const p99MsAlone = median(alone.map(({ p99Ms }) => p99Ms));
  const p99MsTraining = median(trained.map(({ p99Ms }) => p99Ms));
  const numbers = {
    trainingRuns: runs,
    p99MsAlone,
    p99MsTraining,
    p50MsAlone: median(alone.map(({ p50Ms }) => p50Ms)),
    p50MsTraining: median(trained.map(({ p50Ms }) => p50Ms)),
    trainingCostPercent: (p99MsTraining / p99MsAlone - 1) * 100,
    failed: failuresOf([...alone, ...trained]),
  };
  note(`training: ${JSON.stringify(numbers)}; serve ${String(await readyOf(platform, 'serve'))}`);
  return numbers;
}

/** Keeps a run going, one after another, and cancels the last one; resolves with how many were begun. */
async function trainFor(requests: Requests, ms: number): Promise<number> {
  const until = performance.now() + ms;
  let begun = 0;
  while (performance.now() < until) {
    const body = { idempotencyKey: `bench-${String(Date.now())}` };
    const run = await requests.call(routes.startRun, { params: { model: 'heavy' }, body });
    begun += 1;
    let { state } = run;
    while ((state === 'queued' || state === 'running') && performance.now() < until) {
      await sleep(RUN_LOOK_MS);
      ({ state } = await requests.call(routes.getRun, { params: { id: run.id } }));
    }
    if (state === 'queued' || state === 'running') {
      await requests.call(routes.cancelRun, { params: { id: run.id } });
    }
  }
  return begun;
}

async function readyOf(platform: Platform, service: ServiceName): Promise<number> {
  return (await platform.processes(service)).filter(({ state }) => state === 'ready').length;
}

/** The load, in a process of its own. */
class Load implements AsyncDisposable {
  readonly #child: ChildProcess;
  #seconds: SecondReport[] = [];

  constructor(order: LoadOrder) {
    const file = fileURLToPath(new URL('fixtures/scale/load-process.ts', import.meta.url));
    this.#child = fork(file, [JSON.stringify(order)], { execArgv: ['--conditions=tandem-source'] });
    this.#child.on('message', (report: SecondReport) => this.#seconds.push(report));
  }

  rate(perSecond: number): void {
    this.#child.send({ perSecond } satisfies RateOrder);
  }

  /** The seconds since the last time. */
  take(): SecondReport[] {
    const taken = this.#seconds;
    this.#seconds = [];
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.rate(0);
    await ended;
  }
}

function failuresOf(reports: readonly SecondReport[]): number {
  for (const text of reports.flatMap(({ failures }) => failures).slice(0, 5)) note(`failed: ${text}`);
  return sum(reports.map(({ failed }) => failed));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

function seconds(at: number, from: number): number {
  return (at - from) / 1_000;
}
