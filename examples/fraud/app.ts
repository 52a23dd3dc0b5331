import {
  atLeast,
  byTime,
  count,
  decision,
  defineApp,
  defineModel,
  features,
  gbdt,
  hourOfDay,
  id,
  isWeekend,
  key,
  label,
  logistic,
  mean,
  money,
  source,
  timestamp,
  vector,
} from 'tandem';

/** Card transactions as the terminals send them. */
export const transactions = source('transactions', {
  id: 'transactionId',
  time: 'at',
  key: 'customerId',
  fields: {
    transactionId: id(),
    at: timestamp(),
    customerId: key({ personal: 'pseudonym' }),
    terminalId: key(),
    amount: money('EUR'),
  },
});

/** A customer or the bank reports a transaction as fraud, days after it happened. */
export const reports = source('fraud_reports', {
  id: 'reportId',
  time: 'at',
  key: 'transactionId',
  fields: { reportId: id(), at: timestamp(), transactionId: key() },
});

/** A transaction is fraud when it is reported within seven days; before that nobody knows. */
export const fraud = label('fraud', {
  of: transactions,
  from: reports,
  on: 'transactionId',
  maturesAfter: '7d',
});

/** How the customer spends. */
export const customer = features(
  'customer',
  { from: transactions, key: 'customerId', hop: 'exact', closed: 'right' },
  (t) => ({
    count: count().over('1d', '7d', '30d'),
    amount: mean(t.amount).over('1d', '7d', '30d'),
  }),
);

/** How risky the terminal has been, as far as it is known: labels mature after seven days. */
export const terminal = features(
  'terminal',
  { from: fraud.matured(), key: 'terminalId', hop: 'exact', closed: 'right' },
  (t) => ({
    count: count().over('1d', '7d', '30d'),
    risk: mean(t.fraud).over('1d', '7d', '30d').orElse(0),
  }),
);

export const card = vector('card', {
  candidate: transactions,
  amount: (c) => c.amount,
  weekend: (c) => isWeekend(c.at),
  night: (c) => hourOfDay(c.at).atMost(6),
  customer,
  terminal,
});

const split = byTime({ train: '7d', delay: '7d', test: '7d', excludeKnown: 'customerId' });

export const linear = defineModel('fraud', {
  vector: card,
  label: fraud,
  trainer: logistic(),
  split,
  gates: [atLeast('averagePrecision', 0.3)],
});

export const boosted = defineModel('fraud_boosted', {
  vector: card,
  label: fraud,
  trainer: gbdt(),
  split,
  gates: [atLeast('averagePrecision', 0.3)],
});

export const score = decision('score', {
  model: linear,
  subject: 'customerId',
  threshold: 0.5,
  outcomes: ['accept', 'review'],
  ledger: 'durable',
});

export const app = defineApp('fraud', { decisions: { score }, models: [boosted] });
export default app;
