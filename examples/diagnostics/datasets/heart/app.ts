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

/** Scaled to [-1, 1]. */
const measured = () => number({ minimum: -1, maximum: 1, personal: 'sensitive' });

/** An examination at rest and under stress, as in the Statlog heart data. */
export const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: {
    caseId: id(),
    at: timestamp(),
    patientId: key({ personal: 'pseudonym' }),
    age: measured(),
    sex: measured(),
    chestPain: measured(),
    restingPressure: measured(),
    cholesterol: measured(),
    fastingSugar: measured(),
    restingEcg: measured(),
    heartRateMax: measured(),
    exerciseAngina: measured(),
    stDepression: measured(),
    stSlope: measured(),
    vessels: measured(),
    thal: measured(),
  },
});

export const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text({ personal: 'sensitive' }) },
});

export const disease = label('disease', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (f) => f.finding.equals('disease'),
  confirmed: true,
  maturesAfter: '4d',
});

export const examination = vector('examination', {
  candidate: cases,
  age: (c) => c.age,
  sex: (c) => c.sex,
  chestPain: (c) => c.chestPain,
  restingPressure: (c) => c.restingPressure,
  cholesterol: (c) => c.cholesterol,
  fastingSugar: (c) => c.fastingSugar,
  restingEcg: (c) => c.restingEcg,
  heartRateMax: (c) => c.heartRateMax,
  exerciseAngina: (c) => c.exerciseAngina,
  stDepression: (c) => c.stDepression,
  stSlope: (c) => c.stSlope,
  vessels: (c) => c.vessels,
  thal: (c) => c.thal,
});

const UNSURE = { from: 0.2, to: 0.8 };

export const diagnosis = defineModel('diagnosis', {
  vector: examination,
  label: disease,
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
  outcomes: ['healthy', 'disease'],
  abstain: { ...UNSURE, outcome: 'review' },
  explain: 3,
});

export const yardstick = decision('yardstick', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['healthy', 'disease'],
  ledger: 'buffered',
});

export const app = defineApp('diagnostics', { decisions: { triage, yardstick } });
export default app;
