import type { DecisionAnswer } from '@tandem-examples/driver';
import type { ClinicCase } from '../clinic.ts';
import type { Scored } from '../scores.ts';
import type { Pair } from './improvement.ts';

/** A case that was decided on. */
export interface DecidedCase extends Scored {
  readonly case: ClinicCase;
  readonly answer: DecisionAnswer;
  /** The version that decided. */
  readonly version: number;
  /** The score that the first version gives the same case; undefined where it gave none. */
  readonly firstScore: number | undefined;
}

/** What came of all cases so far, in the order in which they came in. */
export class CaseLog {
  readonly decided: DecidedCase[] = [];
  readonly #byId = new Map<string, DecidedCase>();
  /** Ids of the cases that a person was asked about: pathology does not look at them. */
  readonly asked: Set<string> = new Set();
  /** Decisions that were left to a person and wait. */
  readonly waiting: Set<string> = new Set();

  /** A decision was left to a person. */
  ask(known: ClinicCase, decisionId: string): void {
    this.asked.add(known.id);
    this.waiting.add(decisionId);
  }

  add(decided: DecidedCase): void {
    this.decided.push(decided);
    this.#byId.set(decided.case.id, decided);
  }

  of(caseId: string): DecidedCase | undefined {
    return this.#byId.get(caseId);
  }

  /** Cases that others than the first version decided on, with the score that the first gave them. */
  againstFirst(): readonly Pair[] {
    const [earliest] = this.decided;
    const pairs: Pair[] = [];
    for (const { score, firstScore, isPositive, version } of this.decided) {
      if (version === earliest?.version || firstScore === undefined) continue;
      pairs.push({ version, score, firstScore, isPositive });
    }
    return pairs;
  }
}
