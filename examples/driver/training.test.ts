import { describe, expect, it } from 'vitest';
import { versionOf } from './training.ts';

const run = {
  id: 'r',
  state: 'done' as const,
  steps: [{ name: 'fit', state: 'done', seconds: 0.5 }],
  metrics: { aucRoc: 0.87, averagePrecision: 0.6 },
  gates: [
    { metric: 'averagePrecision', direction: 'atLeast' as const, bound: 0.3, value: 0.6, passed: true },
  ],
  version: 2,
  error: null,
};

describe('a version', () => {
  it('can be released when every gate was passed', () => {
    expect(versionOf('fraud', run)).toBe(2);
    const failed = {
      ...run,
      gates: [
        { metric: 'averagePrecision', direction: 'atLeast' as const, bound: 0.3, value: 0.2, passed: false },
      ],
    };
    expect(() => versionOf('fraud', failed)).toThrow(/averagePrecision is 0.200, the bound is 0.3/);
    expect(() => versionOf('fraud', { ...run, version: null })).toThrow(/no version number/);
  });
});
