import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PICTURE_TRIALS_MAX, searchPicture } from './picture.ts';
import { startSearch } from './search.ts';
import type { SearchSpace } from './space.ts';
import { roundSteps } from './svg.ts';
import type { SearchState } from './trial.ts';

const space: SearchSpace = [
  { name: 'rate', kind: 'log-real', least: 0.001, most: 1 },
  { name: 'text', kind: 'choice', options: ['<a & "b">', 'c'] },
  { name: 'depth', kind: 'whole', least: 1, most: 3, when: { parameter: 'text', is: ['c'] } },
];

function searched(trialsMax: number, scores: (number: number) => number | undefined): SearchState {
  const search = startSearch(space, { algorithm: 'random', trialsMax });
  for (let trial = search.ask(); trial !== undefined; trial = search.ask()) {
    const { number } = trial;
    const score = scores(number);
    search.tell(score === undefined ? { number, error: 'no' } : { number, score });
  }
  return search.state();
}

/** Follows the tags of a document and gives back how often each element comes. */
function elements(document: string): Map<string, number> {
  const counts = new Map<string, number>();
  const open: string[] = [];
  for (const [, closing, name = '', selfClosing] of document.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (closing === '/') expect(open.pop()).toBe(name);
    else {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      if (selfClosing !== '/') open.push(name);
    }
  }
  expect(open).toEqual([]);
  return counts;
}

describe('searchPicture', () => {
  const state = searched(30, (number) => (number % 10 === 9 ? undefined : Math.sin(number)));

  it('draws each trial in the panel of scores and in that of each parameter it had', () => {
    const counts = elements(searchPicture(state));
    const hadDepth = state.trials.filter(({ parameters }) => 'depth' in parameters);
    const done = hadDepth.filter(({ status }) => status === 'done').length;
    expect(counts.get('circle')).toBe(27 * 3 + done);
    // A cross for each failure, and the line of the best so far.
    expect(counts.get('path')).toBe(3 * 3 + hadDepth.length - done + 1);
  });

  it('says the outcome in words', () => {
    const picture = searchPicture(state, { title: 'Fraud & more', id: 'one' });
    expect(picture).toContain('role="img" aria-labelledby="one-title one-desc"');
    expect(picture).toContain('<title id="one-title">Fraud &amp; more</title>');
    expect(picture).toMatch(
      /<desc id="one-desc">30 trials of the algorithm random: 27 done, 3 failed, 0 running. The highest score is 0.9906, of trial 14: rate [^<]*<\/desc>/,
    );
    expect(picture).not.toContain('<a &');
  });

  it('gives the same bytes for the same search', () => {
    expect(searchPicture(JSON.parse(JSON.stringify(state)) as SearchState)).toBe(searchPicture(state));
  });

  it('is a sound document whatever the scores', () => {
    const score = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(0, 1, 1.7e308, -1.7e308, 5e-324, undefined),
    );
    fc.assert(
      fc.property(fc.array(score, { minLength: 1, maxLength: 6 }), fc.string(), (scores, title) => {
        const picture = searchPicture(
          searched(scores.length, (number) => scores[number]),
          { title },
        );
        elements(picture.replace(/<title[^>]*>[^<]*/, '<title>'));
        expect(picture.replaceAll(/>[^<]*</g, '><')).not.toMatch(/NaN|Infinity|undefined/);
      }),
      { numRuns: 200 },
    );
    elements(searchPicture(startSearch(space, { algorithm: 'random' }).state()));
  });

  it('draws a part of very many trials, the best one always', () => {
    const many = searched(PICTURE_TRIALS_MAX * 2 + 1, (number) => (number === 1001 ? 5 : 0));
    const picture = searchPicture(many);
    expect(picture).toContain('of trial 1001');
    expect(picture).toContain('1335 of the trials are drawn.');
    expect(picture.match(/class="winner"/g)?.length).toBeGreaterThanOrEqual(3);
  });
});

describe('roundSteps', () => {
  it('gives round numbers within the bounds', () => {
    expect(roundSteps(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(roundSteps(-0.013, 0.017, 3)).toEqual([-0.01, 0, 0.01]);
    expect(roundSteps(0.0712, 13.2, 4)).toEqual([5, 10]);
  });
});
