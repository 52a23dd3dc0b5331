import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '../src/adapters/postgres/embedded/index.ts';
import { openPostgres, type Postgres } from '../src/adapters/postgres/pool.ts';
import type { Measurement } from './run.ts';
import { cpuTime } from './support/cpu-time.ts';

/*
 * The event log on the embedded server, one client process, events of 500 bytes. Every append is acknowledged
 * only when the server has it on disk. CPU is what the processes used, so it says more than the rates on a
 * busy machine.
 */

const PARTITIONS = 8;
const EVENT_BYTES = 500;
const EVENTS = 20_000;
const PHASE_MS = Number(process.env['BENCH_PHASE_MS'] ?? 4_000);
const BATCH = 500;
const TOPIC = 'bench';
const PADDED_TOPIC = 'bench_padded';

/** Rates and the client's CPU that the log is meant to reach on two idle cores. */
const GOALS: Measurement['goals'] = [
  { metric: 'append512InFlightPerSecond', goal: 100_000 },
  { metric: 'appendBatch500PerSecond', goal: 400_000 },
  { metric: 'appendBatch500PaddedPerSecond', goal: 400_000 },
  { metric: 'consumePerSecond', goal: 700_000 },
  { metric: 'append512InFlightClientCpuUsPerEvent', goal: 10, bound: 'max' },
];

export async function measure(): Promise<Measurement> {
  const directory = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
  await chmod(directory, 0o755);
  const server = await startEmbedded({ directory });
  try {
    await using postgres = await openPostgres(server.url, { applicationName: 'bench', connectionsMax: 10 });
    await postgres.migrate([]);
    await postgres.log.createTopic(TOPIC, { partitions: PARTITIONS });
    await postgres.log.createTopic(PADDED_TOPIC, { partitions: PARTITIONS });
    const events = makeEvents();
    const metrics: Record<string, number> = {};
    const phase = async (name: string, work: () => Promise<Phase>): Promise<void> => {
      Object.assign(metrics, await measurePhase(name, server.pid, work));
    };
    await appendSingly(postgres, events, 64, 500);
    for (const inFlight of [1, 64, 512]) {
      await phase(`append${inFlight}InFlight`, () => appendSingly(postgres, events, inFlight, PHASE_MS));
    }
    await phase('appendBatch500', () => appendBatches(postgres, TOPIC, events));
    // Padding instead of random identifiers: about a quarter of the bytes once compressed.
    await phase('appendBatch500Padded', () => appendBatches(postgres, PADDED_TOPIC, makePaddedEvents()));
    await phase('consume', () => consume(postgres));
    metrics['storedBytesPerEvent'] = await storedBytes(postgres);
    return { metrics, goals: GOALS };
  } finally {
    await server.stop();
    await rm(server.home, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  }
}

interface Phase {
  readonly events: number;
  /** Milliseconds of each call, when it was measured. */
  readonly latenciesMs?: readonly number[];
}

async function measurePhase(
  name: string,
  pid: number,
  work: () => Promise<Phase>,
): Promise<Record<string, number>> {
  const serverBefore = await serverCpuSeconds(pid);
  const clientBefore = process.cpuUsage();
  const start = performance.now();
  const { events, latenciesMs } = await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(clientBefore);
  const serverSeconds = (await serverCpuSeconds(pid)) - serverBefore;
  const sorted = [...(latenciesMs ?? [])].sort((a, b) => a - b);
  const quantile = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
  return {
    [`${name}PerSecond`]: events / seconds,
    [`${name}ClientCpuUsPerEvent`]: (user + system) / events,
    [`${name}ServerCpuUsPerEvent`]: (serverSeconds * 1e6) / events,
    ...(latenciesMs === undefined
      ? {}
      : { [`${name}LatencyMsP50`]: quantile(0.5), [`${name}LatencyMsP99`]: quantile(0.99) }),
  };
}

async function appendSingly(
  postgres: Postgres,
  events: readonly Buffer[],
  inFlight: number,
  ms: number,
): Promise<Phase> {
  const { log } = postgres;
  const deadline = performance.now() + ms;
  const latenciesMs: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let start = performance.now(); start < deadline;) {
      const index = next++;
      const event = events[index % events.length];
      if (event !== undefined) await log.append(TOPIC, (index * 7) % PARTITIONS, [event]);
      const end = performance.now();
      latenciesMs.push(end - start);
      start = end;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { events: next, latenciesMs };
}

async function appendBatches(postgres: Postgres, topic: string, events: readonly Buffer[]): Promise<Phase> {
  const deadline = performance.now() + PHASE_MS;
  const latenciesMs: number[] = [];
  let sent = 0;
  const worker = async (partition: number): Promise<void> => {
    for (let at = partition * BATCH; performance.now() < deadline; at = (at + PARTITIONS * BATCH) % EVENTS) {
      const start = performance.now();
      await postgres.log.append(topic, partition, events.slice(at, at + BATCH));
      latenciesMs.push(performance.now() - start);
      sent += BATCH;
    }
  };
  await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => worker(partition)));
  return { events: sent, latenciesMs };
}

