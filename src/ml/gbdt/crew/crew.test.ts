import { describe, expect, it } from 'vitest';
import { threadCompute } from '../../../adapters/threads/index.ts';
import type { Compute } from '../../../runtime/ports/index.ts';
import type { TreeEnsemble } from '../ensemble.ts';
import { makeKernel } from '../kernel-wasm.ts';
import type { TreesOptions } from '../options.ts';
import { fitTrees } from '../train.ts';
import { Board, makeBoard } from './board.ts';
import type { FitInput } from './fixtures/fit.ts';
import { run } from './fixtures/fit.ts';
import type { Helpers } from './helpers.ts';

const compute: Compute = threadCompute({
  tasks: new Map([
    ['fit', new URL('./fixtures/fit.ts', import.meta.url)],
    ['leave', new URL('./fixtures/leave.ts', import.meta.url)],
  ]),
});

function fitWith(helpers: number, input: FitInput, task = 'fit'): Promise<readonly TreeEnsemble[]> {
  return compute.run('fit', input, { helpers: { task, count: helpers } });
}

const CASES: readonly TreesOptions[] = [
  {},
  {
    growth: 'leaf',
    maxLeaves: 20,
    minHessian: 1e-3,
    weights: Array.from({ length: 1200 }, (_, row) => row % 4),
  },
  { minRows: 15, alpha: 0.5, monotone: Array.from({ length: 14 }, (_, column) => (column === 0 ? 1 : 0)) },
  { columnSample: 0.6, columnSampleByNode: 0.5, rowSample: 0.7, minRows: 3 },
  { objective: 'multiclass' },
  { objective: 'squaredError', binsMax: 40 },
  { objective: 'quantile', quantile: 0.7 },
  { objective: 'lambdaRank', groups: Array.from({ length: 12 }, () => 100), maxDepth: 4 },
  { kernel: 'plain', rounds: 2 },
];

describe('trees that are trained with helpers', () => {
  it('are the same, bit for bit, whatever their number', async () => {
    const input = { rows: 1200, columns: 14, cases: CASES };
    const alone = run(input, {});
    for (const helpers of [1, 3]) {
      const helped = await fitWith(helpers, input);
      helped.forEach((model, index) => expect(model).toEqual(alone[index]));
    }
  });

  it('are the same with fewer columns than threads, and with many leaves', async () => {
    const narrow = {
      rows: 20_000,
      columns: 2,
      cases: [{ maxDepth: 3 }, { growth: 'leaf', maxLeaves: 400 }],
    } as const;
    expect(await fitWith(4, narrow)).toEqual(run(narrow, {}));
  });

  it('end with the helpers free for the next training when training stops', async () => {
    const input = { rows: 3000, columns: 14, cases: [{}], stopAfter: 2 };
    await expect(fitWith(2, input)).rejects.toMatchObject({
      code: 'INTERNAL',
      cause: { name: 'TrainingStopped' },
    });
    // Labels that cannot be learnt are refused before any helper is asked.
    const refused = { rows: 3000, columns: 14, cases: [{ rounds: 0 }] };
    await expect(fitWith(1, refused)).rejects.toMatchObject({ cause: { name: 'RangeError' } });
  });

  it('end with their helpers at any moment', async () => {
    const abort = new AbortController();
    const input = { rows: 3000, columns: 14, cases: [{ rounds: 10_000, maxDepth: 3 }] };
    const helpers = { task: 'fit', count: 2 };
    const fitting = compute.run('fit', input, { helpers, signal: abort.signal });
    const timer = setTimeout(() => abort.abort(new Error('enough')), 700);
    await expect(fitting).rejects.toThrow('enough');
    clearTimeout(timer);
    // The next one begins when the threads of this one are gone.
    expect(await fitWith(1, { ...input, cases: [{ rounds: 1 }] })).toHaveLength(1);
  });

  it('are not waited for when a helper is gone with its share', async () => {
    // So many rounds that the helper has its turn on any machine.
    const input = { rows: 3000, columns: 14, cases: [{ rounds: 5000 }] };
    const error: unknown = await fitWith(1, input, 'leave').catch((reason: unknown) => reason);
    const { name, message } = (error as { readonly cause: Error }).cause;
    expect([name, message].join(': ')).toMatch(/gone with a share|HelperLost/);
  });

  it('need at least one helper and not too many, where there are any', () => {
    const helpers = (count: number): Helpers => ({ count, post() {}, settle() {}, isLost: () => false });
    const fit = (count: number): unknown =>
      fitTrees({ rows: 2, columns: 1, values: Float32Array.of(0, 1) }, [0, 1], { helpers: helpers(count) });
    for (const count of [0, 16, Number.NaN]) {
      expect(() => fit(count)).toThrow(new RangeError(`There must be from 1 to 15 helpers, not ${count}`));
    }
    // Those that never come are not waited for.
    expect(fit(15)).toMatchObject({ kind: 'trees' });
  });
});

describe('a board', () => {
  function boards(): readonly [Board, Board] {
    const kernel = makeKernel(1 << 16, true);
    if (kernel.memory === undefined) throw new Error('There is no WebAssembly');
    const board = makeBoard(kernel, kernel.memory);
    return [board, new Board(board.places)];
  }

  it('gives each share once, to whoever asks first, and is done when all are', () => {
    const [caller, helper] = boards();
    expect(helper.take()).toBeUndefined();
    for (const shares of [2, 3, 1]) {
      caller.offer(7, shares);
      const taken = Array.from({ length: shares }, (_, at) => (at % 2 === 0 ? helper : caller).take());
      expect(taken.map((share) => share?.index)).toEqual(
        Array.from({ length: shares }, (_, at) => shares - 1 - at),
      );
      expect(taken[0]).toMatchObject({ kind: 7, of: shares });
      expect([caller.take(), helper.take()]).toEqual([undefined, undefined]);
      for (let share = 0; share < shares; share += 1) {
        expect(caller.awaitDone(1)).toBe(false);
        helper.finish();
      }
      expect(caller.awaitDone(1)).toBe(true);
    }
  });

  it('says that a share failed, and when there will be no more', () => {
    const [caller, helper] = boards();
    caller.offer(0, 1);
    expect(helper.awaitWork()).toBe(true);
    helper.take();
    helper.fail();
    expect(caller.awaitDone(1)).toBe(true);
    expect(caller.hasFailed()).toBe(true);
    caller.end();
    expect(helper.awaitWork()).toBe(false);
  });

  it('lets helpers in when they come', () => {
    const [caller, helper] = boards();
    expect(caller.joined()).toBe(0);
    helper.join();
    expect(caller.joined()).toBe(1);
  });
});
