import {
  atLeast,
  atMost,
  betterThanBaseline,
  byFolds,
  decision,
  defineApp,
  defineModel,
  id,
  key,
  label,
  logistic,
  number,
  source,
  text,
  timestamp,
  vector,
} from 'tandem';

/** Values that were not measured are absent. */
const measured = () => number({ minimum: 0, personal: 'sensitive', optional: true });

/** An examination: plasma glucose, blood pressure (mm Hg), skin fold (mm), serum insulin, body mass index, pedigree. */
export const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: {
    caseId: id(),
    at: timestamp(),
    patientId: key({ personal: 'pseudonym' }),
    pregnant: measured(),
    glucose: measured(),
    pressure: measured(),
    triceps: measured(),
    insulin: measured(),
    mass: measured(),
    pedigree: measured(),
    age: measured(),
  },
});

export const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text({ personal: 'sensitive' }) },
});

export const diabetes = label('diabetes', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (f) => f.finding.equals('diabetes'),
  confirmed: true,
  maturesAfter: '4d',
});

export const examination = vector('examination', {
  candidate: cases,
  pregnant: (c) => c.pregnant,
  glucose: (c) => c.glucose,
  pressure: (c) => c.pressure,
  triceps: (c) => c.triceps,
  insulin: (c) => c.insulin,
  mass: (c) => c.mass,
  pedigree: (c) => c.pedigree,
  age: (c) => c.age,
});

const UNSURE = { from: 0.2, to: 0.7 };

export const diagnosis = defineModel('diagnosis', {
  vector: examination,
  label: diabetes,
  trainer: logistic({ calibrate: 'platt' }),
  split: byFolds({ folds: 10, groupBy: 'patientId' }),
  gates: [
    betterThanBaseline('logLoss', { bound: 'lower' }),
    atLeast('recall', 0.8, { at: UNSURE.from }),
    atMost('calibrationError', 0.15),
  ],
});

export const triage = decision('triage', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['none', 'diabetes'],
  abstain: { ...UNSURE, outcome: 'review' },
  explain: 3,
});

export const yardstick = decision('yardstick', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['none', 'diabetes'],
  ledger: 'buffered',
});

export const app = defineApp('diagnostics', { decisions: { triage, yardstick } });
export default app;
