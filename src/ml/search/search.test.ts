import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hyperbandBrackets } from './hyperband.ts';
import type { SearchOptions } from './options.ts';
import { bestTrial, searchResults } from './results.ts';
import type { Search } from './search.ts';
import { restoreSearch, startSearch } from './search.ts';
import type { ParameterValues, SearchSpace } from './space.ts';
import type { SearchState, Trial } from './trial.ts';

const mixed: SearchSpace = [
  { name: 'rate', kind: 'log-real', least: 0.001, most: 1 },
  { name: 'growth', kind: 'choice', options: ['depth', 'leaf', 'none'] },
  { name: 'depth', kind: 'whole', least: 1, most: 12, when: { parameter: 'growth', is: ['depth', 'leaf'] } },
  { name: 'leaves', kind: 'log-whole', least: 2, most: 256, when: { parameter: 'growth', is: ['leaf'] } },
  { name: 'constructor', kind: 'real', least: -1, most: 1 },
];
const unitCube: SearchSpace = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({
  name,
  kind: 'real',
  least: 0,
  most: 1,
}));

const everyAlgorithm: readonly SearchOptions[] = [
  { algorithm: 'grid', gridSteps: 2 },
  { algorithm: 'random' },
  { algorithm: 'latin-hypercube' },
  { algorithm: 'tpe', tpe: { startupTrials: 4, candidates: 6 } },
  { algorithm: 'hyperband', hyperband: { resourceMin: 1, resourceMax: 9, proposal: 'random' } },
  {
    algorithm: 'hyperband',
    hyperband: { resourceMin: 2, resourceMax: 9, reduction: 2, proposal: 'tpe' },
    tpe: { startupTrials: 3 },
  },
];

/** Some score that depends on everything. */
function scoreOf(trial: Trial): number {
  const { rate, constructor: other, depth = 3 } = trial.parameters;
  return Number(depth) / 12 - (Math.log(Number(rate)) + 3) ** 2 + Number(other) - 1 / (trial.resource ?? 1);
}

/** Evaluates one trial after the other. */
function runAll(search: Search, evaluate: (trial: Trial) => number): SearchState {
  for (let trial = search.ask(); trial !== undefined; trial = search.ask()) {
    search.tell({ number: trial.number, score: evaluate(trial) });
  }
  return search.state();
}

/** Hartmann's function of six variables, to be minimised; its minimum is -3.32237. */
function hartmann({ parameters }: { readonly parameters: ParameterValues }): number {
  const heights = [1, 1.2, 3, 3.2];
  const widths = [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
  ];
  const centres = [
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
  ];
  return -heights.reduce((sum, height, hill) => {
    const distance = unitCube.reduce((total, { name }, at) => {
      const offset = Number(parameters[name]) - (centres[hill]?.[at] ?? 0) / 10_000;
      return total + (widths[hill]?.[at] ?? 0) * offset * offset;
    }, 0);
    return sum + height * Math.exp(-distance);
  }, 0);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (
    ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.floor(sorted.length / 2)] ?? 0)) / 2
  );
}

