import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { gbdt, type InnerTrainer, logistic } from '../../define/index.ts';
import {
  aucRoc,
  fitLogistic,
  linearPredictor,
  loadModel,
  matrix,
  predictTrees,
  SeededRandom,
  fitTrees,
} from '../../ml/index.ts';
import { categoriesOf } from './categories.ts';
import { run as evaluate } from './evaluate-task.ts';
import { run as fit } from './fit-task.ts';
import { linearInputs } from './linear-inputs.ts';
import { createPart, type Part, readPart, sealPart } from './part-file.ts';
import type { TaskContext } from './task-context.ts';

const CATEGORIES = { site: ['lung', 'skin', 'bone', 'liver', 'nowhere'], sex: ['F', 'M'] };
const context: TaskContext = { progress: () => undefined, cpuSeconds: () => 0, wallSeconds: () => 0 };

/**
 * Rows whose label depends on the site in no order: lung and bone are bad. A tenth is missing, nobody is `nowhere`, and with
 * `hasStrangers` some codes are none.
 */
function rows(count: number, seed: number, hasStrangers = false): Uint8Array {
  const { part, bytes } = createPart({
    names: ['size', 'site', 'sex'],
    categories: CATEGORIES,
    rows: count,
    days: true,
    entities: false,
  });
  const random = new SeededRandom(seed);
  for (let row = 0; row < count; row += 1) {
    const [size, site, sex] = [random.normal(), random.integer(4), random.integer(2)];
    const margin = size / 2 + (site === 0 || site === 2 ? 1.5 : -1.5) + (sex === 1 ? 0.3 : 0);
    part.labels[row] = random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : 0;
    const given = [size, site, sex].map((value) => (random.uniform() < 0.1 ? Number.NaN : value));
    if (hasStrangers && row % 17 === 0) given[1] = [4, 5, 254, -1, 0.5][row % 5] as number;
    part.values.set(given, row * 3);
  }
  sealPart(part);
  return bytes;
}

function fitted(trainer: InnerTrainer, part = rows(2_000, 1)): Uint8Array {
  return fit({ part, trainer, seed: 0 }, context).onnx;
}

function scoresOf(onnx: Uint8Array, part: Part): Float64Array {
  const scores = new Float64Array(part.rows);
  loadModel(onnx).predict(part.values, part.rows, scores);
  return scores;
}

const TEST = readPart(rows(10_000, 2, true));
const TRAINERS: readonly (readonly [string, InnerTrainer])[] = [
  ['logistic', logistic()],
  ['logistic with an L1 penalty', logistic({ l1Ratio: 0.5 })],
  ['calibrated logistic', logistic({ calibrate: 'platt' })],
  ['gbdt', gbdt({ rounds: 30 })],
  ['gbdt by leaf with early stopping', gbdt({ growth: 'leaf', earlyStopping: true })],
  ['calibrated gbdt', gbdt({ rounds: 20, calibrate: 'platt' })],
];

