import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Helpers,
  type Matrix,
  type TreesOptions,
  aucRoc,
  fitTrees,
  logLoss,
  matrix,
  predictTrees,
} from '../../src/ml/index.ts';
import { COLUMNS } from './train-data.ts';

export interface TrainInput {
  readonly folder: string;
  /** Name of the training set; the test set is `test`. */
  readonly name: string;
  readonly options: TreesOptions;
}

/** What a training cost, and how good its model is on the test rows. Seconds and mebibytes. */
export interface Trained {
  /** Of the whole process. */
  readonly cpu: number;
  readonly wall: number;
  /** Largest resident memory of the process up to the end of training, the rows included. */
  readonly memory: number;
  readonly auc: number;
  readonly logLoss: number;
  /** Processor time of the thread that trains and of all that help it; ours alone. */
  readonly threads?: { readonly caller: number; readonly helpers: number };
}

/** A training as the train service has it done, in a thread of its own. */
export function run(
  { folder, name, options }: TrainInput,
  context: { readonly helpers?: Helpers; cpuSeconds(): number },
): Trained {
  const training = read(folder, name);
  const own = (): number => seconds(process.threadCpuUsage());
  const begun = { cpu: seconds(process.cpuUsage()), wall: performance.now(), own: own() };
  const model = fitTrees(training.features, training.labels, {
    ...options,
    ...(context.helpers === undefined ? {} : { helpers: context.helpers }),
  });
  const wall = (performance.now() - begun.wall) / 1_000;
  const cpu = seconds(process.cpuUsage()) - begun.cpu;
  const threads = { caller: own() - begun.own, helpers: context.cpuSeconds() - own() };
  const memory = peakMebibytes();
  const test = read(folder, 'test');
  const answers = predictTrees(model, test.features);
  return {
    cpu,
    wall,
    memory,
    threads,
    auc: aucRoc(test.labels, answers),
    logLoss: logLoss(test.labels, answers),
  };
}

function read(folder: string, name: string): { readonly features: Matrix; readonly labels: Uint8Array } {
  const { buffer, byteOffset, length } = readFileSync(join(folder, `${name}.values`));
  const labels = readFileSync(join(folder, `${name}.labels`));
  const values = new Float32Array(buffer, byteOffset, length / 4);
  return { features: matrix(labels.length, COLUMNS, values), labels };
}

function seconds({ user, system }: { readonly user: number; readonly system: number }): number {
  return (user + system) / 1e6;
}

/** NaN where the system does not tell. */
function peakMebibytes(): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1_024;
  } catch {
    return Number.NaN;
  }
}