describe('every algorithm', () => {
  it.each(everyAlgorithm)('goes on the same after saving and restoring at any point: %o', (options) => {
    const action = fc.record({
      ask: fc.boolean(),
      which: fc.nat(),
      outcome: fc.constantFrom('score', 'score', 'score', 'tie', 'error'),
      save: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.nat(1000), (actions, seed) => {
        const straight = startSearch(mixed, { ...options, seed, trialsMax: 40, goal: 'minimise' });
        let interrupted = startSearch(mixed, { ...options, seed, trialsMax: 40, goal: 'minimise' });
        const running: Trial[] = [];
        for (const { ask, which, outcome, save } of actions) {
          if (ask || running.length === 0) {
            const trial = straight.ask();
            expect(interrupted.ask()).toEqual(trial);
            if (trial !== undefined) running.push(trial);
          } else {
            const [trial] = running.splice(which % running.length, 1);
            if (trial === undefined) continue;
            const { number } = trial;
            const score = outcome === 'tie' ? -0 : scoreOf(trial);
            const told = outcome === 'error' ? { number, error: 'no memory' } : { number, score, seconds: 2 };
            expect(interrupted.tell(told)).toEqual(straight.tell(told));
          }
          if (save) interrupted = restoreSearch(JSON.parse(JSON.stringify(interrupted.state())));
        }
        expect(interrupted.state()).toEqual(straight.state());
        expect(JSON.parse(JSON.stringify(straight.state()))).toEqual(straight.state());
      }),
      { numRuns: 30 },
    );
  });

  it.each(everyAlgorithm)(
    'keeps its budget of trials, begins with what it is given, and depends on the seed: %o',
    (options) => {
      const first = [{ rate: 0.5, growth: 'none', constructor: 0 }];
      const run = (seed: number): SearchState =>
        runAll(startSearch(mixed, { ...options, seed, first, trialsMax: 20 }), scoreOf);
      const { trials } = run(1);
      expect(trials).toHaveLength(20);
      expect(trials[0]?.parameters).toEqual(first[0]);
      expect(run(1).trials).toEqual(trials);
      if (options.algorithm !== 'grid') expect(run(2).trials).not.toEqual(trials);
      for (const { parameters } of trials) {
        const names = ['rate', 'growth', 'depth', 'leaves', 'constructor'].filter(
          (name) =>
            (name !== 'depth' || parameters['growth'] !== 'none') &&
            (name !== 'leaves' || parameters['growth'] === 'leaf'),
        );
        expect(Object.keys(parameters)).toEqual(names);
      }
    },
  );

  it.each(everyAlgorithm)('survives trials that all fail, and ends early when told to: %o', (options) => {
    const fail = (failuresMax?: number): number => {
      const more = failuresMax === undefined ? {} : { failuresMax };
      const search = startSearch(mixed, { ...options, trialsMax: 20, ...more });
      for (let trial = search.ask(); trial !== undefined; trial = search.ask()) {
        search.tell({ number: trial.number, error: 'diverged' });
      }
      return search.state().trials.length;
    };
    expect(fail()).toBe(20);
    expect(fail(7)).toBe(7);
  });
});

describe('grid', () => {
  it('visits every combination of active parameters once, the last one fastest', () => {
    const space: SearchSpace = [
      { name: 'kind', kind: 'choice', options: ['plain', 'deep'] },
      { name: 'depth', kind: 'whole', least: 1, most: 2, when: { parameter: 'kind', is: ['deep'] } },
      { name: 'rate', kind: 'log-real', least: 0.01, most: 1 },
    ];
    const { trials, plan } = runAll(startSearch(space, { algorithm: 'grid', gridSteps: 3 }), () => 0);
    const points = trials.map(({ parameters }) => Object.values(parameters).join(' '));
    expect(points.map((point) => point.replace(/0\.1\d*|0\.09\d+/, '0.1'))).toEqual(
      ['plain', 'deep 1', 'deep 2'].flatMap((start) =>
        ['0.01', '0.1', '1'].map((rate) => `${start} ${rate}`),
      ),
    );
    expect(plan.trialsMax).toBe(9);
    expect(() => startSearch(unitCube, { algorithm: 'grid', gridSteps: 10 })).toThrow(
      /more than 10000 points/,
    );
    expect(runAll(startSearch(unitCube, { algorithm: 'grid', trialsMax: 7 }), hartmann).trials).toHaveLength(
      7,
    );
  });
});

describe('latin-hypercube', () => {
  it('puts one trial into each piece of every range', () => {
    const { trials } = runAll(
      startSearch(unitCube, { algorithm: 'latin-hypercube', trialsMax: 32, seed: 3 }),
      hartmann,
    );
    for (const { name } of unitCube) {
      const pieces = trials.map(({ parameters }) => Math.floor(Number(parameters[name]) * 32));
      expect(pieces.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, piece) => piece));
    }
  });
});

describe('tpe', () => {
  const seeds = Array.from({ length: 20 }, (_, seed) => seed);
  const best = (options: SearchOptions): number =>
    median(
      seeds.map((seed) => {
        const search = startSearch(unitCube, { ...options, goal: 'minimise', trialsMax: 60, seed });
        return bestTrial(runAll(search, hartmann))?.score ?? 0;
      }),
    );

  it('beats random search on six variables at equal budget', () => {
    expect(
      hartmann({ parameters: { a: 0.20169, b: 0.150011, c: 0.476874, d: 0.275332, e: 0.311652, f: 0.6573 } }),
    ).toBeCloseTo(-3.32237, 5);
    const random = best({ algorithm: 'random' });
    const tpe = best({ algorithm: 'tpe' });
    expect(tpe).toBeLessThan(-2.5);
    expect(tpe).toBeLessThan(random - 0.5);
  });

  it('learns which options and conditional parameters are good', () => {
    const evaluate = ({ parameters }: Trial): number =>
      (parameters['growth'] === 'leaf' ? 2 : 0) -
      Math.abs(Math.log2(Number(parameters['leaves'] ?? 2)) - 5) / 4;
    const { trials } = runAll(startSearch(mixed, { algorithm: 'tpe', trialsMax: 80 }), evaluate);
    const late = trials.slice(50);
    expect(late.filter(({ parameters }) => parameters['growth'] === 'leaf').length).toBeGreaterThan(20);
    const leaves = late.map(({ parameters }) => Number(parameters['leaves'] ?? Number.NaN));
    expect(leaves.filter((count) => count >= 16 && count <= 64).length).toBeGreaterThan(15);
  });

  it('keeps proposals that are asked for at once apart', () => {
    const options: SearchOptions = { algorithm: 'tpe', trialsMax: 80, goal: 'minimise' };
    const finished = runAll(startSearch(unitCube, { ...options, trialsMax: 40 }), hartmann);
    const search = restoreSearch({ ...finished, plan: { ...finished.plan, trialsMax: 80 } });
    const asked = Array.from({ length: 16 }, () => search.ask()?.parameters);
    expect(new Set(asked.map((parameters) => JSON.stringify(parameters))).size).toBe(16);
    // With pending trials as bad ones the proposals spread more than the good trials alone would have them.
    const values = asked.map((parameters) => Number(parameters?.['a']));
    expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(0.1);
  });
});

