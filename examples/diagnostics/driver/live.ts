import { once } from 'node:events';
import {
  day,
  type DecisionAnswer,
  grouped,
  metricText,
  paced,
  type Reason,
  rememberWorld,
  type RunTools,
} from '@tandem-examples/driver';
import {
  BATCH_MS,
  type Clinic,
  type ClinicCase,
  type ClinicEvent,
  findingOf,
  openClinic,
} from '../clinic.ts';
import { readCases } from '../datasets/index.ts';
import { CaseLog } from './case-log.ts';
import { ModelKeeper } from './model-keeper.ts';
import { CASES, REVIEW } from './names.ts';
import type { RunOptions } from './options.ts';
import { Reception } from './reception.ts';
import { ReviewDesk } from './review-desk.ts';

/** On the wall a case comes in so often, in milliseconds. */
const CASE_MS = 3_000;

/**
 * Plays a clinic until the signal is aborted. Goes on where an earlier run ended; when all cases of the file
 * have come in, the product stays up.
 */
export async function runLive(options: RunOptions, tools: RunTools): Promise<void> {
  const { platform, product, timeline, signal } = tools;
  const file = await readCases(options.dataset, options.data);
  const clinic = openClinic(file, { seed: options.seed });
  await rememberWorld(options, 'clinic.json', { dataset: options.dataset, seed: options.seed });
  timeline.say('start', 'starting the product: all services in one process, and its database');
  await timeline.phase('start', () => product.start({ fresh: options.fresh }));
  timeline.say(
    'start',
    `the product is ready at ${product.url}, its log is ${product.logPath ?? 'elsewhere'}`,
  );
  const known = await platform.source(CASES);
  const fromMs = known.accepted === 0 ? clinic.startMs : await platform.clock();
  if (signal.aborted) return;
  await new LiveClinic(clinic, tools, options.byHand).run(fromMs);
}

class LiveClinic {
  readonly #clinic: Clinic;
  readonly #tools: RunTools;
  readonly #byHand: boolean;
  readonly #log = new CaseLog();
  readonly #reception: Reception;
  readonly #desk: ReviewDesk;
  readonly #keeper: ModelKeeper;
  /** The training that is under way; trainings wait for each other, nothing else waits for them. */
  #training: Promise<void> = Promise.resolve();
  #hasHinted = false;

  constructor(clinic: Clinic, tools: RunTools, byHand: boolean) {
    const { platform, timeline } = tools;
    this.#clinic = clinic;
    this.#tools = tools;
    this.#byHand = byHand;
    this.#reception = new Reception(tools, clinic.file, this.#log);
    this.#desk = new ReviewDesk(platform, clinic.file, clinic.cases);
    this.#keeper = new ModelKeeper(platform, timeline);
  }

