import {
  type App,
  byTime,
  defineApp,
  defineModel,
  gbdt,
  id,
  integers,
  key,
  label,
  logIntegers,
  logUniform,
  number,
  prequential,
  source,
  timestamp,
  tuned,
  uniform,
  vector,
} from '../../../src/define/index.ts';

/** Card transactions with the features of the fraud detection handbook as fields: what is measured is the search. */
const transactions = source('transactions', {
  id: 'transactionId',
  time: 'at',
  key: 'customerId',
  fields: {
    transactionId: id(),
    at: timestamp(),
    customerId: key(),
    amount: number(),
    weekend: number(),
    night: number(),
    customerCount1: number(),
    customerMean1: number(),
    customerCount7: number(),
    customerMean7: number(),
    customerCount30: number(),
    customerMean30: number(),
    terminalCount1: number(),
    terminalRisk1: number(),
    terminalCount7: number(),
    terminalRisk7: number(),
    terminalCount30: number(),
    terminalRisk30: number(),
  },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'transactionId',
  fields: { reportId: id(), at: timestamp(), transactionId: key() },
});
const fraud = label('fraud', { of: transactions, from: reports, on: 'transactionId', maturesAfter: '7d' });
const card = vector('card', {
  candidate: transactions,
  amount: (c) => c.amount,
  weekend: (c) => c.weekend,
  night: (c) => c.night,
  customerCount1: (c) => c.customerCount1,
  customerMean1: (c) => c.customerMean1,
  customerCount7: (c) => c.customerCount7,
  customerMean7: (c) => c.customerMean7,
  customerCount30: (c) => c.customerCount30,
  customerMean30: (c) => c.customerMean30,
  terminalCount1: (c) => c.terminalCount1,
  terminalRisk1: (c) => c.terminalRisk1,
  terminalCount7: (c) => c.terminalCount7,
  terminalRisk7: (c) => c.terminalRisk7,
  terminalCount30: (c) => c.terminalCount30,
  terminalRisk30: (c) => c.terminalRisk30,
});
/** A week to learn from, a week of delay, a week to test with. */
const shared = { vector: card, label: fraud, split: byTime({ excludeKnown: 'customerId' }) };

const plain = defineModel('plain', { ...shared, trainer: gbdt() });
/** Two folds: for earlier ones the files have not the history of which features are made. */
const searched = defineModel('searched', {
  ...shared,
  trainer: tuned(
    gbdt({ rounds: 50, learningRate: 0.3, depthMax: 3 }),
    {
      rounds: logIntegers(25, 250),
      learningRate: logUniform(0.03, 0.3),
      depthMax: integers(2, 7),
      hessianMin: logUniform(0.1, 10),
      lambda: logUniform(0.1, 30),
      rowFraction: uniform(0.5, 1),
      columnFraction: uniform(0.3, 1),
    },
    { trials: 40, parallel: 4, validate: prequential({ folds: 2 }) },
  ),
});

/** Trees with defaults, and with searched options. */
export const fraudApp: App = defineApp('fraud', { decisions: {}, models: [plain, searched] });
