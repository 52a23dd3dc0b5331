import { describe, expect, it } from 'vitest';
import { readAbstention } from './lifecycle.ts';
import { readFields } from './reviews.ts';

describe('fields of an answer', () => {
  it('are text, unless they are JSON', () => {
    const given = [
      'finding=malignant',
      'grade=2',
      'sure=true',
      'code="2"',
      'note=a=b',
      'empty=',
      'none=null',
    ];
    expect(readFields(given)).toEqual({
      finding: 'malignant',
      grade: 2,
      sure: true,
      code: '2',
      note: 'a=b',
      empty: '',
      none: null,
    });
  });

  it.each([['finding'], ['=x'], ['a=1', 'a=2']])('%s is refused', (...given) => {
    expect(() => readFields(given)).toThrow('--field');
  });
});

describe('a range of scores', () => {
  it.each([
    ['0.1..0.9', { from: 0.1, to: 0.9 }],
    ['0..1', { from: 0, to: 1 }],
    ['0.25..0.5:ask a person', { from: 0.25, to: 0.5, outcome: 'ask a person' }],
  ])('%s', (text, wanted) => {
    expect(readAbstention(text)).toEqual(wanted);
  });

  it.each(['0.1', '0.1-0.9', '..0.9', '0.1..', 'a..b', '1.2.3..4'])('%s is refused', (text) => {
    expect(() => readAbstention(text)).toThrow('--abstain');
  });
});
