import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import app from '../check/fixtures/corpus.ts';
import { play, type Played } from '../check/play.ts';
import { streamArbitrary } from '../check/stream.ts';
import { groupSubject, type Subject } from '../check/subject.ts';
import { KeyTable } from './key-table.ts';
import { OnlineState } from './online-state.ts';

/** What was read, when, and at which positions. */
function readsOf(played: Played): unknown[] {
  return played.reads.map(({ step, asOf, values, positions }) => ({ step, asOf, values, positions }));
}

/** Plays the stream on replicas that forget nothing. */
function playWithMemory(subject: Subject, ...[stream]: [Parameters<typeof play>[1]]): Played {
  const sweep = vi.spyOn(OnlineState.prototype, 'sweep').mockReturnValue(true);
  try {
    return play(subject, stream);
  } finally {
    sweep.mockRestore();
  }
}

describe('what no window sees any more', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it.each([...app.groups.values()].map((group) => [group.name, group] as const))(
    'may be forgotten at any moment: no value of %s changes (rules 3, 4 and 7)',
    (_, group) => {
      const subject = groupSubject(app, group);
      let reads = 0;
      const property = fc.property(streamArbitrary(subject, { stepsMin: 40, stepsMax: 120 }), (stream) => {
        // On a fleet that plays, a part is forgotten after every record.
        const forgetful = readsOf(play(subject, stream));
        expect(forgetful).toEqual(readsOf(playWithMemory(subject, stream)));
        reads += forgetful.length;
      });
      fc.assert(property, { numRuns: 25, seed: 11 });
      expect(reads).toBeGreaterThan(100);
    },
  );

  it('is forgotten indeed: keys of every kind of group lose their slots', () => {
    const removed = new Set<string>();
    const remove = vi.spyOn(KeyTable.prototype, 'remove');
    for (const group of app.groups.values()) {
      const subject = groupSubject(app, group);
      const before = remove.mock.calls.length;
      for (const stream of fc.sample(streamArbitrary(subject, { stepsMin: 80, stepsMax: 120 }), {
        numRuns: 10,
        seed: 5,
      }))
        play(subject, stream);
      if (remove.mock.calls.length > before) removed.add(group.name);
    }
    const tiled = [...app.groups.values()].filter(
      ({ exact, from, features }) =>
        !exact && from.source.corrections !== true && features.every(({ windowMs }) => windowMs < 1e12),
    );
    expect(tiled.length).toBeGreaterThan(3);
    for (const { name } of tiled) expect(removed).toContain(name);
  });
});
