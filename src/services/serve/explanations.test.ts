import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clinic, LINEAR, LOWER, UNEXPLAINED } from '../../../test/support/clinic.ts';
import { type DecisionExplanation, PlatformError, routes } from '../../contract/index.ts';

let clinic: Clinic;

beforeAll(async () => {
  clinic = await Clinic.open();
  await clinic.release('triage', LINEAR);
  await clinic.release('callback', LINEAR);
}, 120_000);

afterAll(() => clinic[Symbol.asyncDispose]());

function explanationOf(decisionId: string): Promise<DecisionExplanation> {
  return clinic.ask(routes.explainDecision, { params: { decisionId } });
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

function logOdds(score: number): number {
  return Math.log(score / (1 - score));
}

describe('reasons of a decision', () => {
  it('come where the decision says so, or the caller, the strongest first, and add up to the score', async () => {
    const answer = await clinic.decide('triage', -3);
    expect(answer.reasons).toEqual([
      { input: 'size', value: -3, contribution: -3 },
      { input: 'patient_cases_30d', value: 1, contribution: -0.125 },
    ]);
    expect(answer).toMatchObject({ base: 0, scale: 'log odds' });
    const sum = (answer.reasons ?? []).reduce((total, { contribution }) => total + contribution, 0);
    expect(sum + (answer.base ?? 0)).toBeCloseTo(logOdds(answer.score), 9);
    expect((await clinic.decide('triage', 0.0625, { explain: 1 })).reasons).toEqual([
      { input: 'patient_cases_30d', value: 1, contribution: -0.125 },
    ]);
    expect((await clinic.decide('callback', 2, { explain: 10 })).reasons).toHaveLength(2);
  });

  it('leave an answer as it was where nobody asks', async () => {
    const keys = ['asOf', 'decision', 'decisionId', 'outcome', 'release', 'score'];
    expect(Object.keys(await clinic.decide('callback', 2)).sort()).toEqual(keys);
    expect(Object.keys(await clinic.decide('triage', 2, { explain: 0 })).sort()).toEqual(keys);
  });
});

describe('an explanation', () => {
  it('has every input with where its value stands among the training rows', async () => {
    const { decisionId, ...answer } = await clinic.decide('triage', 3.9);
    const explanation = await explanationOf(decisionId);
    expect(explanation).toMatchObject({
      decisionId,
      outcome: answer.outcome,
      score: answer.score,
      version: 1,
    });
    expect(explanation.margin).toBeCloseTo(logOdds(answer.score), 9);
    expect(explanation.inputs).toEqual([
      {
        input: 'size',
        value: 3.9,
        contribution: Math.fround(3.9),
        reference: { missing: 0.25, above: 0.95, below: 0.01, text: 'higher than in 95 % of training rows' },
      },
      // The report of this version tells nothing of it.
      { input: 'patient_cases_30d', value: 1, contribution: -0.125, reference: null },
    ]);
  });

  it('is that of the version that decided, whichever is in charge now', async () => {
    const before = await clinic.decide('triage', 2);
    const wanted = await explanationOf(before.decisionId);
    await clinic.release('triage', LOWER);
    const after = await clinic.decide('triage', 2);
    expect(await explanationOf(before.decisionId)).toEqual(wanted);
    expect(await explanationOf(after.decisionId)).toMatchObject({ base: -1, version: 2 });
    await clinic.stopServe();
    await clinic.startServe();
    expect(await explanationOf(before.decisionId)).toEqual(wanted);
  });

  it('goes without references while the registry cannot give the report', async () => {
    const { decisionId } = await clinic.decide('callback', 1);
    clinic.failing.set('getCard', () => Promise.reject(new PlatformError('UNAVAILABLE', 'away')));
    try {
      const { inputs } = await explanationOf(decisionId);
      expect(inputs.map(({ reference }) => reference)).toEqual([null, null]);
    } finally {
      clinic.failing.delete('getCard');
    }
    const { inputs } = await explanationOf(decisionId);
    expect(inputs[0]?.reference).not.toBeNull();
  });

  it('is refused of a version that cannot be explained, which decides all the same', async () => {
    await clinic.release('triage', UNEXPLAINED);
    const answer = await clinic.decide('triage', 1);
    expect(answer.reasons).toBeUndefined();
    const why = await failure(explanationOf(answer.decisionId));
    expect(why).toMatchObject({ code: 'UNPROCESSABLE' });
    expect(why.message).toMatch(/^This version cannot be explained: .*nodes_hitrates/);
    const recorded = (): Promise<number> =>
      clinic.world.postgres.tables
        .query<{ count: number }>(`select count(*) as count from serve_ledger where decision = 'triage'`)
        .then(([row]) => row?.count ?? 0);
    const count = await recorded();
    expect(await failure(clinic.decide('triage', 1, { explain: 2 }))).toMatchObject({
      code: 'UNPROCESSABLE',
    });
    expect(await recorded()).toBe(count);
    expect(answer.outcome).toBe('unsure');
    const query = { decision: 'triage', state: 'waiting' as const, limit: 100 };
    const { reviews } = await clinic.ask(routes.listReviews, { query });
    const review = reviews.find(({ decisionId }) => decisionId === answer.decisionId);
    expect(review).toMatchObject({ reasons: null, base: null });
    expect(review?.notExplained).toContain('nodes_hitrates');
  });

  it('of no decision is DECISION_NOT_FOUND', async () => {
    expect(await failure(explanationOf('none'))).toMatchObject({ code: 'DECISION_NOT_FOUND' });
  });
});

describe('a release', () => {
  it('has the abstention of its decision, or its own, or none', async () => {
    const given = { from: 0.1, to: 0.9, outcome: 'unsure' };
    expect((await clinic.release('triage', LINEAR)).abstain).toEqual(given);
    const narrow = await clinic.release('triage', LINEAR, {
      abstain: { from: 0.4, to: 0.6 },
      threshold: 0.5,
    });
    expect(narrow.abstain).toEqual({ ...given, from: 0.4, to: 0.6 });
    expect((await clinic.decide('triage', 1)).outcome).toBe('malignant');
    const unsure = await clinic.decide('triage', 0.125);
    expect(unsure).toMatchObject({ score: 0.5, outcome: 'unsure' });
    const none = await clinic.release('triage', LINEAR, { abstain: null });
    expect(none.abstain).toBeUndefined();
    expect((await clinic.decide('triage', 0.125)).outcome).toBe('malignant');
    const { releases } = await clinic.ask(routes.listReleases, { query: { decision: 'triage', limit: 3 } });
    expect(releases.map(({ abstain }) => abstain?.from)).toEqual([undefined, 0.4, 0.1]);
    // By the release that made it.
    const params = { decisionId: unsure.decisionId };
    expect(await clinic.ask(routes.replayDecision, { params })).toMatchObject({
      equal: true,
      recomputed: { outcome: 'unsure' },
    });
  });

  it.each([
    [{ from: 0.5, to: 0.5 }, 'from a score to a higher one'],
    [{ from: 0.6, to: 0.5 }, 'from a score to a higher one'],
    [{ from: 0.1, to: 0.9, outcome: 'benign' }, 'beside'],
  ])('is refused with the abstention %j', async (abstain, text) => {
    const body = { decision: 'triage', version: 1, abstain };
    const error = await failure(clinic.ask(routes.createRelease, { body }));
    expect(error).toMatchObject({ code: 'BAD_REQUEST', details: { field: 'abstain' } });
    expect(error.message).toContain(text);
  });
});
