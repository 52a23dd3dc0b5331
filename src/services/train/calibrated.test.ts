import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CalibrationKind, gbdt, type InnerTrainer, logistic } from '../../define/index.ts';
import { aucRoc, brier, calibrationError, loadModel, SeededRandom } from '../../ml/index.ts';
import { run, type FitInput } from './fit-task.ts';
import { createPart, readPart, sealPart } from './part-file.ts';

const KINDS: readonly CalibrationKind[] = ['platt', 'isotonic'];

/** Rows with a signal; each of them `twins` times behind one another with the same outcome, as the events of one card on one day. */
function rowsOf({
  rows = 1_500,
  seed = 1,
  twins = 1,
  chanceOf = (signal: number) => 1 / (1 + Math.exp(2 - 1.5 * signal)),
}): Uint8Array {
  const { part, bytes } = createPart({
    names: ['signal', 'noise'],
    categories: {},
    rows,
    days: false,
    entities: false,
  });
  const random = new SeededRandom(seed);
  for (let row = 0; row < rows; row += 1) {
    const isTwin = row % twins > 0;
    if (isTwin) {
      part.values.copyWithin(row * 2, row * 2 - 2, row * 2);
      part.labels[row] = part.labels[row - 1] as number;
      continue;
    }
    const signal = random.normal();
    part.values.set([signal, random.normal()], row * 2);
    part.labels[row] = random.uniform() < chanceOf(signal) ? 1 : 0;
  }
  sealPart(part);
  return bytes;
}

function fit(
  trainer: InnerTrainer,
  part = rowsOf({}),
  options: Partial<FitInput> = {},
): { onnx: Uint8Array; notes: string[]; shares: number[] } {
  const notes: string[] = [];
  const shares: number[] = [];
  const { onnx } = run(
    { part, trainer, seed: 0, ...options },
    {
      progress: (done, total, note) => {
        shares.push(done / total);
        if (note !== undefined) notes.push(note);
      },
      cpuSeconds: () => 0,
      wallSeconds: () => 0,
    },
  );
  return { onnx, notes, shares };
}

/** Scores of rows that nobody has learnt from. */
function judged(
  onnx: Uint8Array,
  options: Parameters<typeof rowsOf>[0] = {},
): { labels: Uint8Array; scores: Float64Array } {
  const fresh = readPart(rowsOf({ rows: 6_000, seed: 99, ...options }));
  const scores = new Float64Array(fresh.rows);
  loadModel(onnx).predict(fresh.values, fresh.rows, scores);
  return { labels: fresh.labels, scores };
}

describe('a calibrated model', () => {
  it.each(KINDS)('by %s gives the shares of the world where balanced classes do not', (calibrate) => {
    const trainer = gbdt({ rounds: 30, classWeights: 'balanced' });
    const plain = judged(fit(trainer).onnx);
    const curved = judged(fit({ ...trainer, calibrate }).onnx);
    expect(calibrationError(plain.labels, plain.scores)).toBeGreaterThan(0.1);
    expect(calibrationError(curved.labels, curved.scores)).toBeLessThan(0.03);
    expect(brier(curved.labels, curved.scores)).toBeLessThan(brier(plain.labels, plain.scores) - 0.01);
    // The order is the model's own, up to ties.
    expect(aucRoc(curved.labels, curved.scores)).toBeCloseTo(aucRoc(plain.labels, plain.scores), 1);
  });

  it.each(KINDS)('by %s is less sure than trees that have learnt the noise', (calibrate) => {
    const trainer = gbdt({ rounds: 150, hessianMin: 0.01, lambda: 0 });
    const [plain, curved] = [judged(fit(trainer).onnx), judged(fit({ ...trainer, calibrate }).onnx)];
    expect(brier(curved.labels, curved.scores)).toBeLessThan(brier(plain.labels, plain.scores) - 0.01);
  });

  it.each(KINDS)('by %s gives no probability of 0 or 1, whatever the rows', (calibrate) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.boolean(), (seed, isClear) => {
        const chanceOf = isClear ? (signal: number) => (signal > 0 ? 1 : 0) : () => 0.5;
        const part = rowsOf({ rows: 120, seed, chanceOf });
        const trainer = seed % 2 === 0 ? logistic({ calibrate }) : gbdt({ rounds: 5, calibrate });
        const { scores } = judged(fit(trainer, part).onnx, { rows: 500 });
        for (const score of scores) expect(score > 0 && score < 1).toBe(true);
      }),
      { numRuns: 12 },
    );
  });

  it('has the same bytes for the same rows, and is a logistic regression or trees as before', () => {
    for (const trainer of [logistic({ calibrate: 'isotonic' }), gbdt({ rounds: 5, calibrate: 'platt' })]) {
      const [one, two] = [fit(trainer), fit(trainer)];
      expect(Buffer.compare(one.onnx, two.onnx)).toBe(0);
      expect(loadModel(one.onnx)).toMatchObject({
        task: 'binary',
        outputName: 'probability',
        inputNames: ['signal', 'noise'],
      });
      const { calibrate: _none, ...plain } = trainer;
      expect(Buffer.compare(fit(plain).onnx, one.onnx)).not.toBe(0);
    }
  });

  it('tells how far it is over all its fits', () => {
    const { notes, shares } = fit(gbdt({ rounds: 4, calibrate: 'platt' }));
    expect(notes[0]).toMatch(/^calibration 1 of 5: round 1 of 4, training log loss /);
    expect(notes.at(-1)).toMatch(/^round 4 of 4, training log loss /);
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
    expect(shares.at(-1)).toBe(1);
  });

  it('that is judged by time is not calibrated on rows beside their twins', () => {
    // Of twins one is learnt from and the other scored, if they are dealt one by one: every score then seems right.
    const part = rowsOf({ rows: 1_500, twins: 5 });
    const trainer = gbdt({ rounds: 100, hessianMin: 0.01, lambda: 0, calibrate: 'isotonic' });
    const [blocks, random] = (['blocks', 'random'] as const).map((deal) =>
      judged(fit(trainer, part, { deal }).onnx),
    );
    expect(brier(blocks?.labels ?? [], blocks?.scores ?? [])).toBeLessThan(
      brier(random?.labels ?? [], random?.scores ?? []) - 0.03,
    );
  });

  it('is refused with counts where there is too little to calibrate by', () => {
    const few = rowsOf({ rows: 60, chanceOf: () => 0.05 });
    const positives = readPart(few).labels.reduce((sum, one) => sum + one, 0);
    const error = (message: string): unknown => expect.objectContaining({ code: 'UNPROCESSABLE', message });
    expect(() => fit(logistic({ calibrate: 'platt' }), few)).toThrow(
      error(
        `The training rows are too few to calibrate: ${positives} of 60 are positive, and 10 of each class are needed`,
      ) as Error,
    );
    // All positives lie in one block: without it there is nothing to learn.
    let row = 0;
    const part = rowsOf({ rows: 500, chanceOf: () => (row++ < 60 ? 1 : 0) });
    expect(() => fit(logistic({ calibrate: 'platt' }), part)).toThrow(
      error(
        'The training rows are too few to calibrate: without its rows 0 to 99 in time, 0 of 400 are positive',
      ) as Error,
    );
  });
});
