import { describe, expect, it } from 'vitest';
import { gbdt, type InnerTrainer, logistic } from '../../define/index.ts';
import { loadModel, SeededRandom } from '../../ml/index.ts';
import { run } from './fit-task.ts';
import { createPart, sealPart } from './part-file.ts';

const ROWS = 2_000;

/** Rows in the order of their time: the signal rises with the chance of the label, the noise says nothing. */
function part(isPositive: (chance: number, row: number) => boolean): Uint8Array {
  const { part: made, bytes } = createPart({
    names: ['signal', 'noise'],
    categories: {},
    rows: ROWS,
    days: false,
    entities: false,
  });
  const random = new SeededRandom(1);
  for (let row = 0; row < ROWS; row += 1) {
    const signal = random.normal();
    made.values.set([signal, random.normal()], row * 2);
    made.labels[row] = isPositive(1 / (1 + Math.exp(-2 * signal)), row) ? 1 : 0;
  }
  sealPart(made);
  return bytes;
}

function noisy(): Uint8Array {
  const random = new SeededRandom(2);
  return part((chance) => random.uniform() < chance);
}

function fit(trainer: InnerTrainer, rows = noisy()): { onnx: Uint8Array; notes: string[] } {
  const notes: string[] = [];
  const { onnx } = run(
    { part: rows, trainer, seed: 0 },
    {
      progress: (_, __, note) => void notes.push(note ?? ''),
      cpuSeconds: () => 0,
      wallSeconds: () => 0,
    },
  );
  return { onnx, notes };
}

/** Probabilities as one of the inputs goes from -3 to 3 and the other stays at 0. */
function along(onnx: Uint8Array, input: 0 | 1): Float64Array {
  const steps = 121;
  const values = new Float32Array(steps * 2);
  for (let step = 0; step < steps; step += 1) values[step * 2 + input] = -3 + step / 20;
  const scores = new Float64Array(steps);
  loadModel(onnx).predict(values, steps, scores);
  return scores;
}

const rises = (scores: Float64Array): boolean =>
  scores.every((score, step) => step === 0 || score >= (scores[step - 1] ?? 0));

describe('what a definition says of its trainer', () => {
  it('holds in every file: a monotone input never lowers the probability as it rises', () => {
    const options = { rounds: 60, hessianMin: 0.1 };
    expect(rises(along(fit(gbdt(options)).onnx, 0))).toBe(false);
    expect(rises(along(fit(gbdt({ ...options, monotone: { signal: 'rising' } })).onnx, 0))).toBe(true);
  });

  it('ends training before it learns the noise, judged by the newest rows', () => {
    const whole = fit(gbdt({ rounds: 300 }));
    const stopped = fit(gbdt({ rounds: 300, earlyStopping: true }));
    expect(stopped.notes.length).toBeLessThan(100);
    expect(stopped.notes.at(-1)).toMatch(
      /^round \d+ of 300, training log loss \S+, validation log loss \S+$/,
    );
    expect(stopped.onnx.length).toBeLessThan(whole.onnx.length / 3);
    const spread = (scores: Float64Array): number => Math.max(...scores) - Math.min(...scores);
    expect(spread(along(stopped.onnx, 1))).toBeLessThan(spread(along(whole.onnx, 1)));
  });

  it('gives no weight to an input that does not help, where it asks for L1', () => {
    const spread = (scores: Float64Array): number => Math.max(...scores) - Math.min(...scores);
    expect(spread(along(fit(logistic({ c: 0.02 })).onnx, 1))).toBeGreaterThan(0);
    const lasso = fit(logistic({ c: 0.02, l1Ratio: 1 })).onnx;
    expect(spread(along(lasso, 1))).toBe(0);
    expect(spread(along(lasso, 0))).toBeGreaterThan(0.5);
  });

  it('grows by leaves, balances classes, bounds leaves: each changes what is learnt', () => {
    const files = [
      gbdt(),
      gbdt({ growth: 'leaf' }),
      gbdt({ growth: 'leaf', leavesMax: 4 }),
      gbdt({ classWeights: 'balanced' }),
      gbdt({ alpha: 2 }),
      gbdt({ leafRowsMin: 200 }),
    ].map((trainer) => Buffer.from(fit({ ...trainer, rounds: 5 }).onnx).toString('base64'));
    expect(new Set(files).size).toBe(files.length);
  });

  it('is refused with a reason when the newest rows cannot judge', () => {
    const early = part((chance, row) => row < ROWS / 2 && chance > 0.5);
    expect(() => fit(gbdt({ earlyStopping: true }), early)).toThrow(
      expect.objectContaining({
        code: 'UNPROCESSABLE',
        message: expect.stringContaining(
          'the newest 400 rows, by which early stopping judges, need both classes; 0 are positive',
        ) as string,
      }),
    );
  });
});
