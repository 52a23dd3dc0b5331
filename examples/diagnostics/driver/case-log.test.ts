import { describe, expect, it } from 'vitest';
import { CaseLog } from './case-log.ts';

describe('the log of cases', () => {
  it('compares with the first version on cases that others decided', () => {
    const log = new CaseLog();
    const values = [
      { version: 2, firstScore: 0.1 },
      { version: 2, firstScore: 0.2 },
      { version: 3, firstScore: 0.3 },
      { version: 5, firstScore: undefined },
      { version: 6, firstScore: 0.4 },
    ];
    for (const [index, { version, firstScore }] of values.entries()) {
      const known = { values: {}, isPositive: index % 2 === 0 };
      const id = `c${String(index)}`;
      const answer = { decisionId: `d-${id}`, outcome: 'benign', score: 0.5, release: 'triage-1' };
      log.add({
        case: { id, patient: id, at: index, findingAt: index, known },
        answer,
        version,
        score: index / 10,
        firstScore,
        isPositive: known.isPositive,
      });
    }
    expect(log.againstFirst()).toEqual([
      { version: 3, score: 0.2, firstScore: 0.3, isPositive: true },
      { version: 6, score: 0.4, firstScore: 0.4, isPositive: true },
    ]);
    expect(log.of('c3')?.version).toBe(5);
  });
});