describe('hyperband', () => {
  it('has the brackets of the paper for a resource of 81 and a third kept', () => {
    const brackets = hyperbandBrackets({ resourceMin: 1, resourceMax: 81 });
    const table = brackets.map((rungs) => rungs.map(({ trials, resource }) => [trials, resource]));
    expect(table).toEqual([
      [
        [81, 1],
        [27, 3],
        [9, 9],
        [3, 27],
        [1, 81],
      ],
      [
        [34, 3],
        [11, 9],
        [3, 27],
        [1, 81],
      ],
      [
        [15, 9],
        [5, 27],
        [1, 81],
      ],
      [
        [8, 27],
        [2, 81],
      ],
      [[5, 81]],
    ]);
  });

  it('promotes the best of each rung, with the same parameters and a pointer to go on from', () => {
    const options: SearchOptions = { algorithm: 'hyperband', hyperband: { resourceMin: 1, resourceMax: 9 } };
    const { trials } = runAll(startSearch(mixed, options), scoreOf);
    const rung = (bracket: number, at: number): Trial[] =>
      trials.filter((trial) => trial.bracket === bracket && trial.rung === at);
    expect(trials).toHaveLength(9 + 3 + 1 + 5 + 1 + 3);
    const best = rung(0, 0)
      .toSorted((a, b) => (b.score ?? 0) - (a.score ?? 0))
      .slice(0, 3);
    expect(rung(0, 1).map((trial) => trial.continues)).toEqual(best.map((trial) => trial.number));
    for (const trial of trials.filter(({ continues }) => continues !== null)) {
      const before = trials[trial.continues ?? 0];
      expect(trial.parameters).toEqual(before?.parameters);
      expect(trial.resource).toBe((before?.resource ?? 0) * 3);
    }
    expect(bestTrial({ ...startSearch(mixed, options).state(), trials })?.resource).toBe(9);
  });

  it('begins the next bracket while a rung waits, and promotes once it no longer does', () => {
    const options: SearchOptions = { algorithm: 'hyperband', hyperband: { resourceMin: 1, resourceMax: 9 } };
    const search = startSearch(mixed, options);
    const first = Array.from({ length: 9 }, () => search.ask());
    expect(search.ask()).toMatchObject({ bracket: 1, rung: 0, resource: 3, number: 9 });
    for (const trial of first.slice(1))
      search.tell({ number: trial?.number ?? 0, score: -(trial?.number ?? 0) });
    expect(search.ask()).toMatchObject({ bracket: 1, rung: 0 });
    search.tell({ number: 0, error: 'worker was lost' });
    expect(search.ask()).toMatchObject({ bracket: 0, rung: 1, resource: 3, continues: 1 });
    expect(search.ask()).toMatchObject({ bracket: 0, rung: 1, resource: 3, continues: 2 });
  });

  it('finds better trials when TPE proposes', () => {
    const run = (proposal: 'random' | 'tpe', seed: number): number => {
      const hyperband = { resourceMin: 3, resourceMax: 81, proposal };
      const search = startSearch(unitCube, { algorithm: 'hyperband', goal: 'minimise', seed, hyperband });
      return bestTrial(runAll(search, (trial) => hartmann(trial) + 1 / (trial.resource ?? 1)))?.score ?? 0;
    };
    const seeds = Array.from({ length: 10 }, (_, seed) => seed);
    const [random, tpe] = (['random', 'tpe'] as const).map((proposal) =>
      median(seeds.map((seed) => run(proposal, seed))),
    );
    expect(tpe).toBeLessThan((random ?? 0) - 0.1);
  });
});

