import {
  compileEventReader,
  type Event,
  type EventReader,
  type InputOf,
  type LedgerEntry,
  PlatformError,
  type ResultOf,
  type Review,
  routes,
} from '../../contract/index.ts';
import { canonicalJson, type Decision } from '../../define/index.ts';
import type { CallContext, ServiceHost } from '../../runtime/index.ts';
import type { Explanations } from './explanations.ts';
import { textOf } from './failures.ts';
import { findEntries, isDecisionId } from './ledger-store.ts';
import type { ServeOptions } from './options.ts';
import { askedFields, maturityOf, outcomeOfAnswer } from './review-outcome.ts';
import {
  countWaiting,
  findReview,
  keepAnswer,
  type KeptAnswer,
  pageReviews,
  type StoredReview,
  withSent,
} from './review-store.ts';
import { sendOutcome } from './send-outcome.ts';

/** Reasons of a review whose decision names no number of them. */
const REASONS = 5;
/** Before every id. */
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

type Answer = ResultOf<typeof routes.answerReview>;

/** What {@link Reviews} needs. */
export interface ReviewsParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly explanations: Explanations;
}

/** Decisions that were left to a person: shows them, and makes an outcome of each answer. */
export class Reviews {
  readonly #parts: ReviewsParts;
  readonly #decisions: ReadonlyMap<string, { readonly decision: Decision; readonly read: EventReader }>;