  async run(fromMs: number): Promise<void> {
    const { timeline, signal } = this.#tools;
    const events = this.#clinic.events.filter(({ sendAt }) => sendAt > fromMs);
    const inCharge = await this.#keeper.resume();
    for (const id of await this.#desk.asked()) this.#log.asked.add(id);
    if (fromMs > this.#clinic.startMs) {
      const who =
        inCharge === undefined
          ? 'no version is in charge yet'
          : `version ${String(inCharge.version)} is in charge`;
      timeline.say('resume', `at ${minute(fromMs)} of simulated time; ${who}`);
    } else {
      timeline.say(
        'clinic',
        `${grouped(this.#clinic.cases.length)} cases of ${this.#clinic.file.title} are to come`,
      );
    }
    const rest = await this.#untilRelease(events);
    if (signal.aborted) return;
    const caseMs = BATCH_MS / this.#clinic.file.batchCases;
    timeline.say(
      'live',
      `a case every ${String(CASE_MS / 1_000)} s; findings come in days later; Ctrl-C ends`,
    );
    for await (const event of paced(rest, { speed: caseMs / CASE_MS, signal })) {
      await this.#tools.product.up();
      await this.#happen(event);
    }
    await this.#training;
    if (signal.aborted) return;
    timeline.say(
      'end',
      'all cases of the file have come in; the product stays up until Ctrl-C, --fresh begins anew',
    );
    await once(signal, 'abort');
  }

  /** Lets things happen as fast as it goes until a version is in charge. Returns what is still to happen. */
  async #untilRelease(events: readonly ClinicEvent[]): Promise<readonly ClinicEvent[]> {
    const { signal } = this.#tools;
    let [cases, findings]: [ClinicCase[], ClinicCase[]] = [[], []];
    for (const [index, event] of events.entries()) {
      if (this.#keeper.inCharge !== undefined || signal.aborted) return events.slice(index);
      if (event.kind === 'case') cases.push(event.case);
      else if (event.kind === 'finding') findings.push(event.case);
      else {
        await this.#reception.takeIn(cases, undefined);
        await this.#reception.takeFindings(findings);
        [cases, findings] = [[], []];
        if (event.kind === 'training') await this.#train(event);
      }
    }
    return [];
  }

  async #happen(event: ClinicEvent): Promise<void> {
    switch (event.kind) {
      case 'case':
        return this.#takeIn(event.case);
      case 'finding':
        return this.#find(event.case);
      case 'round':
        return this.#round();
      case 'training':
        this.#training = this.#training
          .then(() => this.#train(event))
          .catch((error: unknown) => this.#failed(error));
    }
  }

  async #takeIn(known: ClinicCase): Promise<void> {
    const { timeline, commandOptions } = this.#tools;
    const [answer] = await this.#reception.takeIn([known], this.#keeper.inCharge);
    if (answer === undefined) {
      timeline.say(
        'failed',
        `${known.id}: ${this.#reception.triage.firstFailure ?? 'no version is in charge'}`,
      );
      return;
    }
    timeline.say(
      'decide',
      `${describe(known, answer)}  ${(answer.reasons ?? []).map(reasonText).join(', ')}`,
    );
    if (this.#log.decided.length === 1) {
      timeline.say('', `explain it:  npm run tandem -- explain ${answer.decisionId}${commandOptions}`);
      timeline.say('', `replay it:   npm run tandem -- replay ${answer.decisionId}${commandOptions}`);
    }
    if (answer.outcome === REVIEW && this.#byHand && !this.#hasHinted) {
      this.#hasHinted = true;
      const { positive, negative } = this.#clinic.file.findings;
      timeline.say('', `it waits for you:  npm run tandem -- reviews${commandOptions}`);
      timeline.say(
        '',
        `answer it:  npm run tandem -- review ${answer.decisionId} --positive --field finding=${positive}${commandOptions}`,
      );
      timeline.say(
        '',
        `or:         npm run tandem -- review ${answer.decisionId} --negative --field finding=${negative}${commandOptions}`,
      );
    }
  }

  async #find(known: ClinicCase): Promise<void> {
    const [found] = await this.#reception.takeFindings([known]);
    const decided = this.#log.of(known.id);
    if (found === undefined || decided === undefined) return;
    const { outcome, score } = decided.answer;
    const { file } = this.#clinic;
    const isRight = outcome === findingOf(known, file);
    this.#tools.timeline.say(
      'finding',
      `${known.id}  ${findingOf(known, file)}; ${isRight ? 'as' : 'WRONG: it'} was decided with score ${score.toFixed(3)}`,
    );
  }

  async #round(): Promise<void> {
    if (this.#byHand || this.#keeper.inCharge === undefined) return;
    for (const { case: known, review } of await this.#desk.round()) {
      this.#tools.timeline.say(
        'review',
        `${known.id}  the clinician says ${findingOf(known, this.#clinic.file)}, the score was ${review.score.toFixed(3)}`,
      );
    }
  }

  async #train({ batch, sendAt }: Extract<ClinicEvent, { kind: 'training' }>): Promise<void> {
    const { timeline } = this.#tools;
    const isFirst = this.#keeper.inCharge === undefined;
    await this.#desk.settled();
    const report = await this.#keeper.train(batch, sendAt);
    const { version, cases, estimate, reason, release } = report;
    timeline.say('', `as of ${day(sendAt)} with ${grouped(cases)} cases: AUC ${metricText(estimate.auc)}`);
    timeline.say(
      release === null ? 'kept' : 'release',
      `version ${String(version)} ${release === null ? 'is not released' : `is ${release}`}: ${reason}`,
    );
    this.#status();
    const next = this.#clinic.cases.find(({ at }) => at > sendAt);
    if (!isFirst || release === null || next === undefined) return;
    await this.#reception.waitForYardstick(next);
    await this.#reception.waitForRelease(release, next);
  }

  #failed(error: unknown): void {
    if (!this.#tools.signal.aborted)
      this.#tools.timeline.say('failed', error instanceof Error ? error.message : String(error));
  }

  #status(): void {
    const { decided, asked } = this.#log;
    if (decided.length === 0) return;
    const { positive } = this.#clinic.file.findings;
    const wrong = decided.filter(
      ({ answer, isPositive }) => answer.outcome !== REVIEW && (answer.outcome === positive) !== isPositive,
    );
    this.#tools.timeline.say(
      'status',
      `${grouped(decided.length)} cases decided since the start, ${grouped(wrong.length)} of them wrong; ${grouped(asked.size)} were ever left to a person`,
    );
  }
}

function describe({ id }: ClinicCase, { score, outcome, decisionId }: DecisionAnswer): string {
  return `${id}  score ${score.toFixed(3)}  ${outcome.padEnd(9)}  ${decisionId}`;
}

/** `areaWorst 711 (-1.20)` */
function reasonText({ input, value, contribution }: Reason): string {
  const sign = contribution < 0 ? '' : '+';
  return `${input} ${value === null ? 'missing' : String(Number(value.toPrecision(4)))} (${sign}${contribution.toFixed(2)})`;
}

function minute(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
