import { describe, expect, it } from 'vitest';
import { abstains } from './abstention.ts';
import { decision, type DecisionOptions } from './decision.ts';
import { id, key, number, timestamp } from './field.ts';
import { label } from './label.ts';
import { defineModel, logistic } from './model.ts';
import { source } from './source.ts';
import { vector } from './vector.ts';

const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: { caseId: id(), at: timestamp(), patientId: key(), size: number() },
});
const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key() },
});
const malignant = label('malignant', { of: cases, from: findings, on: 'caseId', maturesAfter: '3d' });
const tumour = vector('tumour', { candidate: cases, size: (c) => c.size });
const model = defineModel('diagnosis', { vector: tumour, label: malignant, trainer: logistic() });

function triage(options: Partial<DecisionOptions<typeof cases>> = {}): ReturnType<typeof decision> {
  return decision('triage', { model, subject: 'patientId', outcomes: ['benign', 'malignant'], ...options });
}

describe('a decision that abstains or gives reasons', () => {
  it('has the hash of before where it does neither', () => {
    expect(triage().hash).toBe('sha256:7c1fdcbec32329cd0593f54a5f37f6cfdf889c4eaaf59adffdd48db7ecb92586');
    expect(triage()).not.toHaveProperty('abstain');
    expect(triage()).not.toHaveProperty('explain');
  });

  it('is another one with each of them', () => {
    const abstain = { from: 0.1, to: 0.9, outcome: 'unsure' };
    const all = [
      triage(),
      triage({ abstain }),
      triage({ abstain: { ...abstain, to: 0.8 } }),
      triage({ explain: 3 }),
    ];
    expect(new Set(all.map(({ hash }) => hash)).size).toBe(4);
    expect(triage({ abstain })).toMatchObject({ abstain });
  });

  it.each([
    [{ abstain: { from: 0.5, to: 0.5, outcome: 'unsure' } }, 'from a score to a higher one'],
    [{ abstain: { from: -0.1, to: 0.5, outcome: 'unsure' } }, 'both in [0, 1]'],
    [{ abstain: { from: 0.1, to: 1.1, outcome: 'unsure' } }, 'both in [0, 1]'],
    [{ abstain: { from: Number.NaN, to: 1, outcome: 'unsure' } }, 'both in [0, 1]'],
    [{ abstain: { from: 0.1, to: 0.9, outcome: 'benign' } }, "beside 'benign' and 'malignant'"],
    [{ abstain: { from: 0.1, to: 0.9, outcome: '' } }, 'a text of 1 to 63 characters'],
    [{ explain: 0 }, 'from 1 to 100'],
    [{ explain: 101 }, 'from 1 to 100'],
    [{ explain: 1.5 }, 'a whole number'],
  ])('is refused as %j', (options, text) => {
    expect(() => triage(options)).toThrow(TypeError);
    expect(() => triage(options)).toThrow(text);
  });

  it('leaves the scores from the lower bound to below the upper one', () => {
    const range = { from: 0.25, to: 0.75, outcome: 'unsure' };
    expect([0.249, 0.25, 0.5, 0.749, 0.75, 1].map((score) => abstains(range, score))).toEqual([
      false,
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});
