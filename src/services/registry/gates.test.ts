import { describe, expect, it } from 'vitest';
import { type GateVerdict, gateVerdictText } from '../../contract/index.ts';
import { atLeast, betterThanBaseline, type Gate } from '../../define/index.ts';
import { falseClaims, judgeGates } from './gates.ts';

const recall = atLeast('recall', 0.9, { at: 0.3 });
const worst = atLeast('recall', 0.8, { at: 0.3, slice: 'worst' });
const passed = (gate: Gate): GateVerdict => ({ ...gate, value: 0.95, passed: true });

describe('judgeGates', () => {
  it('takes a verdict for the gate that it is about, and for no easier one', () => {
    expect(judgeGates([recall, worst], [passed(worst), passed(recall)]).passed).toBe(true);
    const others = [
      atLeast('recall', 0.9, { at: 0.1 }),
      atLeast('recall', 0.9, { at: 0.3, slice: 'worst' }),
      atLeast('recall', 0.9, { at: 0.3, bound: 'lower' }),
      atLeast('precision', 0.9, { at: 0.3 }),
      atLeast('recall', 0.8, { at: 0.3 }),
    ];
    for (const other of others) {
      expect(judgeGates([recall], [passed(other)])).toMatchObject({ passed: false, missing: [recall] });
    }
    const fewer = atLeast('recall', 0.8, { at: 0.3, slice: 'worst', rowsMin: 300 });
    expect(judgeGates([worst], [passed(fewer)]).missing).toEqual([worst]);
  });

  it('takes verdicts of processes that know only plain gates for plain gates', () => {
    const plain = { metric: 'aucRoc', direction: 'atLeast', bound: 0.7, value: 0.8, passed: true } as const;
    expect(judgeGates([atLeast('aucRoc', 0.7)], [plain]).passed).toBe(true);
    expect(judgeGates([atLeast('aucRoc', 0.7, { bound: 'lower' })], [plain]).passed).toBe(false);
  });
});

describe('falseClaims', () => {
  it('are verdicts that passed beyond their bound, with nothing measured, or without a lead', () => {
    const lead = betterThanBaseline('aucRoc');
    const claims: GateVerdict[] = [
      { ...recall, value: 0.89, passed: true },
      { ...recall, value: 0.99, passed: true, unmeasured: 'there are too few rows' },
      { ...lead, value: 0, baseline: 0.5, passed: true },
    ];
    const honest: GateVerdict[] = [
      passed(recall),
      { ...recall, value: 0.89, passed: false },
      { ...lead, value: 0.01, baseline: 0.5, passed: true },
    ];
    expect(falseClaims([...claims, ...honest])).toEqual(claims);
  });
});

describe('gateVerdictText', () => {
  it('names threshold, slice, end and baseline', () => {
    const where = { input: 'ward', values: 'east', rows: 40 };
    expect(gateVerdictText({ ...worst, value: 0.7, where, passed: false })).toBe(
      'recall at 0.3 in the worst slice is 0.7 where ward is east (40 rows), at least 0.8 is asked',
    );
    const lead = betterThanBaseline('logLoss', { bound: 'lower' });
    expect(gateVerdictText({ ...lead, value: -0.1, baseline: 0.6, passed: false })).toBe(
      'lead of logLoss over the baseline, lower end is -0.1, the baseline is 0.6, more than 0 is asked',
    );
    expect(gateVerdictText({ ...worst, value: 0, unmeasured: 'no slice has 30 rows', passed: false })).toBe(
      'recall at 0.3 in the worst slice is not measurable, no slice has 30 rows, at least 0.8 is asked',
    );
  });
});
