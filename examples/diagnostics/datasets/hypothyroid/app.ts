import {
  atLeast,
  betterThanBaseline,
  boolean,
  byFolds,
  category,
  decision,
  defineApp,
  defineModel,
  gbdt,
  id,
  key,
  label,
  number,
  source,
  text,
  timestamp,
  vector,
} from 'tandem';

/** Values that were not measured, or are not known, are absent. */
const measured = () => number({ minimum: 0, personal: 'sensitive', optional: true });
const flag = () => boolean({ personal: 'sensitive' });
const word = () => text({ personal: 'sensitive', optional: true });

/** A referral: history, and the hormones that were measured. */
export const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: {
    caseId: id(),
    at: timestamp(),
    patientId: key({ personal: 'pseudonym' }),
    age: measured(),
    sex: word(),
    onThyroxine: flag(),
    queryOnThyroxine: flag(),
    onAntithyroid: flag(),
    sick: flag(),
    pregnant: flag(),
    thyroidSurgery: flag(),
    i131Treatment: flag(),
    queryHypothyroid: flag(),
    queryHyperthyroid: flag(),
    lithium: flag(),
    goitre: flag(),
    tumor: flag(),
    hypopituitary: flag(),
    psych: flag(),
    tshMeasured: flag(),
    tsh: measured(),
    t3Measured: flag(),
    t3: measured(),
    tt4Measured: flag(),
    tt4: measured(),
    t4uMeasured: flag(),
    t4u: measured(),
    ftiMeasured: flag(),
    fti: measured(),
    referral: word(),
  },
});

export const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text({ personal: 'sensitive' }) },
});

export const hypothyroid = label('hypothyroid', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (f) => f.finding.equals('hypothyroid'),
  confirmed: true,
  maturesAfter: '4d',
});

export const referral = vector('referral', {
  candidate: cases,
  age: (c) => c.age,
  sex: (c) => category(c.sex, ['F', 'M']),
  onThyroxine: (c) => c.onThyroxine,
  queryOnThyroxine: (c) => c.queryOnThyroxine,
  onAntithyroid: (c) => c.onAntithyroid,
  sick: (c) => c.sick,
  pregnant: (c) => c.pregnant,
  thyroidSurgery: (c) => c.thyroidSurgery,
  i131Treatment: (c) => c.i131Treatment,
  queryHypothyroid: (c) => c.queryHypothyroid,
  queryHyperthyroid: (c) => c.queryHyperthyroid,
  lithium: (c) => c.lithium,
  goitre: (c) => c.goitre,
  tumor: (c) => c.tumor,
  hypopituitary: (c) => c.hypopituitary,
  psych: (c) => c.psych,
  tshMeasured: (c) => c.tshMeasured,
  tsh: (c) => c.tsh,
  t3Measured: (c) => c.t3Measured,
  t3: (c) => c.t3,
  tt4Measured: (c) => c.tt4Measured,
  tt4: (c) => c.tt4,
  t4uMeasured: (c) => c.t4uMeasured,
  t4u: (c) => c.t4u,
  ftiMeasured: (c) => c.ftiMeasured,
  fti: (c) => c.fti,
  referral: (c) => category(c.referral, ['SVHC', 'other', 'SVI', 'STMW', 'SVHD']),
});

const UNSURE = { from: 0.05, to: 0.8 };

export const diagnosis = defineModel('diagnosis', {
  vector: referral,
  label: hypothyroid,
  trainer: gbdt({ depthMax: 4, calibrate: 'platt' }),
  split: byFolds({ folds: 10, groupBy: 'patientId' }),
  gates: [betterThanBaseline('logLoss', { bound: 'lower' }), atLeast('recall', 0.9, { at: UNSURE.from })],
});

export const triage = decision('triage', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['negative', 'hypothyroid'],
  abstain: { ...UNSURE, outcome: 'review' },
  explain: 3,
});

export const yardstick = decision('yardstick', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['negative', 'hypothyroid'],
  ledger: 'buffered',
});

export const app = defineApp('diagnostics', { decisions: { triage, yardstick } });
export default app;
