import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { duckdbWarehouse } from '../src/adapters/duckdb/index.ts';
import { writeData } from './fixtures/offline/data.ts';
import type { OfflineRun, OfflineSizes } from './fixtures/offline/sizes.ts';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';

/*
 * A dataset of 1 M rows and 18 features from 10 M events, from the archive's Parquet to the dataset's, in a process of its own
 * whose peak of memory is taken; with about 100 and about 1,000 events a key. The peer is the join that most feature stores write, in
 * the same session over the same tables, on one key of BENCH_PEER_ONE_IN with its events and rows, scaled; its values are
 * compared with ours. CPU is the process's own. Only the features are compared: both are given events and rows.
 *
 * A quick run: BENCH_EVENTS=200000 BENCH_ROWS=20000 BENCH_ROUNDS=1. BENCH_METHOD (join, near, tiles) compares the ways to compute it.
 */

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 10_000_000);
const ROWS = Number(process.env['BENCH_ROWS'] ?? 1_000_000);
const EVENTS_PER_KEY = (process.env['BENCH_EVENTS_PER_KEY'] ?? '100,1000').split(',').map(Number);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const PEER_ONE_IN = Number(process.env['BENCH_PEER_ONE_IN'] ?? 20);
const METHOD = process.env['BENCH_METHOD'];
const MEMORY_BYTES_MAX = Number(process.env['BENCH_MEMORY_BYTES'] ?? 2 * 2 ** 30);

export async function measure(): Promise<Measurement> {
  const metrics: Record<string, number> = { peerShareOfKeys: PEER_ONE_IN === 0 ? 0 : 1 / PEER_ONE_IN };
  const parent = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
  try {
    for (const eventsPerKey of EVENTS_PER_KEY) {
      const folder = join(parent, String(eventsPerKey));
      await mkdir(folder);
      const sizes: OfflineSizes = {
        events: EVENTS,
        rows: ROWS,
        eventsPerKey,
        folder,
        memoryBytesMax: MEMORY_BYTES_MAX,
        peerOneIn: PEER_ONE_IN,
        ...(METHOD === undefined ? {} : { method: METHOD }),
      };
      await makeData(sizes);
      const runs: OfflineRun[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        console.error(
          `${String(eventsPerKey)} events a key, round ${String(round + 1)} of ${String(ROUNDS)}`,
        );
        runs.push(await runOnce(sizes));
      }
      Object.assign(metrics, described(`per${String(eventsPerKey)}`, runs));
      await rm(folder, { recursive: true, force: true });
    }
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
  return {
    metrics,
    goals: [
      ...EVENTS_PER_KEY.flatMap((eventsPerKey) => [
        { metric: `per${String(eventsPerKey)}WallSeconds`, goal: 60, bound: 'max' as const },
        { metric: `per${String(eventsPerKey)}PeakRssGiB`, goal: 3, bound: 'max' as const },
      ]),
      ...(EVENTS_PER_KEY.includes(1_000) && PEER_ONE_IN > 0
        ? [{ metric: 'per1000PeerCpuRatio', goal: 5 }]
        : []),
    ],
  };
}

function described(name: string, runs: readonly OfflineRun[]): Record<string, number> {
  const of = (pick: (run: OfflineRun) => number): number => median(runs.map(pick));
  return {
    [`${name}WallSeconds`]: of((run) => run.wallSeconds),
    [`${name}CpuSeconds`]: of((run) => run.cpuSeconds),
    [`${name}GroupCpuSeconds`]: of((run) => run.groupCpuSeconds),
    [`${name}PeakRssGiB`]: of((run) => run.peakRssBytes) / 2 ** 30,
    ...(PEER_ONE_IN === 0
      ? {}
      : {
          [`${name}PeerCpuSecondsScaled`]: of((run) => run.peerCpuSeconds),
          [`${name}PeerRows`]: of((run) => run.peerRows),
          [`${name}PeerCpuRatio`]: of((run) => run.peerCpuSeconds / run.groupCpuSeconds),
        }),
  };
}

async function makeData(sizes: OfflineSizes): Promise<void> {
  const warehouse = duckdbWarehouse({ directory: join(sizes.folder, 'making') });
  await using session = await warehouse.session();
  await writeData(session, sizes);
}

async function runOnce(sizes: OfflineSizes): Promise<OfflineRun> {
  const script = fileURLToPath(new URL('fixtures/offline/run.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(sizes)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const output = await text(child.stdout);
  const code = await ended;
  if (code !== 0) throw new Error(`The run ended with ${String(code)}`);
  return JSON.parse(output) as OfflineRun;
}
