import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '../src/adapters/system/index.ts';
import { workerThreads } from '../src/adapters/threads/index.ts';
import { type Event, partitionOf, SOURCE_PARTITIONS, STATE_PARTITIONS } from '../src/contract/index.ts';
import type { Logger, Metrics } from '../src/runtime/index.ts';
import { featuresThreads } from '../src/services/features/index.ts';
import { compilePlan, type VectorPlan } from '../src/services/features/plan.ts';
import { plainDefinitions } from '../src/services/features/state/definitions.ts';
import { LocalState, type StateOptions } from '../src/services/features/state/local-state.ts';
import type { Records, StateHost } from '../src/services/features/state/state-host.ts';
import { ThreadedState } from '../src/services/features/state/threaded-state.ts';
import app from './fixtures/ingest/app.ts';
import type { Measurement } from './run.ts';

/*
 * What threads for the online state cost a read, and what they give while records are applied: the state alone, without log and HTTP,
 * in this thread (0) and in 1 and 2 others, one after the other in one run. CPU is of all threads together, so it says more than
 * times do on a busy machine. The main thread's share is what is left for whoever answers.
 */

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 200_000);
const READS = Number(process.env['BENCH_READS'] ?? 5_000);
const CUSTOMERS = 20_000;
const BATCH = 500;
/** Reads at a time, where they come together. */
const TOGETHER = 32;
/** While records are applied, a read is made each so many milliseconds. */
const READ_EACH_MS = 5;
/** So that all events lie in the windows. */
const START = Date.now() - 20 * 60_000;

const plan = compilePlan(app);
const SOURCE = 'payments';
const logger: Logger = { info: () => undefined, warn: () => undefined, error: console.error };
const metrics: Metrics = {
  counter: () => ({ add: () => undefined }),
  gauge: () => ({ set: () => undefined }),
  histogram: () => ({ observe: () => undefined }),
};

export async function measure(): Promise<Measurement> {
  const vector = plan.vectors.get('spending');
  if (vector === undefined) throw new Error('the app has a vector');
  const found: Record<string, number> = {};
  for (const count of [0, 1, 2]) {
    const state = hostOf(count);
    for (let partition = 0; partition < STATE_PARTITIONS; partition += 1)
      await state.attach(partition, undefined);
    await applyAll(state, batchesOf(0, EVENTS));
    await state.refresh();
    const measured = {
      ...(await measureReads(state, vector)),
      ...(await measureApply(state, vector)),
    };
    for (const [name, value] of Object.entries(measured)) found[`threads${String(count)}${name}`] = value;
    await state.stop();
  }
  return { metrics: found, goals: [] };
}

function hostOf(count: number): StateHost {
  const options: StateOptions = {
    partitions: new Map([...plan.sources.keys()].map((name) => [name, SOURCE_PARTITIONS])),
    readBehindMs: 10_000,
    statePartitions: STATE_PARTITIONS,
    eventClock: false,
  };
  const clock = systemClock();
  const turn = (): Promise<void> => clock.sleep(0);
  if (count === 0)
    return new LocalState(plan, options, { sliceMs: 8, monotonic: () => clock.monotonic(), turn });
  const definitions = plainDefinitions(app);
  const threads = workerThreads(featuresThreads);
  const core = (): Promise<undefined> => Promise.resolve(undefined);
  return new ThreadedState({
    plan,
    definitions,
    state: options,
    threads,
    count,
    clock,
    logger,
    metrics,
    core,
  });
}

/** One read after the other, and many at a time: microseconds of each. */
async function measureReads(state: StateHost, vector: VectorPlan): Promise<Record<string, number>> {
  const alone = createHistogram();
  const cpuAlone = await cpuSeconds(async () => {
    for (let index = 0; index < READS; index += 1)
      alone.record(await timed(() => readOne(state, vector, index)));
  });
  const cpuTogether = await cpuSeconds(async () => {
    for (let index = 0; index < READS; index += TOGETHER)
      await Promise.all(Array.from({ length: TOGETHER }, (_, more) => readOne(state, vector, index + more)));
  });
  return {
    ReadCpuUs: (cpuAlone / READS) * 1e6,
    ReadUsP50: alone.percentile(50) / 1_000,
    ReadUsP99: alone.percentile(99) / 1_000,
    TogetherReadCpuUs: (cpuTogether / READS) * 1e6,
  };
}