/** Reads everything once; the position is committed durably after every read. */
async function consume(postgres: Postgres): Promise<Phase> {
  const { log, groups } = postgres;
  let events = 0;
  let bytes = 0;
  const worker = async (partition: number): Promise<void> => {
    const claim = await groups.claim(TOPIC, 'bench', partition, 'bench', 60_000);
    if (claim === undefined) throw new Error('Somebody else holds the partition');
    for (let offset = 0; ;) {
      const batches = await log.read(TOPIC, partition, offset);
      const last = batches.at(-1);
      if (last === undefined) return;
      for (const batch of batches) {
        for (let index = 0; index < batch.count; index += 1) bytes += batch.record(index).byteLength;
        events += batch.count;
      }
      offset = last.base + last.count;
      await groups.commit(claim, offset);
    }
  };
  await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => worker(partition)));
  if (bytes !== events * EVENT_BYTES) throw new Error(`${bytes} bytes were read for ${events} events`);
  return { events };
}

async function storedBytes(postgres: Postgres): Promise<number> {
  const rows = await postgres.tables.query<{ bytes: number; events: number }>(
    `select sum(octet_length(data))::float8 as bytes, sum(count)::float8 as events from tandem_log_1`,
  );
  return (rows[0]?.bytes ?? 0) / (rows[0]?.events ?? 1);
}

/** CPU seconds of the postmaster and all its children, past and present. 0 where there is no /proc. */
async function serverCpuSeconds(postmaster: number): Promise<number> {
  let seconds = 0;
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const { own = 0, children = 0, parent } = (await cpuTime(`/proc/${name}`)) ?? {};
    if (Number(name) === postmaster) seconds += own + children;
    else if (parent === postmaster) seconds += own;
  }
  return seconds;
}

/** Card transactions as JSON with about as much chance in them as real ones have, all of the same length. */
function makeEvents(): Buffer[] {
  let seed = 42;
  const random = (): number => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const digits = (length: number): string =>
    Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join('');
  const pick = (values: readonly string[]): string => values[Math.floor(random() * values.length)] ?? '';
  return Array.from({ length: EVENTS }, (_, index) => {
    const event = {
      transactionId: `${digits(8)}-${digits(4)}-7${digits(3)}-a${digits(3)}-${digits(12)}`,
      at: new Date(1.78e12 + index * 371 + Math.floor(random() * 300)).toISOString(),
      customerId: `c-${Math.floor(random() * 50_000)}`,
      terminalId: `t-${Math.floor(random() * 10_000)}`,
      amount: (random() * 400).toFixed(2),
      currency: pick(['EUR', 'USD', 'GBP']),
      channel: pick(['chip', 'contactless', 'online', 'moto']),
      merchant: {
        name: pick(['Corner Shop', 'Fuel & Go', 'Books Direct', 'Airline 42']),
        category: pick(['5411', '5541', '5942']),
      },
      device: {
        id: digits(16),
        address: `10.${[1, 2, 3].map(() => Math.floor(random() * 256)).join('.')}`,
        screen: pick(['s', 'm', 'l']),
      },
      location: { latitude: (random() * 180 - 90).toFixed(5), longitude: (random() * 360 - 180).toFixed(5) },
      note: '',
    };
    const length = EVENT_BYTES - JSON.stringify(event).length;
    return Buffer.from(
      JSON.stringify({
        ...event,
        note: 'paid at the till; receipt by mail; loyalty points added. '.repeat(4).slice(0, length),
      }),
    );
  });
}

/** Events of few digits and much padding, which compress well. */
function makePaddedEvents(): Buffer[] {
  return Array.from({ length: EVENTS }, (_, index) => {
    const event = {
      transactionId: index,
      customerId: (index * 7_919) % 50_000,
      amount: (index % 9_999) / 100,
      note: '',
    };
    const length = EVENT_BYTES - JSON.stringify(event).length;
    return Buffer.from(JSON.stringify({ ...event, note: 'x'.repeat(length) }));
  });
}