describe.each(TRAINERS)('categorical inputs of %s', (_, trainer) => {
  const onnx = fitted(trainer);

  it('answer in ONNX Runtime as here, for missing values and codes that no row had', async () => {
    const session = await InferenceSession.create(onnx, { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const input = new Tensor('float32', TEST.values, [TEST.rows, 3]);
    const [answer] = Object.values(await session.run({ input }));
    await session.release();
    const scores = scoresOf(onnx, TEST);
    const found = answer?.data as Float32Array;
    expect(found).toHaveLength(TEST.rows);
    const largest = scores.reduce(
      (most, score, row) => Math.max(most, Math.abs(score - (found[row] ?? 1))),
      0,
    );
    expect(largest).toBeLessThan(1e-5);
  });

  it('are learnt from whatever the order of the codes is', () => {
    const { rows: count, labels } = TEST;
    const auc = aucRoc(labels, scoresOf(onnx, TEST));
    expect(auc).toBeGreaterThan(0.8);
    // The same rows with other codes: the first and second category change places.
    const turn = (part: Part): Uint8Array => {
      const made = createPart({ ...part, days: true, entities: false });
      made.part.values.set(
        part.values.map((value, index) => (index % 3 === 1 && value < 2 ? 1 - value : value)),
      );
      made.part.labels.set(part.labels);
      sealPart(made.part);
      return made.bytes;
    };
    const turned = readPart(turn(TEST));
    const again = aucRoc(turned.labels, scoresOf(fitted(trainer, turn(readPart(rows(2_000, 1)))), turned));
    expect(Math.abs(auc - again)).toBeLessThan(0.01);
    expect(count).toBe(10_000);
  });
});

describe('categorical inputs', () => {
  it('serve what was trained, bit for bit', () => {
    const train = readPart(rows(2_000, 1));
    const { features, preprocessor } = linearInputs(train);
    expect(preprocessor?.names).toEqual([
      'size',
      ...CATEGORIES.site.map((site) => `site=${site}`),
      'sex=F',
      'sex=M',
    ]);
    const model = fitLogistic(features, train.labels);
    const wanted = new Float64Array(TEST.rows);
    linearPredictor(model).predict(linearInputs(TEST).features.values, TEST.rows, wanted);
    expect(scoresOf(fitted(logistic()), TEST)).toEqual(wanted);

    const { rounds, learningRate, depthMax } = gbdt({ rounds: 30 });
    const trees = fitTrees(matrix(train.rows, 3, train.values), train.labels, {
      rounds,
      learningRate,
      maxDepth: depthMax,
      categorical: [1, 2],
    });
    expect(scoresOf(fitted(gbdt({ rounds: 30 })), TEST)).toEqual(
      predictTrees(trees, matrix(TEST.rows, 3, TEST.values)),
    );
  });

  it('of a row without a category says nothing more than the other inputs do', () => {
    const onnx = fitted(logistic());
    const model = loadModel(onnx);
    const scores = new Float64Array(3);
    model.predict(Float32Array.of(0.5, Number.NaN, 1, 0.5, 4, 1, 0.5, 77, 1), 3, scores);
    // Nobody was `nowhere`: that is like no category, and so is a code that is none.
    expect(scores[1]).toBe(scores[0]);
    expect(scores[2]).toBe(scores[0]);
  });

  it('are told by their names: in slices, and as what inputs looked like', () => {
    const train = rows(2_000, 1);
    const test = rows(1_500, 3);
    const { report } = evaluate(
      { onnx: fitted(logistic(), train), part: test, train, seed: 0, asked: [] },
      context,
    );
    const slices = report.slices.list.filter(({ input }) => input === 'site');
    expect(slices.map(({ values }) => values)).toEqual(['bone', 'liver', 'lung', 'skin', 'missing']);
    const part = readPart(test);
    for (const { values, rows: count, positives } of slices) {
      const code = CATEGORIES.site.indexOf(values);
      const own = Array.from(part.labels.keys()).filter((row) => {
        const value = part.values[row * 3 + 1] as number;
        return values === 'missing' ? Number.isNaN(value) : value === code;
      });
      expect([count, positives]).toEqual([
        own.length,
        own.reduce((sum, row) => sum + (part.labels[row] ?? 0), 0),
      ]);
    }
    const [size, site] = report.inputs;
    expect(size?.shares).toBeUndefined();
    expect(site?.quantiles).toEqual([]);
    expect(site?.shares?.map(({ category }) => category)).toEqual(CATEGORIES.site);
    const total = (site?.shares ?? []).reduce((sum, { share }) => sum + share, site?.missing ?? 0);
    expect(total).toBeCloseTo(1, 12);
    expect(site?.shares?.at(-1)).toEqual({ category: 'nowhere', share: 0 });
  });

  it('are those of the vector', () => {
    const expression = { op: 'literal', value: 1, type: 'number' } as const;
    expect(
      categoriesOf({
        values: [
          { name: 'constructor', from: 'candidate', expression },
          { name: 'sex', from: 'candidate', expression, categories: ['F', 'M'] },
        ],
      }),
    ).toEqual({ sex: ['F', 'M'] });
  });
});