describe('results', () => {
  it('sorts by resource, then score; trials without a score are last', () => {
    const search = startSearch(mixed, { algorithm: 'random', goal: 'minimise' });
    const asked = [0, 1, 2, 3, 4].map(() => search.ask()?.number ?? -1);
    expect(asked).toEqual([0, 1, 2, 3, 4]);
    search.tell({ number: 1, error: 'x'.repeat(5000) });
    search.tell({ number: 4, score: 2, seconds: 1.5 });
    search.tell({ number: 0, score: 2 });
    search.tell({ number: 3, score: 1 });
    const results = searchResults(search.state());
    expect(results.map(({ rank, number }) => [rank, number])).toEqual([
      [1, 3],
      [2, 0],
      [3, 4],
      [null, 2],
      [null, 1],
    ]);
    expect(results[2]).toMatchObject({ seconds: 1.5, status: 'done' });
    expect(results[4]?.error).toHaveLength(1000);
  });
});

describe('what is refused', () => {
  it.each<[Partial<SearchOptions>, RegExp]>([
    [{ algorithm: 'bayes' as 'tpe' }, /algorithm must be one of .* not bayes/],
    [{ trialsMax: 0 }, /trialsMax must be a whole number from 1 to 10000, not 0/],
    [{ seed: -1 }, /seed must be/],
    [{ goal: 'max' as 'maximise' }, /goal must be maximise or minimise, not max/],
    [{ tpe: { goodShare: 0 } }, /tpe.goodShare must be above 0/],
    [{ first: [{ rate: 5 }] }, /Configuration 0 of first: 5 is no value of the parameter rate/],
    [{ algorithm: 'hyperband' }, /needs the options hyperband/],
    [
      { algorithm: 'hyperband', hyperband: { resourceMin: 9, resourceMax: 9 } },
      /resourceMin .* 1 to 8, not 9/,
    ],
  ])('options %o', (options, message) => {
    expect(() => startSearch(mixed, { algorithm: 'random', ...options })).toThrow(message);
  });

  it('outcomes that make no sense', () => {
    const search = startSearch(mixed, { algorithm: 'random' });
    search.ask();
    expect(() => search.tell({ number: 1, score: 0 })).toThrow('There is no trial 1');
    expect(() => search.tell({ number: 0, score: Number.NaN })).toThrow(/finite number, not NaN/);
    expect(() => search.tell({ number: 0 })).toThrow(/either a score or an error/);
    expect(() => search.tell({ number: 0, score: 1, seconds: -1 })).toThrow(/seconds of trial 0/);
    search.tell({ number: 0, score: 1 });
    expect(() => search.tell({ number: 0, score: 1 })).toThrow('Trial 0 was told already: done');
  });

  it('states that were changed', () => {
    const search = startSearch(mixed, { algorithm: 'random' });
    search.ask();
    search.ask();
    const state = search.state();
    const changed = (fields: Partial<Record<keyof Trial, unknown>>): unknown => ({
      ...state,
      trials: [state.trials[0], { ...state.trials[1], ...fields }],
    });
    expect(restoreSearch(changed({})).state()).toEqual(state);
    expect(() => restoreSearch({ ...state, version: 2 })).toThrow(/version 1, not 2/);
    expect(() => restoreSearch(changed({ number: 5 }))).toThrow(/Trial 1 has the number 5/);
    expect(() => restoreSearch(changed({ status: 'done' }))).toThrow(/is done and has the score null/);
    expect(() => restoreSearch(changed({ status: 'failed' }))).toThrow(/is failed and has the error null/);
    expect(() => restoreSearch(changed({ parameters: {} }))).toThrow(/Trial 1: undefined is no value/);
    expect(() => restoreSearch(changed({ continues: 1 }))).toThrow(/continues must be .* 0 to 0/);
    expect(() => restoreSearch(changed({ resource: 3 }))).toThrow(/resource must be null, not 3/);
    expect(() => restoreSearch(null)).toThrow(/must be an object, not null/);
    expect(() => restoreSearch({ ...state, plan: { ...state.plan, trialsMax: 1e9 } })).toThrow(/trialsMax/);
  });

  it('shares no memory with its caller', () => {
    const search = startSearch(mixed, { algorithm: 'random' });
    search.ask();
    const state = search.state();
    (state.trials as Trial[]).pop();
    expect(search.state().trials).toHaveLength(1);
  });
});
