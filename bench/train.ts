import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import type { TreesOptions } from '../src/ml/index.ts';
import type { Goal, Measurement } from './run.ts';
import { median } from './support/median.ts';
import { writeData } from './support/train-data.ts';
import type { Peer } from './support/train-peers.ts';
import { findPeers, trainPeer } from './support/train-peers.ts';
import type { TrainInput, Trained } from './support/train-task.ts';

const ROWS = 200_000;
const LARGE_ROWS = 2_000_000;
const TEST_ROWS = 50_000;
/** Trainings of each kind, in turns; the middle one counts. Of the large ones there is one. */
const TURNS = 3;

/** The same for all trainers. */
const SETTINGS = { rounds: 100, learningRate: 0.1, lambda: 1 } as const;
const DEPTH: TreesOptions = { ...SETTINGS, maxDepth: 6, minHessian: 1 };
const LEAF: TreesOptions = { ...SETTINGS, growth: 'leaf', maxLeaves: 31, minHessian: 1e-3 };

/** A training of ours, or of another trainer's. */
interface Contest {
  /** What its metrics begin with. */
  readonly name: string;
  readonly data: 'training' | 'large';
  readonly threads: number;
  readonly by: TreesOptions | Peer;
}

/** Ours against another, and by how much at most. */
interface Rivalry {
  readonly own: string;
  readonly peer: string;
  readonly ratios: Partial<Record<'cpu' | 'wall' | 'memory', number>>;
}

interface Part {
  readonly turns: number;
  readonly contests: readonly Contest[];
  readonly rivalries: readonly Rivalry[];
}

const contest = (name: string, by: TreesOptions | Peer, threads = 1): Contest => ({
  name,
  data: name.startsWith('large') ? 'large' : 'training',
  threads,
  by,
});

const PARTS: Readonly<Record<string, Part>> = {
  one: {
    turns: TURNS,
    contests: [
      contest('plain', { ...DEPTH, kernel: 'plain' }),
      contest('depth', DEPTH),
      contest('leaf', LEAF),
      contest('xgboost', 'xgboost'),
      contest('sklearn', 'sklearn'),
    ],
    rivalries: [
      { own: 'depth', peer: 'plain', ratios: { cpu: 0.5 } },
      { own: 'depth', peer: 'xgboost', ratios: { cpu: 1, memory: 1 } },
      { own: 'leaf', peer: 'sklearn', ratios: { cpu: 1, memory: 1 } },
    ],
  },
  two: {
    turns: TURNS,
    contests: [
      contest('depthTwo', DEPTH, 2),
      contest('leafTwo', LEAF, 2),
      contest('xgboostTwo', 'xgboost', 2),
    ],
    rivalries: [
      { own: 'depthTwo', peer: 'xgboostTwo', ratios: { wall: 1, memory: 1 } },
      { own: 'depthTwo', peer: 'depth', ratios: {} },
      { own: 'leafTwo', peer: 'leaf', ratios: {} },
    ],
  },
  large: {
    turns: 1,
    contests: [
      contest('large', DEPTH),
      contest('largeXgboost', 'xgboost'),
      contest('largeTwo', DEPTH, 2),
      contest('largeXgboostTwo', 'xgboost', 2),
    ],
    rivalries: [
      { own: 'large', peer: 'largeXgboost', ratios: { cpu: 1.2, wall: 1.2, memory: 1 } },
      { own: 'largeTwo', peer: 'largeXgboostTwo', ratios: { wall: 1.2, memory: 1 } },
    ],
  },
};

/** By how much our AUC may be lower. */
const AUC_GAP_MAX = 0.001;

const note = (text: string): void => console.error(text);

/**
 * What training costs on rows of 30 columns, 13.8 % positive, 100 rounds, against xgboost (`hist`) and scikit-learn in the same run, where Python
 * has them: each in a process of its own that reads the rows from the same file. `one` is 200,000 rows on one thread, by depth 6 and by 31
 * leaves, plain loops too; `two` is two threads; `large` is 2,000,000 rows. `--only one,two` measures some of it; all of it takes some
 * four minutes on a quiet machine.
 *
 * CPU is that of the process while it trains, memory the largest resident of the process by then, the rows included. Other load moves wall time,
 * and moves it more where threads wait for each other: of two threads the `Busy` metrics say how long each ran while the training lasted.
 */
