import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clinic, LINEAR } from '../../../test/support/clinic.ts';
import { PlatformError, type ResultOf, routes, type Review, sourceTopic } from '../../contract/index.ts';

let clinic: Clinic;

beforeAll(async () => {
  clinic = await Clinic.open();
  await clinic.release('triage', LINEAR);
  await clinic.release('callback', LINEAR);
}, 120_000);

afterAll(() => clinic[Symbol.asyncDispose]());

async function waiting(decision: string): Promise<ResultOf<typeof routes.listReviews>> {
  return clinic.ask(routes.listReviews, { query: { decision, state: 'waiting', limit: 100 } });
}

async function reviewOf(decisionId: string): Promise<Review | undefined> {
  for (const state of ['waiting', 'answered'] as const) {
    const { reviews } = await clinic.ask(routes.listReviews, { query: { state, limit: 100 } });
    const found = reviews.find((review) => review.decisionId === decisionId);
    if (found !== undefined) return found;
  }
  return undefined;
}

function answer(decisionId: string, body: object): Promise<ResultOf<typeof routes.answerReview>> {
  return clinic.ask(routes.answerReview, { params: { decisionId }, body: body as never });
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

/** The outcomes in the log that a review became. */
async function outcomesOf(source: string, decisionId: string): Promise<Record<string, unknown>[]> {
  const { log } = clinic.world.postgres;
  const topic = sourceTopic(source);
  const { partitions } = await log.topic(topic);
  const records: Record<string, unknown>[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    for (const batch of await log.read(topic, partition, 0, { maxRecords: 10_000 })) {
      for (let index = 0; index < batch.count; index += 1)
        records.push(JSON.parse(new TextDecoder().decode(batch.record(index))) as Record<string, unknown>);
    }
  }
  const id = `review-${decisionId}`;
  return records.filter((record) => record['findingId'] === id || record['caseId'] === id);
}

describe('a decision that abstains', () => {
  it('answers sure scores as before, and leaves the others to a person', async () => {
    const before = (await waiting('triage')).waiting;
    expect((await clinic.decide('triage', -5)).outcome).toBe('benign');
    expect((await clinic.decide('triage', 5)).outcome).toBe('malignant');
    const unsure = await clinic.decide('triage', 0.5);
    expect(unsure.outcome).toBe('unsure');
    const queue = await waiting('triage');
    expect(queue.waiting).toBe(before + 1);
    expect(queue.reviews.at(-1)).toMatchObject({
      decisionId: unsure.decisionId,
      decision: 'triage',
      outcome: 'unsure',
      score: unsure.score,
      release: unsure.release,
      request: { size: 0.5 },
      reasons: unsure.reasons,
      base: unsure.base,
      notExplained: null,
      answer: null,
      label: {
        name: 'malignant',
        source: 'findings',
        fields: [
          { name: 'finding', kind: 'text', optional: false },
          { name: 'grade', kind: 'number', optional: true },
        ],
      },
    });
    expect(queue.reviews.at(-1)?.ageMs).toBeLessThan(600_000);
  });
});

describe('an answer', () => {
  it('becomes an outcome of the event, takes the review out of the queue, and says who gave it', async () => {
    const { decisionId } = await clinic.decide('triage', 0.2);
    const body = { positive: true, fields: { finding: 'malignant', grade: 2 }, note: 'seen twice' };
    const answered = await answer(decisionId, body);
    const event = { source: 'findings', id: `review-${decisionId}`, sent: true };
    expect(answered).toMatchObject({ ...body, decisionId, by: 'test', event, late: false });
    const review = await reviewOf(decisionId);
    expect(review?.answer).toMatchObject({ ...body, by: 'test', event });
    expect((await waiting('triage')).reviews.map((found) => found.decisionId)).not.toContain(decisionId);
    const [outcome, ...others] = await outcomesOf('findings', decisionId);
    expect(others).toEqual([]);
    expect(outcome).toMatchObject({
      findingId: event.id,
      caseId: review?.request['caseId'],
      finding: 'malignant',
      grade: 2,
    });
    // By the clock of the cases, which are replayed, not by that of the wall.
    expect(outcome?.['at']).toBeGreaterThanOrEqual(Number(review?.request['at']));
    expect(outcome?.['at']).toBeLessThanOrEqual(clinic.now);
  });

  it('is fine twice when it is the same, and CONFLICT when it is another', async () => {
    const { decisionId } = await clinic.decide('triage', 0.3);
    const body = { positive: false, fields: { finding: 'benign' } };
    const first = await answer(decisionId, body);
    expect(await answer(decisionId, { ...body, note: 'again' })).toEqual(first);
    expect(await outcomesOf('findings', decisionId)).toHaveLength(1);
    expect(
      await failure(answer(decisionId, { positive: true, fields: { finding: 'malignant' } })),
    ).toMatchObject({
      code: 'CONFLICT',
      details: { positive: false, by: 'test' },
    });
    expect((await reviewOf(decisionId))?.answer).toMatchObject(body);
  });

  it('of two people at the same time: one counts', async () => {
    const { decisionId } = await clinic.decide('triage', 0.1);
    const answers = await Promise.allSettled([
      answer(decisionId, { positive: true, fields: { finding: 'malignant' } }),
      answer(decisionId, { positive: false, fields: { finding: 'benign' } }),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await outcomesOf('findings', decisionId)).toHaveLength(1);
  });

  it.each([
    [{ positive: true }, "needs the field 'finding'", 'finding'],
    [{ positive: true, fields: { finding: 'malignant', colour: 'red' } }, "no field 'colour'", 'colour'],
    [{ positive: true, fields: { finding: 'malignant', at: 1 } }, "'at'", 'at'],
    [{ positive: true, fields: { finding: 'malignant', caseId: 'x' } }, 'filled in here', 'caseId'],
    [{ positive: true, fields: { finding: 'malignant', grade: 'two' } }, "field 'grade'", 'grade'],
    [{ positive: true, fields: { finding: 'benign' } }, 'the outcome makes it false', 'positive'],
    [{ positive: false, fields: { finding: 'malignant' } }, 'the outcome makes it true', 'positive'],
  ])('%j is refused, and the review waits on', async (body, text, field) => {
    const { decisionId } = await clinic.decide('triage', 0.4);
    const error = await failure(answer(decisionId, body));
    expect(error).toMatchObject({ code: 'BAD_REQUEST', details: { field } });
    expect(error.message).toContain(text);
    expect((await reviewOf(decisionId))?.answer).toBeNull();
    expect(await outcomesOf('findings', decisionId)).toEqual([]);
  });

  it('needs a decision that was left to a person', async () => {
    const { decisionId } = await clinic.decide('triage', 9);
    for (const id of [decisionId, 'nonsense', '00000000-0000-7000-8000-000000000000'])
      expect(await failure(answer(id, { positive: false }))).toMatchObject({ code: 'REVIEW_NOT_FOUND' });
  });

  it('that is negative sends nothing where an event without an outcome is negative', async () => {
    const { decisionId } = await clinic.decide('callback', 0.1);
    await expect.poll(() => reviewOf(decisionId), { timeout: 10_000 }).toBeDefined();
    expect(await answer(decisionId, { positive: false })).toMatchObject({ positive: false, event: null });
    expect(await failure(answer(decisionId, { positive: true }))).toMatchObject({ code: 'CONFLICT' });
    expect((await reviewOf(decisionId))?.answer).toMatchObject({ positive: false, event: null });
  });

  it('that comes after the event has matured says that it counts no more', async () => {
    const { decisionId } = await clinic.decide('triage', 0.6);
    const review = await reviewOf(decisionId);
    const clock = Number(review?.label.countsUntil);
    expect(clock).toBe(Number(review?.request['at']) + 3 * 86_400_000);
    const status = await clinic.ask(routes.getFeaturesStatus, {});
    clinic.failing.set('getFeaturesStatus', () => ({ ...status, clock }));
    try {
      const late = await answer(decisionId, { positive: true, fields: { finding: 'malignant' } });
      expect(late.late).toBe(true);
    } finally {
      clinic.failing.delete('getFeaturesStatus');
      clinic.now = clock;
    }
  });
});

describe('an outcome', () => {
  const body = { positive: true, fields: { finding: 'malignant' } };

  it('that cannot be sent now is kept, and sent when ingest is back, once', async () => {
    const { decisionId } = await clinic.decide('triage', 0.15);
    clinic.failing.set('ingestEvents', () => Promise.reject(new PlatformError('UNAVAILABLE', 'away')));
    const answered = await answer(decisionId, body);
    expect(answered.event).toMatchObject({ sent: false });
    expect((await reviewOf(decisionId))?.answer?.event).toMatchObject({ sent: false });
    // Another process goes on with it.
    await clinic.stopServe();
    clinic.failing.delete('ingestEvents');
    await clinic.world.postgres.tables.query(
      'update serve_review set answered_at = answered_at - 10000 where decision_id = $1',
      [decisionId],
    );
    await clinic.startServe();
    await expect
      .poll(async () => (await reviewOf(decisionId))?.answer?.event?.sent, { timeout: 20_000 })
      .toBe(true);
    expect(await outcomesOf('findings', decisionId)).toHaveLength(1);
    expect(await answer(decisionId, body)).toMatchObject({ event: { sent: true } });
  });

  it('that ingest refuses puts the review back into the queue', async () => {
    const { decisionId } = await clinic.decide('triage', 0.25);
    const refusal = {
      status: 'quarantined',
      index: 0,
      quarantineId: 'q',
      code: 'TIME_SKEW',
      reason: 'too early',
    };
    clinic.failing.set('ingestEvents', () =>
      Promise.resolve({ accepted: 0, quarantined: 1, positions: {}, results: [refusal] }),
    );
    try {
      expect(await failure(answer(decisionId, body))).toMatchObject({
        code: 'UNPROCESSABLE',
        details: { quarantineId: 'q', code: 'TIME_SKEW' },
      });
    } finally {
      clinic.failing.delete('ingestEvents');
    }
    expect((await reviewOf(decisionId))?.answer).toBeNull();
    expect(await answer(decisionId, body)).toMatchObject({ event: { sent: true } });
  });

  it('makes the label true in a dataset that is built later', async () => {
    const before = await clinic.dataset('recalled');
    const { decisionId } = await clinic.decide('callback', 0.2, { isSent: true });
    await clinic.decide('callback', 0.2, { isSent: true });
    await expect.poll(() => reviewOf(decisionId), { timeout: 10_000 }).toBeDefined();
    const review = await reviewOf(decisionId);
    const answered = await answer(decisionId, { positive: true });
    // The source of these outcomes is known by the case itself.
    expect(answered.event).toEqual({ source: 'recalls', id: review?.request['caseId'], sent: true });
    const after = await clinic.dataset('recalled');
    // Both, and the case by which the dataset before had moved the clock on.
    expect([after.rows - before.rows, after.positives - before.positives]).toEqual([3, 1]);
  });
});

describe('the queue', () => {
  it('lists the oldest first, page by page, and survives a restart', async () => {
    const made: string[] = [];
    for (let index = 0; index < 5; index += 1) made.push((await clinic.decide('triage', 0.5)).decisionId);
    await clinic.stopServe();
    await clinic.startServe();
    const whole = await waiting('triage');
    const ids = whole.reviews.map(({ decisionId }) => decisionId);
    expect(ids.slice(-5)).toEqual(made);
    expect(ids).toEqual(ids.toSorted());
    const paged: string[] = [];
    for (let after: string | undefined; ;) {
      const query = { decision: 'triage', state: 'waiting' as const, limit: 2, after };
      const page = await clinic.ask(routes.listReviews, { query });
      expect(page.waiting).toBe(whole.waiting);
      paged.push(...page.reviews.map(({ decisionId }) => decisionId));
      if (page.next === null) break;
      after = page.next;
    }
    expect(paged).toEqual(ids);
    const wrong = { state: 'waiting' as const, limit: 2 };
    expect(await failure(clinic.ask(routes.listReviews, { query: { ...wrong, after: 'x' } }))).toMatchObject({
      code: 'BAD_REQUEST',
    });
    expect(
      await failure(clinic.ask(routes.listReviews, { query: { ...wrong, decision: 'none' } })),
    ).toMatchObject({ code: 'DECISION_NOT_FOUND' });
  });

  it('is counted, and beyond its bound the oldest leave it and stay in the ledger', async () => {
    const { reviews, waiting: before } = await waiting('triage');
    expect(before).toBeGreaterThan(3);
    const text = (): Promise<string> => clinic.world.metrics.text();
    await expect
      .poll(text, { timeout: 10_000 })
      .toContain(`serve_reviews_waiting{decision="triage"} ${String(before)}`);
    expect(await text()).toMatch(/serve_reviews_oldest_seconds\{decision="triage"\} [0-9.]*[1-9]/);
    await clinic.stopServe();
    await clinic.startServe({ reviewsMax: 3 });
    const all = async (): Promise<number> =>
      (await clinic.ask(routes.listReviews, { query: { state: 'waiting', limit: 100 } })).waiting;
    await expect.poll(all, { timeout: 10_000 }).toBe(3);
    const left = (await waiting('triage')).reviews.map(({ decisionId }) => decisionId);
    expect(reviews.map(({ decisionId }) => decisionId).slice(-left.length)).toEqual(left);
    const [dropped] = reviews;
    const params = { decisionId: dropped?.decisionId ?? '' };
    expect(await clinic.ask(routes.getLedgerEntry, { params })).toMatchObject({ outcome: 'unsure' });
    expect(await failure(answer(params.decisionId, { positive: false }))).toMatchObject({
      code: 'REVIEW_NOT_FOUND',
    });
    expect(await text()).toMatch(/serve_reviews_dropped_total\{decision="triage"\} [1-9]/);
  });
});
