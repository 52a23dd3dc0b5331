import {
  compileEventReader,
  partitionOf,
  SOURCE_PARTITIONS,
  STATE_PARTITIONS,
} from '../src/contract/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  features,
  id,
  key,
  label,
  logistic,
  mean,
  money,
  source,
  sum,
  timestamp,
  vector,
} from '../src/define/index.ts';
import { OnlineState } from '../src/services/features/online/online-state.ts';
import { Shard } from '../src/services/features/online/shard.ts';
import { compilePlan, type VectorPlan } from '../src/services/features/plan.ts';
import type { Measurement } from './run.ts';

/*
 * Online features of one process that owns every state partition: records from bytes to state, and vectors of 32
 * candidates. Groups as in the fraud example: an exact one by customer, an exact one over a matured label by terminal, and
 * one with tiles. CPU is the process's own, so it says more than the rates on a busy machine.
 */

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 400_000);
const CUSTOMERS = 5_000;
const TERMINALS = 10_000;
const CANDIDATES = 32;
const READS = 2_000;
const START = Date.UTC(2026, 0, 1);
const STEP_MS = 2_000;

const transactions = source('transactions', {
  id: 'transactionId',
  time: 'at',
  key: 'customerId',
  fields: {
    transactionId: id(),
    at: timestamp(),
    customerId: key(),
    terminalId: key(),
    amount: money('EUR'),
  },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'transactionId',
  fields: { reportId: id(), at: timestamp(), transactionId: key() },
});
const fraud = label('fraud', { of: transactions, from: reports, on: 'transactionId', maturesAfter: '7d' });
const customer = features('customer', { from: transactions, key: 'customerId', hop: 'exact' }, (t) => ({
  count: count().over('1d', '7d', '30d'),
  amount: mean(t.amount).over('1d', '7d', '30d'),
}));
const terminal = features('terminal', { from: fraud.matured(), key: 'terminalId', hop: 'exact' }, (t) => ({
  count: count().over('1d', '7d', '30d'),
  risk: mean(t.fraud).over('1d', '7d', '30d'),
}));
const spending = features('spending', { from: transactions, key: 'customerId' }, (t) => ({
  total: sum(t.amount).over('1d'),
}));
const exact = vector('exact', { candidate: transactions, customer, terminal });
const tiled = vector('tiled', { candidate: transactions, customer, spending });
const model = defineModel('fraud', { vector: exact, label: fraud, trainer: logistic() });
const other = defineModel('spending', { vector: tiled, label: fraud, trainer: logistic() });
const app = defineApp('bench', {
  decisions: { score: decision('score', { model, subject: 'customerId' }) },
  models: [other],
});

export async function measure(): Promise<Measurement> {
  const plan = compilePlan(app);
  const records = Array.from({ length: EVENTS }, (_, serial) => Buffer.from(JSON.stringify(record(serial))));
  const partitions = new Map([...plan.sources.keys()].map((name) => [name, SOURCE_PARTITIONS]));
  const state = new OnlineState(plan, partitions, { readBehindMs: 0, statePartitions: STATE_PARTITIONS });
  for (let partition = 0; partition < STATE_PARTITIONS; partition += 1)
    state.attach(new Shard(plan, partition));
  const read = compileEventReader(transactions);
  const offsets = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  const applySeconds = cpuSeconds(() => {
    for (const [serial, bytes] of records.entries()) {
      const result = read(JSON.parse(bytes.toString('utf8')));
      if (!('event' in result)) throw new Error('a record is no event');
      const partition = partitionOf(result.event.key, SOURCE_PARTITIONS);
      const offset = offsets[partition] ?? 0;
      offsets[partition] = offset + 1;
      if (serial % 64 === 0) state.advance(result.event.time);
      state.apply('transactions', partition, offset, result.event);
    }
  });
  const metrics: Record<string, number> = {
    applyEventsPerCpuSecond: EVENTS / applySeconds,
    stateBytesPerEvent: state.sizes().reduce((total, size) => total + size.bytes, 0) / EVENTS,
  };
  for (const name of ['exact', 'tiled']) {
    const vectorPlan = plan.vectors.get(name);
    if (vectorPlan !== undefined)
      metrics[`${name}Read32CpuMicroseconds`] = readMicroseconds(state, vectorPlan, read);
  }
  return { metrics, goals: [] };
}

function readMicroseconds(
  state: OnlineState,
  vectorPlan: VectorPlan,
  read: ReturnType<typeof compileEventReader>,
): number {
  const seconds = cpuSeconds(() => {
    for (let round = 0; round < READS; round += 1) {
      for (let index = 0; index < CANDIDATES; index += 1) {
        const result = read({ ...record(EVENTS + round * CANDIDATES + index), at: state.clock });
        if ('event' in result) state.read(vectorPlan, result.event, state.clock);
      }
    }
  });
  return (seconds / READS) * 1e6;
}

function record(serial: number): Record<string, unknown> {
  const mixed = Math.imul(serial + 1, 0x9e3779b1) >>> 0;
  return {
    transactionId: `transaction-${String(serial)}`,
    at: START + serial * STEP_MS,
    customerId: `customer-${String(mixed % CUSTOMERS)}`,
    terminalId: `terminal-${String((mixed >>> 7) % TERMINALS)}`,
    amount: (mixed % 10_000) / 100,
  };
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