/** Records as fast as they are taken, and a read now and then beside them. */
async function measureApply(state: StateHost, vector: VectorPlan): Promise<Record<string, number>> {
  const batches = batchesOf(EVENTS, 2 * EVENTS);
  const reads = createHistogram();
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const clock = systemClock();
  let isOver = false;
  const reader = async (): Promise<void> => {
    for (let index = 0; !isOver; index += 1) {
      reads.record(await timed(() => readOne(state, vector, index)));
      await clock.sleep(READ_EACH_MS);
    }
  };
  const mainBefore = process.threadCpuUsage();
  const begun = performance.now();
  loop.enable();
  const reading = reader();
  const cpu = await cpuSeconds(async () => {
    await applyAll(state, batches);
    await state.refresh();
  });
  const seconds = (performance.now() - begun) / 1_000;
  const main = process.threadCpuUsage(mainBefore);
  loop.disable();
  isOver = true;
  await reading;
  return {
    ApplyEventsPerSecond: EVENTS / seconds,
    ApplyCpuUsPerEvent: (cpu / EVENTS) * 1e6,
    ApplyMainCpuUsPerEvent: (main.user + main.system) / EVENTS,
    ReadWhileApplyingMsP50: reads.percentile(50) / 1e6,
    ReadWhileApplyingMsP99: reads.percentile(99) / 1e6,
    LoopDelayMsP99: loop.percentile(99) / 1e6,
    LoopDelayMsMax: loop.max / 1e6,
  };
}

async function applyAll(state: StateHost, batches: readonly Records[]): Promise<void> {
  for (const batch of batches) {
    state.advance(Date.now());
    await state.apply(SOURCE, batch);
  }
}

async function readOne(state: StateHost, vector: VectorPlan, serial: number): Promise<void> {
  state.advance(Date.now());
  const ask = { event: eventOf(serial), instant: state.clock, groups: [...vector.groups.keys()] };
  await state.read(vector, [ask], 'wanted');
}

/** Next offsets, by partition. */
const offsets = new Map<number, number>();

/** Records as the log has them: batches of one partition each. */
function batchesOf(from: number, to: number): Records[] {
  if (from === 0) offsets.clear();
  const waiting = new Map<number, Uint8Array[]>();
  const batches: Records[] = [];
  const flush = (partition: number, records: readonly Uint8Array[]): void => {
    const base = offsets.get(partition) ?? 0;
    offsets.set(partition, base + records.length);
    batches.push({
      partition,
      base,
      count: records.length,
      record: (index) => records[index] ?? new Uint8Array(),
    });
    waiting.delete(partition);
  };
  for (let serial = from; serial < to; serial += 1) {
    const record = recordOf(serial);
    const partition = partitionOf(String(record['customerId']), SOURCE_PARTITIONS);
    const records = waiting.get(partition) ?? [];
    waiting.set(partition, records);
    records.push(Buffer.from(JSON.stringify(record)));
    if (records.length === BATCH) flush(partition, records);
  }
  for (const [partition, records] of waiting) flush(partition, records);
  return batches;
}

function recordOf(serial: number): Record<string, unknown> {
  const mixed = Math.imul(serial + 1, 0x9e3779b1) >>> 0;
  return {
    paymentId: `payment-${String(serial)}`,
    at: START + serial,
    customerId: `customer-${String(mixed % CUSTOMERS)}`,
    shopId: `shop-${String((mixed >>> 9) % 5_000)}`,
    amount: ((mixed >>> 3) % 40_000) / 100,
  };
}

function eventOf(serial: number): Event {
  const result = plan.sources.get(SOURCE)?.read({ ...recordOf(serial), paymentId: `read-${String(serial)}` });
  if (result === undefined || !('event' in result)) throw new Error('it is an event');
  return result.event;
}

/** Nanoseconds. */
async function timed(work: () => Promise<void>): Promise<number> {
  const before = performance.now();
  await work();
  return Math.max(1, Math.round((performance.now() - before) * 1e6));
}

/** Of all threads. */
async function cpuSeconds(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
