import { describe, expect, it } from 'vitest';
import {
  decision,
  defineApp,
  defineModel,
  every,
  gbdt,
  id,
  key,
  label,
  lastDueAt,
  logistic,
  type Model,
  nextDueAt,
  number,
  onNewLabels,
  type RetrainRule,
  retrainText,
  source,
  timestamp,
  vector,
} from './index.ts';

const payments = source('payments', {
  id: 'paymentId',
  time: 'at',
  key: 'customerId',
  fields: { paymentId: id(), at: timestamp(), customerId: key(), amount: number() },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'paymentId',
  fields: { reportId: id(), at: timestamp(), paymentId: key() },
});
const fraud = label('fraud', { of: payments, from: reports, on: 'paymentId', maturesAfter: '1d' });
const card = vector('card', { candidate: payments, amount: (c) => c.amount });

function modelWith(retrain?: RetrainRule | readonly RetrainRule[], trainer: Model['trainer'] = logistic()) {
  const options = { vector: card, label: fraud, trainer };
  return defineModel('fraud_model', retrain === undefined ? options : { ...options, retrain });
}

describe('rules of retraining', () => {
  it('are no part of what a model is', () => {
    // As it was before there were rules.
    const hash = 'sha256:135dd9a7ca1c22bc5433b1936dd551156b0ba9d2db0688b7961b1507a7377aec';
    expect(modelWith().hash).toBe(hash);
    for (const rules of [every('7d'), onNewLabels(500), [every('1d', { at: '03:00' }), onNewLabels(1)]]) {
      const model = modelWith(rules);
      expect(model.hash).toBe(hash);
      const score = decision('score', { model, subject: 'customerId' });
      expect(score.hash).toBe(decision('score', { model: modelWith(), subject: 'customerId' }).hash);
    }
    expect(modelWith(every('7d')).retrain).toEqual([{ kind: 'every', everyMs: 604_800_000, atMs: 0 }]);
    expect(modelWith().retrain).toEqual([]);
    expect(modelWith(every('7d'), gbdt()).hash).not.toBe(hash);
  });

  it('say what they are, alike when they are alike', () => {
    expect([every('7d'), every('1w'), every('24h', { at: '03:05' }), every('90m')].map(retrainText)).toEqual([
      'every 7d',
      'every 7d',
      'every 1d at 03:05',
      'every 90m',
    ]);
    expect(retrainText(onNewLabels(500))).toBe('500 new labels');
  });

  it('are due at multiples since 1970, and at a time of day in UTC', () => {
    const now = Date.parse('2026-11-28T02:59:59.999Z');
    const daily = every('1d', { at: '03:00' });
    expect(new Date(lastDueAt(daily, now)).toISOString()).toBe('2026-11-27T03:00:00.000Z');
    expect(new Date(nextDueAt(daily, now)).toISOString()).toBe('2026-11-28T03:00:00.000Z');
    expect(lastDueAt(daily, now + 1)).toBe(now + 1);
    // Every seventh day since a Thursday.
    expect(new Date(nextDueAt(every('7d'), now)).getUTCDay()).toBe(4);
  });

  it.each([
    ['less than a second', () => every('999ms'), /'1s' at least; got '999ms'/],
    ['no duration', () => every('0d'), /A duration is a whole number/],
    [
      'a time that is none',
      () => every('1d', { at: '24:00' }),
      /time of day in UTC like '03:00'; got '24:00'/,
    ],
    ['a time of day without days', () => every('36h', { at: '03:00' }), /whole days; got every 36h/],
    ['no labels', () => onNewLabels(0), /from 1 to 1000000000; got 0/],
    ['half a label', () => onNewLabels(1.5), /got 1.5/],
    ['two rules of a kind', () => modelWith([every('1d'), every('7d')]), /got every 1d, every 7d/],
    [
      'one model with two schedules',
      () =>
        defineApp('shop', {
          decisions: { score: decision('score', { model: modelWith(every('1d')), subject: 'customerId' }) },
          models: [modelWith(every('7d'))],
        }),
      /Two definitions of model 'fraud_model' with different rules/,
    ],
  ])('refuse %s', (_, define, message) => {
    expect(define).toThrow(TypeError);
    expect(define).toThrow(message);
  });
});
