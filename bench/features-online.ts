import { performance } from 'node:perf_hooks';
import { type Event, SOURCE_PARTITIONS, STATE_PARTITIONS } from '../src/contract/index.ts';
import { OnlineState } from '../src/services/features/online/online-state.ts';
import { Shard } from '../src/services/features/online/shard.ts';
import { compilePlan, type Plan } from '../src/services/features/plan.ts';
import app from './fixtures/ingest/app.ts';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';
import { OnlineStream } from './support/online-stream.ts';

/*
 * Online features of one process that owns every state partition: 18 windowed features (3 windows, 6 aggregates) in tiles
 * of 1 min, 20 min and 12 h. What it
 * costs to make events of records is measured apart from what it costs to apply them, in the same batches. CPU is the
 * process's own, the collector's and the compiler's threads included, so it says more than the clock on a busy machine.
 */

const ROUNDS = 5;
/** Events of a round, and six times as many before the first. */
const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 250_000);
const READS = Number(process.env['BENCH_READS'] ?? 500_000);
/** Keys of both streams; a small run can do with fewer. */
const MANY_KEYS = Number(process.env['BENCH_KEYS'] ?? 100_000);
const FEW_KEYS = MANY_KEYS / 10;
const FILL_ROUNDS = 6;
/** Records of a batch of the log: few enough that their events are still in the second cache when they are applied. */
const BATCH = 512;
/** So many does the service apply between two looks at the clock. */
const SLICE = 64;
const HOUR_MS = 3_600_000;
/** A key of 100,000 has an event every three hours. */
const STEP_MS = 108;

const SOURCE = 'payments';
const VECTOR = 'spending';

// Async as all of them are.
export async function measure(): Promise<Measurement> {
  const plan = compilePlan(app);
  const few = measureStream(plan, FEW_KEYS);
  const many = measureStream(plan, MANY_KEYS);
  await Promise.resolve();
  const metrics = {
    manyKeys: MANY_KEYS,
    manyKeysEventsPerCpuSecond: many.eventsPerCpuSecond,
    manyKeysDecodeCpuUsPerEvent: many.decodeUs,
    manyKeysFromBytesEventsPerCpuSecond: many.fromBytesPerCpuSecond,
    manyKeysBytesPerKey: many.bytesPerKey,
    fewKeysEventsPerCpuSecond: few.eventsPerCpuSecond,
    fewKeysDecodeCpuUsPerEvent: few.decodeUs,
    fewKeysFromBytesEventsPerCpuSecond: few.fromBytesPerCpuSecond,
    fewKeysBytesPerKey: few.bytesPerKey,
    bytesPerId: many.bytesPerId,
    vectorReadUsP50: many.readUsP50,
    vectorReadUsP99: many.readUsP99,
    vectorsPerCpuSecond: many.vectorsPerCpuSecond,
  };
  return {
    metrics,
    goals: [
      { metric: 'manyKeysEventsPerCpuSecond', goal: 600_000 },
      { metric: 'fewKeysEventsPerCpuSecond', goal: 2_000_000 },
      { metric: 'vectorReadUsP99', goal: 50, bound: 'max' },
    ],
  };
}

interface Figures {
  readonly eventsPerCpuSecond: number;
  readonly decodeUs: number;
  readonly fromBytesPerCpuSecond: number;
  readonly bytesPerKey: number;
  readonly bytesPerId: number;
  readonly readUsP50: number;
  readonly readUsP99: number;
  readonly vectorsPerCpuSecond: number;
}

function measureStream(plan: Plan, keys: number): Figures {
  const state = new OnlineState(
    plan,
    new Map([...plan.sources.keys()].map((name) => [name, SOURCE_PARTITIONS])),
    {
      readBehindMs: 10_000,
      statePartitions: STATE_PARTITIONS,
    },
  );
  for (let partition = 0; partition < STATE_PARTITIONS; partition += 1)
    state.attach(new Shard(plan, partition));
  const stream = new OnlineStream({
    keys,
    stepMs: STEP_MS,
    lateShare: 0.02,
    lateMsMax: 24 * HOUR_MS,
    againShare: 0.01,
  });
  for (let round = 0; round < FILL_ROUNDS; round += 1) feed(plan, state, stream);
  const rounds = Array.from({ length: ROUNDS }, () => feed(plan, state, stream));
  const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const [size] = state.sizes();
  const { ids, bytes } = state.core.idsOf(SOURCE);
  return {
    eventsPerCpuSecond: of((round) => round.events / round.apply),
    decodeUs: of((round) => (round.decode / round.events) * 1e6),
    fromBytesPerCpuSecond: of((round) => round.events / (round.apply + round.decode)),
    bytesPerKey: (size?.bytes ?? 0) / (size?.keys ?? 1),
    bytesPerId: bytes / ids,
    ...readVectors(plan, state, stream),
  };
}

/** Seconds of CPU. */
interface Round {
  readonly events: number;
  readonly decode: number;
  readonly apply: number;
}

/** Decodes and applies records batch by batch, as the service does; making them is not counted. */
function feed(plan: Plan, state: OnlineState, stream: OnlineStream): Round {
  const sourcePlan = plan.sources.get(SOURCE);
  if (sourcePlan === undefined) throw new Error('the plan has no payments');
  let decode = 0;
  let apply = 0;
  let events = 0;
  while (events < EVENTS) {
    const batch = stream.batch(Math.min(BATCH, EVENTS - events));
    const decoded: Event[] = [];
    decode += cpuSeconds(() => {
      for (let index = 0; index < batch.count; index += 1) {
        const event = sourcePlan.records.read(batch, index);
        if (event !== undefined) decoded.push(event);
      }
    });
    apply += cpuSeconds(() => {
      state.advance(batch.time);
      for (let from = 0; from < decoded.length; from += SLICE)
        state.applyAll(SOURCE, batch.partition, batch.base + from, decoded.slice(from, from + SLICE));
    });
    events += decoded.length;
  }
  return { events, decode, apply };
}

function readVectors(
  plan: Plan,
  state: OnlineState,
  stream: OnlineStream,
): Pick<Figures, 'readUsP50' | 'readUsP99' | 'vectorsPerCpuSecond'> {
  const vectorPlan = plan.vectors.get(VECTOR);
  if (vectorPlan === undefined) throw new Error('the plan has no vector');
  const { read } = vectorPlan.candidate;
  const times = new Float64Array(READS);
  let cpu = 0;
  for (let from = 0; from < READS; from += BATCH) {
    const candidates: Event[] = [];
    for (let index = from; index < Math.min(READS, from + BATCH); index += 1) {
      const result = read(stream.candidate(index % SOURCE_PARTITIONS));
      if ('event' in result) candidates.push(result.event);
    }
    cpu += cpuSeconds(() => {
      for (const [index, candidate] of candidates.entries()) {
        const startedAt = performance.now();
        state.read(vectorPlan, candidate, state.clock);
        times[from + index] = (performance.now() - startedAt) * 1e3;
      }
    });
  }
  times.sort();
  return {
    readUsP50: times[Math.floor(READS * 0.5)] ?? Number.NaN,
    readUsP99: times[Math.floor(READS * 0.99)] ?? Number.NaN,
    vectorsPerCpuSecond: READS / cpu,
  };
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
