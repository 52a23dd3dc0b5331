import {
  encodeLogistic,
  encodeTrees,
  fitLogistic,
  fitTrees,
  loadModel,
  type Matrix,
  matrix,
  SeededRandom,
} from '../src/ml/index.ts';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';

const ROWS = 20_000;
const COLUMNS = 15;
/** Rows of one measurement, and measurements, of which the middle one counts. */
const EXPLAINED = 500;
const ROUNDS = 7;

/**
 * What it costs to explain one decision beside making it, in CPU and in the process that serves, of models read back from their
 * files: 100 trees of depth 6 on 15 inputs, and a logistic regression on as many. Each row is explained alone, as decisions are.
 */
export function measure(): Promise<Measurement> {
  const { features, labels } = simulate();
  const models = {
    trees: encodeTrees(fitTrees(features, labels, { rounds: 100, maxDepth: 6 })),
    logistic: encodeLogistic(fitLogistic(features, labels)),
  };
  const metrics: Record<string, number> = {};
  for (const [name, bytes] of Object.entries(models)) {
    const model = loadModel(bytes);
    metrics[`${name}PrepareCpu_ms`] = perRow(() => model.explainer(), 5) / 1_000;
    const explainer = model.explainer();
    const contributions = new Float64Array(COLUMNS);
    const score = new Float64Array(1);
    metrics[`${name}PredictCpu_us`] = perRow((row) => model.predict(rowOf(features, row), 1, score));
    metrics[`${name}ExplainCpu_us`] = perRow((row) => explainer.explain(rowOf(features, row), contributions));
  }
  return Promise.resolve({
    metrics,
    goals: [{ metric: 'treesExplainCpu_us', goal: 1_000, bound: 'max' }],
  });
}

function simulate(): { readonly features: Matrix; readonly labels: Uint8Array } {
  const random = new SeededRandom(1);
  const values = new Float32Array(ROWS * COLUMNS);
  const labels = new Uint8Array(ROWS);
  for (let row = 0; row < ROWS; row += 1) {
    let margin = -1;
    for (let column = 0; column < COLUMNS; column += 1) {
      const value = random.normal();
      values[row * COLUMNS + column] = value;
      margin += value * Math.sin(column);
    }
    labels[row] = random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : 0;
  }
  return { features: matrix(ROWS, COLUMNS, values), labels };
}

function rowOf({ values }: Matrix, row: number): Float32Array {
  return values.subarray(row * COLUMNS, (row + 1) * COLUMNS);
}

/** Microseconds of CPU that the work takes for each row, once it has run for a while. */
function perRow(work: (row: number) => void, rows = EXPLAINED): number {
  const rounds = Array.from({ length: ROUNDS + 1 }, (_, round) => {
    const start = process.cpuUsage();
    for (let row = 0; row < rows; row += 1) work((round * rows + row) % ROWS);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / rows;
  });
  return median(rounds.slice(1));
}
