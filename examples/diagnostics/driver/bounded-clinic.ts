import { day, grouped, type KillDrill, metricText, type RunTools } from '@tandem-examples/driver';
import type { Clinic, ClinicCase, ClinicEvent } from '../clinic.ts';
import { CaseLog } from './case-log.ts';
import { checkCounts, checkExplanations, checkLabels, checkReplays } from './checks.ts';
import { ModelKeeper, type TrainingReport } from './model-keeper.ts';
import { Reception } from './reception.ts';
import type { Report } from './report.ts';
import { ReviewDesk } from './review-desk.ts';

/** Lets everything happen in a clinic as fast as it goes, and checks what came of it. */
export class BoundedClinic {
  readonly clinic: Clinic;
  readonly #tools: RunTools;
  readonly #drill: KillDrill | undefined;
  readonly log = new CaseLog();
  readonly reception: Reception;
  readonly desk: ReviewDesk;
  readonly keeper: ModelKeeper;
  readonly trainings: TrainingReport[] = [];
  /** Cases that came in while a version was in charge. */
  toDecide = 0;
  /** What went wrong on the way, in words. */
  readonly #faults: string[] = [];
  #cases: ClinicCase[] = [];
  #findings: ClinicCase[] = [];

  constructor(clinic: Clinic, tools: RunTools, drill: KillDrill | undefined) {
    const { platform, timeline } = tools;
    this.clinic = clinic;
    this.#tools = tools;
    this.#drill = drill;
    this.reception = new Reception({ ...tools, drill }, clinic.file, this.log);
    this.desk = new ReviewDesk(platform, clinic.file, clinic.cases);
    this.keeper = new ModelKeeper(platform, timeline);
  }

  async run(): Promise<void> {
    for (const event of this.clinic.events) {
      // What comes in between two rounds comes in together.
      if (event.kind === 'case') this.#cases.push(event.case);
      else if (event.kind === 'finding') this.#findings.push(event.case);
      else await this.#reach(event);
    }
    await this.#takeIn();
    await this.#drill?.finished();
  }

  async check(): Promise<{
    readonly found: Pick<Report, 'cases' | 'findings' | 'explanations' | 'replays' | 'reviews'>;
    readonly violations: readonly string[];
  }> {
    const { platform, timeline } = this.#tools;
    const counts = await checkCounts(platform, this.reception, this.desk);
    const labels = await checkLabels(platform, this.clinic);
    const explanations = await checkExplanations(platform, this.log);
    timeline.say('explain', `${grouped(explanations.found.checked)} decisions explained`);
    const replays = await checkReplays(platform, timeline, this.log);
    const waiting = (await this.desk.waiting()).length;
    return {
      found: {
        ...counts.found,
        explanations: explanations.found,
        replays: replays.found,
        reviews: { asked: this.log.asked.size, answered: this.desk.answered, waiting },
      },
      violations: [
        ...counts.violations,
        ...labels,
        ...explanations.violations,
        ...replays.violations,
        ...this.#faults,
        ...(waiting === 0 ? [] : [`${grouped(waiting)} cases still wait for a person`]),
        ...(this.reception.strays === 0
          ? []
          : [
              `${grouped(this.reception.strays)} decisions were answered by another release than the one in charge`,
            ]),
        ...(this.desk.late === 0
          ? []
          : [`${grouped(this.desk.late)} answers came too late to be learnt from`]),
      ],
    };
  }

  async #reach(event: Extract<ClinicEvent, { kind: 'round' | 'training' }>): Promise<void> {
    await this.#takeIn();
    await (event.kind === 'round' ? this.#round() : this.#train(event));
  }

  async #takeIn(): Promise<void> {
    const { timeline } = this.#tools;
    const [cases, findings] = [this.#cases, this.#findings];
    this.#cases = [];
    this.#findings = [];
    const { inCharge } = this.keeper;
    if (inCharge !== undefined) this.toDecide += cases.length;
    await timeline.phase(inCharge === undefined ? 'history' : 'decide', async () => {
      await this.reception.takeIn(cases, inCharge);
      await this.reception.takeFindings(findings);
    });
  }

  async #round(): Promise<void> {
    const { timeline } = this.#tools;
    if (this.keeper.inCharge === undefined) return;
    const { waiting } = this.log;
    const answered = await timeline.phase('review', () => this.desk.round());
    const ids = new Set(answered.map(({ review }) => review.decisionId));
    for (const id of waiting)
      if (!ids.has(id)) this.#faults.push(`decision ${id} was left to a person and is not in the queue`);
    // After a kill nobody knows whether an unanswered request was carried out: it may wait as well.
    const surplus = [...ids].filter((id) => !waiting.has(id));
    if (this.#drill === undefined && surplus.length > 0)
      this.#faults.push(`${surplus.join(', ')} wait in the queue and were not left to a person`);
    waiting.clear();
    const left = await this.desk.waiting();
    if (left.length > 0)
      this.#faults.push(`${grouped(left.length)} reviews wait although they were answered`);
  }

  async #train({ batch, sendAt }: Extract<ClinicEvent, { kind: 'training' }>): Promise<void> {
    const { timeline } = this.#tools;
    await timeline.phase('review', () => this.desk.settled());
    const report = await timeline.phase('train', () => this.keeper.train(batch, sendAt));
    this.trainings.push(report);
    timeline.say(
      '',
      `batch ${String(batch)}, ${day(sendAt)}: ${grouped(report.cases)} cases, AUC ${metricText(report.estimate.auc)}; ` +
        `version ${String(report.version)} ${report.release === null ? 'not released' : 'released'}: ${report.reason}`,
    );
    const [next] = this.clinic.cases.filter(({ at }) => at >= sendAt);
    const { release } = report;
    if (release === null || next === undefined) return;
    await timeline.phase('release', () => this.#arrived(release, report.before === null, next));
  }

  /** Waits until a release is in charge, and where it is the first until the yardstick is. */
  async #arrived(release: string, isFirst: boolean, next: ClinicCase): Promise<void> {
    await this.reception.waitForRelease(release, next);
    if (isFirst) await this.reception.waitForYardstick(next);
  }
}
