import { setTimeout as sleep } from 'node:timers/promises';
import type { Platform, ReviewAnswer } from '@tandem-examples/driver';
import { type ClinicCase, findingOf } from '../clinic.ts';
import type { CaseFile } from '../datasets/case-file.ts';
import { TRIAGE } from './names.ts';

/** How long the product may take to make the outcome of an answer durable, in milliseconds. */
const SENT_MS_MAX = 60_000;
const POLL_MS = 100;

export interface Answered {
  readonly case: ClinicCase;
  readonly review: ReviewAnswer;
}

/** The desk of a clinician who looks at the cases that the model left to a person, and is never wrong. */
export class ReviewDesk {
  readonly #platform: Platform;
  readonly #file: CaseFile;
  readonly #cases: ReadonlyMap<string, ClinicCase>;
  /** Reviews that were answered here. */
  answered = 0;
  /** Of those, the ones that came too late to count as labels. */
  late = 0;

  constructor(platform: Platform, file: CaseFile, cases: readonly ClinicCase[]) {
    this.#platform = platform;
    this.#file = file;
    this.#cases = new Map(cases.map((known) => [known.id, known]));
  }

  /** Ids of the cases that ever came to the desk. */
  async asked(): Promise<readonly string[]> {
    const reviews = [
      ...(await this.#platform.reviews(TRIAGE, 'waiting')),
      ...(await this.#platform.reviews(TRIAGE, 'answered')),
    ];
    return reviews.map(caseIdOf);
  }

  /** Ids of the cases that wait. */
  async waiting(): Promise<readonly string[]> {
    return (await this.#platform.reviews(TRIAGE, 'waiting')).map(caseIdOf);
  }

  /** Answers everything that waits. */
  async round(): Promise<readonly Answered[]> {
    const done: Answered[] = [];
    for (const review of await this.#platform.reviews(TRIAGE, 'waiting')) {
      const known = this.#cases.get(caseIdOf(review));
      if (known === undefined) throw new Error(`Review ${review.decisionId} is of no case of this clinic`);
      const { late } = await this.#platform.answerReview(review.decisionId, {
        positive: known.known.isPositive,
        fields: { finding: findingOf(known, this.#file) },
      });
      this.answered += 1;
      if (late) this.late += 1;
      done.push({ case: known, review });
    }
    return done;
  }

  /** Waits until the outcome of every answer is durable, so that a training knows all. */
  async settled(): Promise<void> {
    const deadline = performance.now() + SENT_MS_MAX;
    for (;;) {
      const answered = await this.#platform.reviews(TRIAGE, 'answered');
      const unsent = answered.find(({ answer }) => answer?.event?.sent === false);
      if (unsent === undefined) return;
      if (performance.now() > deadline) {
        throw new Error(
          `The answer on decision ${unsent.decisionId} is no label ${String(SENT_MS_MAX / 1_000)} s after it was given`,
        );
      }
      await sleep(POLL_MS);
    }
  }
}

function caseIdOf({ request }: ReviewAnswer): string {
  return String(request['caseId']);
}
