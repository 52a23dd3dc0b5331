import { describe, expect, it } from 'vitest';
import { asOf, id, key, label, source, text, timestamp } from './index.ts';

const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: { caseId: id(), at: timestamp(), patientId: key() },
});
const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text() },
});
const common = { of: cases, from: findings, on: 'caseId', maturesAfter: '3d' } as const;

describe('a label', () => {
  it('keeps its version when it has no condition', () => {
    // Written down by the release before conditions came.
    const hash = 'sha256:91495c8cc5a09bb78d452e5a5c71b1a44407c1fc53644cb4b44fceeaf9e78b07';
    expect(label('malignant', common).hash).toBe(hash);
    expect(label('malignant', { ...common, confirmed: false }).hash).toBe(hash);
    expect(label('malignant', common)).not.toHaveProperty('where');
  });

  it('is another one with a condition, and with another condition', () => {
    const hashes = [
      label('malignant', common),
      label('malignant', { ...common, where: (f) => f.finding.equals('malignant') }),
      label('malignant', { ...common, where: (f) => f.finding.equals('benign') }),
      label('malignant', { ...common, where: (f) => f.finding.equals('malignant'), confirmed: true }),
    ].map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(4);
  });

  it('looks at nothing but the outcome', () => {
    expect(() => label('malignant', { ...common, where: (f) => f.at.lessThan(asOf()) })).toThrow(
      "Label 'malignant': 'where' is of an outcome's fields; got asOf()",
    );
  });

  it('cannot be confirmed without a condition: nothing would be negative', () => {
    expect(() => label('malignant', { ...common, confirmed: true })).toThrow(
      /confirmed: true needs a 'where'/,
    );
  });
});