export async function measure(parameters: readonly string[] = []): Promise<Measurement> {
  const parts = chosenParts(parameters);
  const folder = await mkdtemp(join(tmpdir(), 'tandem-bench-train-'));
  try {
    await writeData(folder, { name: 'test', rows: TEST_ROWS, seed: 2 });
    const peers = await findPeers(note);
    const found = new Map<string, Trained[]>();
    for (const { turns, contests } of parts) {
      await writeFor(folder, contests);
      for (let turn = 0; turn < turns; turn += 1) {
        for (const one of contests) await hold(one, { folder, peers, found });
      }
    }
    return summarise(
      found,
      parts.flatMap(({ rivalries }) => rivalries),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

function chosenParts(parameters: readonly string[]): readonly Part[] {
  const { values } = parseArgs({ args: [...parameters], options: { only: { type: 'string' } } });
  const names = values.only?.split(',') ?? Object.keys(PARTS);
  return names.map((name) => {
    const part = PARTS[name];
    if (part === undefined) {
      throw new RangeError(
        `--only takes ${Object.keys(PARTS).join(', ')}, with commas between them, not '${name}'`,
      );
    }
    return part;
  });
}

/** Writes the rows of a part; those of the first seed are the same each time. */
async function writeFor(folder: string, contests: readonly Contest[]): Promise<void> {
  for (const name of new Set(contests.map(({ data }) => data))) {
    const rows = name === 'large' ? LARGE_ROWS : ROWS;
    const positives = await writeData(folder, { name, rows, seed: 1 });
    note(`${rows} rows, ${(100 * positives).toFixed(1)} % of them positive`);
  }
}

async function hold(
  { name, data, threads, by }: Contest,
  to: {
    readonly folder: string;
    readonly peers: ReadonlyMap<Peer, string>;
    readonly found: Map<string, Trained[]>;
  },
): Promise<void> {
  const { folder, peers, found } = to;
  const python = typeof by === 'string' ? peers.get(by) : undefined;
  if (typeof by === 'string' && python === undefined) return;
  const trained =
    typeof by === 'string'
      ? await trainPeer(python ?? '', by, { folder, name: data, threads })
      : await trainOwn({ folder, name: data, options: by }, threads);
  const { cpu, wall, memory, auc } = trained;
  note(
    `${name}: CPU ${cpu.toFixed(2)} s, wall ${wall.toFixed(2)} s, ${memory.toFixed(0)} MiB, AUC ${auc.toFixed(5)}`,
  );
  found.set(name, [...(found.get(name) ?? []), trained]);
}

async function trainOwn(input: TrainInput, threads: number): Promise<Trained> {
  const script = fileURLToPath(new URL('support/train-process.ts', import.meta.url));
  const parameters = [...process.execArgv, script, String(threads), JSON.stringify(input)];
  const { stdout } = await promisify(execFile)(process.execPath, parameters);
  return JSON.parse(stdout) as Trained;
}

/** Names of the metrics, with their units. */
const MEASURED = { cpu: 'Cpu_s', wall: 'Wall_s', memory: 'Memory_MiB' } as const;
const COMPARED = { cpu: 'Cpu_ratio', wall: 'Wall_ratio', memory: 'Memory_ratio' } as const;

function summarise(
  found: ReadonlyMap<string, readonly Trained[]>,
  rivalries: readonly Rivalry[],
): Measurement {
  const metrics: Record<string, number> = {};
  const goals: Goal[] = [];
  const middle = (name: string, what: keyof typeof MEASURED): number =>
    median(found.get(name)?.map((trained) => trained[what]) ?? []);
  for (const [name, all] of found) {
    for (const what of ['cpu', 'wall', 'memory'] as const)
      metrics[name + MEASURED[what]] = middle(name, what);
    metrics[`${name}Auc`] = all[0]?.auc ?? Number.NaN;
    metrics[`${name}LogLoss`] = all[0]?.logLoss ?? Number.NaN;
    const busy = (thread: 'caller' | 'helpers'): number =>
      median(all.map(({ threads, wall }) => (threads?.[thread] ?? 0) / wall));
    if (busy('helpers') === 0) continue;
    metrics[`${name}CallerBusy_share`] = busy('caller');
    metrics[`${name}HelperBusy_share`] = busy('helpers');
  }
  for (const { own, peer, ratios } of rivalries) {
    if (!found.has(own) || !found.has(peer)) continue;
    const both = `${own}To${peer.charAt(0).toUpperCase()}${peer.slice(1)}`;
    for (const what of ['cpu', 'wall', 'memory'] as const) {
      metrics[both + COMPARED[what]] = middle(own, what) / middle(peer, what);
      const most = ratios[what];
      if (most !== undefined) goals.push({ metric: both + COMPARED[what], goal: most, bound: 'max' });
    }
    metrics[`${both}Auc_gap`] = (metrics[`${own}Auc`] ?? Number.NaN) - (metrics[`${peer}Auc`] ?? Number.NaN);
    goals.push({ metric: `${both}Auc_gap`, goal: -AUC_GAP_MAX });
  }
  return { metrics, goals };
}