  constructor(parts: ReviewsParts) {
    this.#parts = parts;
    this.#decisions = new Map(
      [...parts.host.app.decisions.values()].map((decision) => [
        decision.name,
        { decision, read: compileEventReader(decision.model.vector.candidate) },
      ]),
    );
  }

  /**
   * One page of decisions that wait, or that were answered, oldest first. Rejects with DECISION_NOT_FOUND, and BAD_REQUEST when
   * `after` is no id of a decision.
   */
  async list(
    query: InputOf<typeof routes.listReviews>['query'],
    context: CallContext,
  ): Promise<ResultOf<typeof routes.listReviews>> {
    const { tables, clock } = this.#parts.host;
    const { decision, state, limit, after = FIRST_ID } = query;
    const decisions = decision === undefined ? [...this.#decisions.keys()] : [this.#known(decision).name];
    if (!isDecisionId(after)) {
      throw new PlatformError('BAD_REQUEST', `'after' is the 'next' of the page before`, {
        details: { field: 'after' },
      });
    }
    const [counts, found] = await Promise.all([
      countWaiting(tables),
      pageReviews(tables, { decisions, state, after, limit: limit + 1 }),
    ]);
    const page = found.slice(0, limit);
    const entries = await findEntries(
      tables,
      page.map(({ decisionId }) => decisionId),
    );
    const byId = new Map(entries.map((entry) => [entry.decisionId, entry]));
    const reviews: Review[] = [];
    for (const review of page) {
      const entry = byId.get(review.decisionId);
      // The ledger has let go of it, and the queue will.
      if (entry === undefined) continue;
      reviews.push(await this.#describe(review, entry, context));
      // Explaining takes CPU: decisions have their turn between two of them.
      await clock.sleep(0);
    }
    return {
      waiting: decisions.reduce((sum, name) => sum + (counts.get(name)?.waiting ?? 0), 0),
      reviews,
      next: found.length > limit ? (page.at(-1)?.decisionId ?? null) : null,
    };
  }

  /**
   * Takes an answer: keeps it with who gave it, which takes the review out of the queue, and sends the outcome event that it
   * becomes. An outcome that cannot be sent now is sent later. The same answer again is answered like the first.
   *
   * Rejects with REVIEW_NOT_FOUND, CONFLICT (there is another answer), BAD_REQUEST (a field of the outcome is missing or wrong),
   * UNPROCESSABLE (the outcome is refused; the review waits again), UNAVAILABLE (the clock of the features cannot be read).
   */
  async answer(
    decisionId: string,
    body: InputOf<typeof routes.answerReview>['body'],
    context: CallContext,
  ): Promise<Answer> {
    const { host } = this.#parts;
    const { tables, clock, logger } = host;
    const review = await findReview(tables, decisionId);
    const [entry] = review === undefined ? [] : await findEntries(tables, [decisionId]);
    if (review === undefined || entry === undefined) throw notFound(decisionId);
    if (review.answer !== null) return repeated(review, body);
    const { positive, fields = {}, note = null } = body;
    const { label } = this.#known(review.decision).model;
    const now = await this.#now(entry, context);
    const event = this.#eventOf(entry);
    const outcome = outcomeOfAnswer({ label, decisionId, event, positive, fields, now });
    const answer: KeptAnswer = {
      positive,
      fields,
      note,
      by: context.principal.subject,
      at: clock.now(),
      event: outcome === undefined ? null : { source: label.from.name, id: outcome.id },
      late: outcome?.late ?? false,
    };
    const record = outcome?.record ?? null;
    if (!(await keepAnswer(tables, { decisionId, answer, outcome: record }))) {
      const other = await findReview(tables, decisionId);
      if (other === undefined) throw notFound(decisionId);
      return repeated(other, body);
    }
    if (record === null) return { decisionId, ...withSent(answer, false) };
    const sent = { decisionId, answeredAt: answer.at, source: label.from.name, record };
    try {
      await sendOutcome(host, sent, { timeoutMs: leftMs(host, context), signal: context.signal });
      return { decisionId, ...withSent(answer, true) };
    } catch (error) {
      if (!PlatformError.is(error) || !error.retryable) throw error;
      logger.warn('An outcome cannot be sent now: it is kept, and sent later', {
        decisionId,
        source: sent.source,
        error: textOf(error),
      });
      return { decisionId, ...withSent(answer, false) };
    }
  }

  async #describe(review: StoredReview, entry: LedgerEntry, context: CallContext): Promise<Review> {
    const { decision } = this.#endpoint(review.decision);
    const { label } = decision.model;
    const { decisionId, at, answer } = review;
    const { subject, outcome, score, release, request } = entry;
    return {
      decisionId,
      decision: decision.name,
      subject,
      outcome,
      score,
      release,
      at,
      ageMs: Math.max(0, this.#parts.host.clock.now() - at),
      request,
      ...(await this.#reasons(decision, entry, context)),
      label: {
        name: label.name,
        source: label.from.name,
        fields: askedFields(label),
        countsUntil: maturityOf(label, this.#eventOf(entry)),
      },
      answer,
    };
  }

  /** What cannot be explained is still to be answered. */
  async #reasons(
    decision: Decision,
    entry: LedgerEntry,
    context: CallContext,
  ): Promise<Pick<Review, 'reasons' | 'base' | 'notExplained'>> {
    try {
      const count = decision.explain ?? REASONS;
      const { reasons, base } = await this.#parts.explanations.reasons(entry, count, context);
      return { reasons, base, notExplained: null };
    } catch (error) {
      if (!PlatformError.is(error)) throw error;
      return { reasons: null, base: null, notExplained: error.message };
    }
  }

  /** Wall-clock time, or event time where sources are replayed; never before the decision. */
  async #now(entry: LedgerEntry, context: CallContext): Promise<number> {
    const { host } = this.#parts;
    const options = { timeoutMs: leftMs(host, context), signal: context.signal };
    const nothing = { params: {}, query: {}, body: {} };
    const { clock } = await host.call(routes.getFeaturesStatus, nothing, options);
    return Math.max(clock, entry.asOf);
  }

  #eventOf({ decision, request }: LedgerEntry): Event {
    const result = this.#endpoint(decision).read(request);
    if ('event' in result) return result.event;
    const { reason } = result.rejection;
    throw new PlatformError('UNPROCESSABLE', `The event is none of its source any more: ${reason}`);
  }

  #known(name: string): Decision {
    return this.#endpoint(name).decision;
  }

  #endpoint(name: string): { readonly decision: Decision; readonly read: EventReader } {
    const found = this.#decisions.get(name);
    if (found !== undefined) return found;
    throw new PlatformError('DECISION_NOT_FOUND', `The app defines no decision '${name.slice(0, 63)}'`, {
      details: { decisions: [...this.#decisions.keys()] },
    });
  }
}

function leftMs({ clock }: Pick<ServiceHost, 'clock'>, { deadlineMs }: CallContext): number {
  return Math.max(1, Math.ceil(deadlineMs - clock.monotonic()));
}

function notFound(decisionId: string): PlatformError {
  return new PlatformError('REVIEW_NOT_FOUND', 'No review of this decision waits, or was answered', {
    details: { decisionId },
  });
}

/** An answer that is there already: fine when it is the same. */
function repeated(
  { decisionId, answer }: StoredReview,
  { positive, fields = {} }: InputOf<typeof routes.answerReview>['body'],
): Answer {
  // Taken back in this moment, because its outcome was refused.
  if (answer === null) throw new PlatformError('CONFLICT', 'Another answer was just refused: try again');
  if (answer.positive === positive && canonicalJson(answer.fields) === canonicalJson(fields))
    return { decisionId, ...answer };
  throw new PlatformError('CONFLICT', `${answer.by} has answered otherwise`, {
    details: { decisionId, positive: answer.positive, by: answer.by, at: answer.at },
  });
}
