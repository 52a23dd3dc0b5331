import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  type Matrix,
  SeededRandom,
  type TreesOptions,
  aucRoc,
  fitTrees,
  logLoss,
  matrix,
  predictTrees,
} from '../src/ml/index.ts';
import type { Goal, Measurement } from './run.ts';
import { median } from './support/median.ts';

const TRAINING_ROWS = 200_000;
const TEST_ROWS = 50_000;
const COLUMNS = 30;
/** Trainings of each kind, in turns; the middle one counts. */
const TURNS = 3;
/** Margin of the base rate; gives about 13.8 % positive rows with the effects below. */
const INTERCEPT = -2.69;

/** The same for all trainers. */
const SETTINGS = { rounds: 100, learningRate: 0.1, lambda: 1 } as const;
const KINDS: Readonly<Record<string, TreesOptions>> = {
  depth: { ...SETTINGS, maxDepth: 6, minHessian: 1 },
  leaf: { ...SETTINGS, growth: 'leaf', maxLeaves: 31, minHessian: 1e-3 },
};

interface Data {
  readonly features: Matrix;
  readonly labels: Uint8Array;
}

/** What a trainer cost and how good its model is on the test rows. */
interface Trained {
  readonly cpu: number;
  readonly auc: number;
  readonly logLoss: number;
}

const note = (text: string): void => console.error(text);

/**
 * What training costs on one thread: 200,000 rows of 30 columns, 13.8 % positive, 100 rounds, depth 6 and
 * leaf-wise with 31 leaves; plain loops against WebAssembly, and against xgboost and scikit-learn in the same
 * run where Python has them. CPU seconds, because other load moves wall time.
 *
 * Of 1.9 s by depth the profile gives histograms 1.0, split search 0.19, gradients 0.17, partition 0.15 and binning
 * 0.13 (of which the sorting of samples was 0.12 more before it went by radix).
 */
export async function measure(): Promise<Measurement> {
  const training = simulate(TRAINING_ROWS, 1);
  const test = simulate(TEST_ROWS, 2);
  const positive = training.labels.reduce((sum, label) => sum + label, 0) / TRAINING_ROWS;
  note(`${(100 * positive).toFixed(1)} % of the rows are positive`);
  const peers = await Peers.start(training, test);
  try {
    const found = new Map<string, Trained[]>();
    const add = (name: string, trained: Trained): void => {
      note(`${name}: ${trained.cpu.toFixed(2)} s, AUC ${trained.auc.toFixed(5)}`);
      found.set(name, [...(found.get(name) ?? []), trained]);
    };
    for (let turn = 0; turn < TURNS; turn += 1) {
      add('plain', train(training, test, { ...KINDS.depth, kernel: 'plain' }));
      for (const [kind, options] of Object.entries(KINDS)) add(kind, train(training, test, options));
      for (const peer of peers.names) add(peer, await peers.train(peer));
    }
    return summarise(found);
  } finally {
    await peers.stop();
  }
}

function summarise(found: ReadonlyMap<string, readonly Trained[]>): Measurement {
  const metrics: Record<string, number> = {};
  const cpu = (name: string): number => median(found.get(name)?.map((trained) => trained.cpu) ?? []);
  for (const [name, [first]] of found) {
    metrics[`${name}Cpu_s`] = cpu(name);
    metrics[`${name}Auc`] = first?.auc ?? Number.NaN;
    metrics[`${name}LogLoss`] = first?.logLoss ?? Number.NaN;
  }
  metrics.plainToDepthCpu_ratio = cpu('plain') / cpu('depth');
  const goals: Goal[] = [{ metric: 'plainToDepthCpu_ratio', goal: 2 }];
  const rivals = [
    { own: 'depth', peer: 'xgboost', called: 'Xgboost', most: 1.1 },
    { own: 'leaf', peer: 'sklearn', called: 'Sklearn', most: 1 },
  ];
  for (const { own, peer, called, most } of rivals) {
    if (!found.has(peer)) continue;
    metrics[`${own}To${called}Cpu_ratio`] = cpu(own) / cpu(peer);
    metrics[`${own}Less${called}Auc`] = (metrics[`${own}Auc`] ?? 0) - (metrics[`${peer}Auc`] ?? 0);
    goals.push({ metric: `${own}To${called}Cpu_ratio`, goal: most, bound: 'max' });
    goals.push({ metric: `${own}Less${called}Auc`, goal: -0.001 });
  }
  return { metrics, goals };
}

function train(training: Data, test: Data, options: TreesOptions): Trained {
  const begun = process.cpuUsage();
  const model = fitTrees(training.features, training.labels, options);
  const { user, system } = process.cpuUsage(begun);
  const answers = predictTrees(model, test.features);
  return {
    cpu: (user + system) / 1e6,
    auc: aucRoc(test.labels, answers),
    logLoss: logLoss(test.labels, answers),
  };
}

/** Normal columns; the label depends on steps, waves, products and tails of ten of them. */
function simulate(rows: number, seed: number): Data {
  const random = new SeededRandom(seed);
  const values = new Float32Array(rows * COLUMNS);
  const labels = new Uint8Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const from = row * COLUMNS;
    for (let column = 0; column < COLUMNS; column += 1) values[from + column] = random.normal();
    const x = (column: number): number => values[from + column] as number;
    const margin =
      INTERCEPT +
      0.9 * x(0) +
      Math.sin(2 * x(1)) +
      0.8 * (x(2) > 0 ? x(3) : -x(3)) +
      0.5 * x(4) * x(5) +
      (Math.abs(x(6)) > 1.5 ? 1 : 0) +
      0.3 * x(7) +
      0.3 * x(8) * x(9);
    labels[row] = random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : 0;
  }
  return { features: matrix(rows, COLUMNS, values), labels };
}

/** Trainers of Python, each run in a process of its own on files of the same numbers. */
class Peers {
  readonly names: readonly string[];
  readonly #folder: string;

  private constructor(names: readonly string[], folder: string) {
    this.names = names;
    this.#folder = folder;
  }

  static async start(training: Data, test: Data): Promise<Peers> {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-bench-train-'));
    for (const [name, { features, labels }] of Object.entries({ training, test })) {
      await writeFile(join(folder, `${name}.values`), features.values);
      await writeFile(join(folder, `${name}.labels`), labels);
    }
    const names: string[] = [];
    for (const name of ['xgboost', 'sklearn']) {
      const has = await promisify(execFile)('python3', ['-c', `import numpy, ${name}`]).then(
        () => true,
        () => false,
      );
      if (has) names.push(name);
      else note(`SKIPPED: python3 has no ${name}; nothing is compared with it`);
    }
    return new Peers(names, folder);
  }

  async train(name: string): Promise<Trained> {
    const script = fileURLToPath(new URL('support/train-peer.py', import.meta.url));
    const { stdout } = await promisify(execFile)('python3', [script, name, this.#folder, String(COLUMNS)], {
      env: { ...process.env, OMP_NUM_THREADS: '1' },
    });
    return JSON.parse(stdout) as Trained;
  }

  async stop(): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}
