import { describe, expect, it } from 'vitest';
import { gateText, judge } from './model-keeper.ts';

const gate = {
  metric: 'recall',
  direction: 'atLeast',
  bound: 0.9,
  at: 0.1,
  value: 0.95,
  passed: true,
} as const;
const before = { version: 1, estimate: { auc: 0.95, low: 0.93, high: 0.97 } };

describe('a version takes over', () => {
  it.each([
    [
      'as the first one that passes',
      { auc: 0.6, low: 0.5, high: 0.7 },
      undefined,
      true,
      'the first version whose gates passed',
    ],
    [
      'when it is better',
      { auc: 0.95, low: 0.9, high: 1 },
      before,
      true,
      'better: AUC 0.950 (0.900 to 1.000), of version 1 0.950 (0.930 to 0.970)',
    ],
    [
      'when it is not surely worse',
      { auc: 0.91, low: 0.9, high: 0.93 },
      before,
      true,
      'not worse: AUC 0.910 (0.900 to 0.930), of version 1 0.950 (0.930 to 0.970)',
    ],
    [
      'not when it is worse',
      { auc: 0.91, low: 0.9, high: 0.929 },
      before,
      false,
      'worse: AUC 0.910 (0.900 to 0.929), of version 1 0.950 (0.930 to 0.970)',
    ],
  ])('%s', (_, estimate, inCharge, isGood, reason) => {
    expect(judge({ gates: [gate] }, estimate, inCharge)).toEqual({ isGood, reason });
  });

  it('never when a gate was not passed', () => {
    const failed = { ...gate, value: 0.85, passed: false };
    expect(judge({ gates: [gate, failed] }, before.estimate, undefined)).toEqual({
      isGood: false,
      reason: 'gate not passed: recall at 0.1 is 0.850, at least 0.9 is asked',
    });
  });
});

describe('a gate in words', () => {
  it('names slice, baseline, and why nothing was measured', () => {
    const where = { input: 'age', values: '60 to 81', rows: 40 };
    expect(gateText({ ...gate, where })).toBe(
      'recall at 0.1 is 0.950 in the worst slice, age 60 to 81 (40 cases), at least 0.9 is asked',
    );
    expect(gateText({ ...gate, unmeasured: 'there are no rows' })).toBe(
      'recall at 0.1 cannot be measured: there are no rows',
    );
    const against = { metric: 'logLoss', direction: 'atLeast', bound: 0, value: 0.4, passed: true } as const;
    expect(gateText({ ...against, against: 'baseline', end: 'lower' })).toBe(
      'the lead over the baseline in logLoss is 0.400 (the lower end), more than 0 is asked',
    );
  });
});
