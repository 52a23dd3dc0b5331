import {
  atLeast,
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

const measured = () => number({ minimum: 0, personal: 'sensitive' });

/**
 * A fine needle aspirate of a breast mass: ten properties of the cell nuclei in its image, each with its mean, its
 * standard error and the mean of its three largest values.
 */
export const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: {
    caseId: id(),
    at: timestamp(),
    patientId: key({ personal: 'pseudonym' }),
    radius: measured(),
    texture: measured(),
    perimeter: measured(),
    area: measured(),
    smoothness: measured(),
    compactness: measured(),
    concavity: measured(),
    concavePoints: measured(),
    symmetry: measured(),
    fractalDimension: measured(),
    radiusError: measured(),
    textureError: measured(),
    perimeterError: measured(),
    areaError: measured(),
    smoothnessError: measured(),
    compactnessError: measured(),
    concavityError: measured(),
    concavePointsError: measured(),
    symmetryError: measured(),
    fractalDimensionError: measured(),
    radiusWorst: measured(),
    textureWorst: measured(),
    perimeterWorst: measured(),
    areaWorst: measured(),
    smoothnessWorst: measured(),
    compactnessWorst: measured(),
    concavityWorst: measured(),
    concavePointsWorst: measured(),
    symmetryWorst: measured(),
    fractalDimensionWorst: measured(),
  },
});

/** What pathology, or a clinician whom the model asked, found: days later. */
export const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text({ personal: 'sensitive' }) },
});

/** Nobody learns from a case without a finding: that it is not known to be malignant does not make it benign. */
export const malignant = label('malignant', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (f) => f.finding.equals('malignant'),
  confirmed: true,
  maturesAfter: '4d',
});

export const aspirate = vector('aspirate', {
  candidate: cases,
  radius: (c) => c.radius,
  texture: (c) => c.texture,
  perimeter: (c) => c.perimeter,
  area: (c) => c.area,
  smoothness: (c) => c.smoothness,
  compactness: (c) => c.compactness,
  concavity: (c) => c.concavity,
  concavePoints: (c) => c.concavePoints,
  symmetry: (c) => c.symmetry,
  fractalDimension: (c) => c.fractalDimension,
  radiusError: (c) => c.radiusError,
  textureError: (c) => c.textureError,
  perimeterError: (c) => c.perimeterError,
  areaError: (c) => c.areaError,
  smoothnessError: (c) => c.smoothnessError,
  compactnessError: (c) => c.compactnessError,
  concavityError: (c) => c.concavityError,
  concavePointsError: (c) => c.concavePointsError,
  symmetryError: (c) => c.symmetryError,
  fractalDimensionError: (c) => c.fractalDimensionError,
  radiusWorst: (c) => c.radiusWorst,
  textureWorst: (c) => c.textureWorst,
  perimeterWorst: (c) => c.perimeterWorst,
  areaWorst: (c) => c.areaWorst,
  smoothnessWorst: (c) => c.smoothnessWorst,
  compactnessWorst: (c) => c.compactnessWorst,
  concavityWorst: (c) => c.concavityWorst,
  concavePointsWorst: (c) => c.concavePointsWorst,
  symmetryWorst: (c) => c.symmetryWorst,
  fractalDimensionWorst: (c) => c.fractalDimensionWorst,
});

/** Below the first probability a case is called benign, from the second on malignant, between them a person looks. */
const UNSURE = { from: 0.05, to: 0.9 };

export const diagnosis = defineModel('diagnosis', {
  vector: aspirate,
  label: malignant,
  trainer: logistic({ calibrate: 'platt' }),
  split: byFolds({ folds: 10, groupBy: 'patientId' }),
  gates: [
    betterThanBaseline('logLoss', { bound: 'lower' }),
    // Of the malignant cases, those that are not called benign: of all, and in the group where fewest are.
    atLeast('recall', 0.95, { at: UNSURE.from }),
    atLeast('recall', 0.7, { at: UNSURE.from, slice: 'worst', rowsMin: 10 }),
  ],
});

export const triage = decision('triage', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['benign', 'malignant'],
  abstain: { ...UNSURE, outcome: 'review' },
  explain: 3,
});

/** The first version stays in charge of this one: later versions are compared with it on the same cases. */
export const yardstick = decision('yardstick', {
  model: diagnosis,
  subject: 'patientId',
  outcomes: ['benign', 'malignant'],
  ledger: 'buffered',
});

export const app = defineApp('diagnostics', { decisions: { triage, yardstick } });
export default app;
