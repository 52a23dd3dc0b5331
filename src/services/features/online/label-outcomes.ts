import type { LabelDefinition } from '../../../define/index.ts';
import { type LearntOutcome, OutcomeTimes } from './outcome-times.ts';
import type { SectionReader, SectionWriter } from './sections.ts';
import type { OutcomeVerdict, Verdict } from './verdict.ts';

/** The outcomes of a label that are remembered, by the events that they name. */
export class LabelOutcomes {
  /** Of the outcomes that make events positive. */
  readonly #positive: OutcomeTimes;
  /** Of a label with `confirmed`, of all outcomes; otherwise undefined. */
  readonly #all: OutcomeTimes | undefined;

  constructor(
    { confirmed }: LabelDefinition,
    limits: { readonly keepMs: number; readonly horizonMs: number },
  ) {
    this.#positive = new OutcomeTimes(limits);
    this.#all = confirmed === true ? new OutcomeTimes(limits) : undefined;
  }

  learn(outcome: LearntOutcome, verdict: OutcomeVerdict): void {
    if (verdict === 'positive') this.#positive.learn(outcome);
    this.#all?.learn(outcome);
  }

  /** Of the event with this id and time, which matures at `maturity`. */
  verdict(id: string, time: number, maturity: number): Verdict {
    if (this.#positive.hasBefore(maturity, id, time)) return 'positive';
    if (this.#all === undefined || this.#all.hasBefore(maturity, id, time)) return 'negative';
    return 'unknown';
  }

  /** Remembers the outcomes of an event as if they had come at `came`. */
  renew(id: string, came: number): void {
    this.#positive.renew(id, came);
    this.#all?.renew(id, came);
  }

  sweep(before: number, ids: number): void {
    this.#positive.sweep(before, ids);
    this.#all?.sweep(before, ids);
  }

  save(writer: SectionWriter): void {
    this.#positive.save(writer);
    this.#all?.save(writer);
  }

  load(reader: SectionReader): void {
    this.#positive.load(reader);
    this.#all?.load(reader);
  }
}
