import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DecisionAnswer,
  Decider,
  isRepeatable,
  type KillDrill,
  type RunTools,
} from '@tandem-examples/driver';
import { caseRecord, type ClinicCase, findingRecord } from '../clinic.ts';
import type { CaseFile } from '../datasets/case-file.ts';
import type { CaseLog } from './case-log.ts';
import type { InCharge } from './model-keeper.ts';
import { CASES, FINDINGS, REVIEW, TRIAGE, YARDSTICK } from './names.ts';

/** Decisions at once. */
const CONCURRENCY = 8;
/** How long a new release may take to reach the part that decides, in milliseconds. */
const RELEASE_MS_MAX = 10_000;
const POLL_MS = 20;
/** A release reaches every replica within this, in milliseconds. */
const RELEASE_REACH_MS = 1_000;

export interface ReceptionTools extends Pick<RunTools, 'platform' | 'product'> {
  readonly drill?: KillDrill | undefined;
}

/** Takes cases and findings in: asks for a decision on each case where there is a model, and sends both on. */
export class Reception {
  readonly #tools: ReceptionTools;
  readonly #file: CaseFile;
  readonly #log: CaseLog;
  readonly triage: Decider;
  readonly yardstick: Decider;
  /** Records sent and acknowledged, by source. */
  readonly sent = { [CASES]: 0, [FINDINGS]: 0 };
  /** Decisions that another release answered than the one in charge, although that had time to get there. */
  strays = 0;
  /** What the product said about the first record it refused. */
  firstRefusal: string | undefined;

  constructor(tools: ReceptionTools, file: CaseFile, log: CaseLog) {
    this.#tools = tools;
    this.#file = file;
    this.#log = log;
    const common = { platform: tools.platform, product: tools.product, concurrency: CONCURRENCY };
    this.triage = new Decider({ ...common, decision: TRIAGE });
    this.yardstick = new Decider({ ...common, decision: YARDSTICK });
  }

  /**
   * Decides on cases, unless no version is in charge, and sends them. Answers are in the order of the cases;
   * undefined where a decision failed.
   */
  async takeIn(
    cases: readonly ClinicCase[],
    inCharge: InCharge | undefined,
  ): Promise<(DecisionAnswer | undefined)[]> {
    if (cases.length === 0) return [];
    const records = cases.map(caseRecord);
    const answers = inCharge === undefined ? [] : await this.#decide(cases, records, inCharge);
    await this.#send(CASES, records);
    return answers;
  }

  /**
   * Waits until a release answers, by asking about a case that is still to come. What it is asked may be left to
   * a person too, who then sees that case twice.
   */
  async waitForRelease(release: string, next: ClinicCase): Promise<void> {
    const deadline = performance.now() + RELEASE_MS_MAX;
    for (;;) {
      const answer = await this.#tools.platform.decide(TRIAGE, caseRecord(next)).catch(ifRepeatable);
      if (answer?.outcome === REVIEW) this.#log.ask(next, answer.decisionId);
      if (answer?.release === release) return;
      if (performance.now() > deadline)
        throw new Error(
          `Release ${release} does not answer ${String(RELEASE_MS_MAX / 1_000)} s after it was made`,
        );
      await sleep(POLL_MS);
    }
  }

  /** The same for the decision of the first version, which leaves nothing to a person. */
  async waitForYardstick(next: ClinicCase): Promise<void> {
    const deadline = performance.now() + RELEASE_MS_MAX;
    while (
      (await this.#tools.platform.decide(YARDSTICK, caseRecord(next)).catch(ifRepeatable)) === undefined
    ) {
      if (performance.now() > deadline) throw new Error(`Decision '${YARDSTICK}' does not answer`);
      await sleep(POLL_MS);
    }
  }

  /** Sends what pathology found, except of cases that a person was asked about. Answers with those that it sent. */
  async takeFindings(found: readonly ClinicCase[]): Promise<readonly ClinicCase[]> {
    const own = found.filter(({ id }) => !this.#log.asked.has(id));
    if (own.length > 0)
      await this.#send(
        FINDINGS,
        own.map((known) => findingRecord(known, this.#file)),
      );
    return own;
  }

  async #decide(
    cases: readonly ClinicCase[],
    records: readonly string[],
    inCharge: InCharge,
  ): Promise<(DecisionAnswer | undefined)[]> {
    const answers = await this.triage.decideAll(records);
    const firsts = await this.yardstick.decideAll(records);
    for (const [index, known] of cases.entries()) {
      const answer = answers[index];
      if (answer === undefined) continue;
      if (answer.outcome === REVIEW) this.#log.ask(known, answer.decisionId);
      const { isPositive } = known.known;
      const firstScore = firsts[index]?.score;
      const version = this.#versionOf(answer, inCharge);
      this.#log.add({ case: known, answer, version, score: answer.score, firstScore, isPositive });
    }
    return answers;
  }

  /** A replica may answer by the release before for as long as the new one takes to reach it. */
  #versionOf({ release }: DecisionAnswer, { release: own, version, sinceMs, before }: InCharge): number {
    if (release === own) return version;
    if (performance.now() - sinceMs > RELEASE_REACH_MS) this.strays += 1;
    return release === before?.release ? before.version : version;
  }

  async #send(source: typeof CASES | typeof FINDINGS, records: readonly string[]): Promise<void> {
    const answering = this.#tools.platform.ingest(source, records);
    this.#tools.drill?.sent(records.length);
    const { results } = await answering;
    this.sent[source] += records.length;
    const [refused] = results;
    if (refused !== undefined) {
      this.firstRefusal ??= `${source}: ${refused.code}: ${refused.reason}: ${records[refused.index] ?? ''}`;
    }
  }
}

function ifRepeatable(error: unknown): undefined {
  if (!isRepeatable(error)) throw error;
}
