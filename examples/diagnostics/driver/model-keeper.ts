import {
  type GateAnswer,
  metricText,
  type Platform,
  type RunAnswer,
  type Timeline,
  trainModel,
} from '@tandem-examples/driver';
import { MODEL, TRIAGE, YARDSTICK } from './names.ts';

/** Area under the ROC curve in cross-validation, with its 95 % interval. */
export interface Estimate {
  readonly auc: number;
  readonly low: number;
  readonly high: number;
}

/** A version that is in charge. */
export interface InCharge {
  readonly release: string;
  readonly version: number;
  readonly estimate: Estimate;
  /** When it was released, by the clock of this process; of one that an earlier run released: long ago. */
  readonly sinceMs: number;
  /** What was in charge before, if anything was. */
  readonly before: { readonly release: string; readonly version: number } | undefined;
}

/** What a training came to. All metrics are of cross-validation. */
export interface TrainingReport {
  readonly batch: number;
  /** Cases it learnt from, and those of them with the positive finding. */
  readonly cases: number;
  readonly positives: number;
  readonly version: number;
  readonly estimate: Estimate;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gates: readonly { readonly text: string; readonly passed: boolean }[];
  /** The version that was in charge when it was compared. */
  readonly before: { readonly version: number; readonly estimate: Estimate } | null;
  /** The release that it became; null: it was not released. */
  readonly release: string | null;
  /** Why it was released or not. */
  readonly reason: string;
}

/**
 * Looks after the model: trains it after each batch, compares what comes out with the version in charge, and
 * puts it in charge when its gates passed and it is better or not worse.
 *
 * Not worse means that it is not surely worse: the 95 % intervals of their areas under the ROC curve overlap.
 * Each is of cross-validation over the cases that were known to the version, so a smaller difference may be one of
 * the cases; few cases have wide intervals, and luck with the first ones keeps nobody in charge.
 */
export class ModelKeeper {
  readonly #platform: Platform;
  readonly #timeline: Timeline;
  inCharge: InCharge | undefined;

  constructor(platform: Platform, timeline: Timeline) {
    this.#platform = platform;
    this.#timeline = timeline;
  }

  /** Finds the version in charge of an earlier run. */
  async resume(): Promise<InCharge | undefined> {
    const release = await this.#platform.currentRelease(TRIAGE);
    if (release !== undefined)
      this.inCharge = {
        release: release.id,
        version: release.version,
        estimate: await this.#estimate(release.version),
        sinceMs: -Infinity,
        before: undefined,
      };
    return this.inCharge;
  }

  /** Trains with what is known at an instant, and releases what is good enough. */
  async train(batch: number, asOf: number): Promise<TrainingReport> {
    const before = this.inCharge;
    const run = await trainModel(this.#platform, this.#timeline, { model: MODEL, asOf });
    if (run.version === null) throw new Error(`Run ${run.id} registered no version of ${MODEL}`);
    const { test, metrics } = await this.#platform.versionReport(MODEL, run.version);
    const estimate = await this.#estimate(run.version);
    const verdict = judge(run, estimate, before);
    const release = verdict.isGood ? await this.#release(run.version, verdict.reason, before) : null;
    if (release !== null)
      this.inCharge = { release, version: run.version, estimate, sinceMs: performance.now(), before };
    return {
      batch,
      cases: test.rows,
      positives: test.positives,
      version: run.version,
      estimate,
      metrics,
      gates: run.gates.map((gate) => ({ text: gateText(gate), passed: gate.passed })),
      before: before === undefined ? null : { version: before.version, estimate: before.estimate },
      release,
      reason: verdict.reason,
    };
  }

  async #release(version: number, reason: string, before: InCharge | undefined): Promise<string> {
    // What the first version of all would have said remains to be seen.
    if (before === undefined)
      await this.#platform.release(YARDSTICK, version, 'the first version that passed');
    return (await this.#platform.release(TRIAGE, version, reason)).id;
  }

  async #estimate(version: number): Promise<Estimate> {
    const { metrics, intervals } = await this.#platform.versionReport(MODEL, version);
    const auc = metrics['aucRoc'];
    const interval = intervals['aucRoc'];
    if (auc === undefined || interval === undefined)
      throw new Error(
        `Version ${String(version)} of ${MODEL} has no area under the ROC curve with an interval`,
      );
    return { auc, low: interval.low, high: interval.high };
  }
}

/** Whether a version takes over from the one in charge, and why. */
export function judge(
  run: Pick<RunAnswer, 'gates'>,
  estimate: Estimate,
  before: Pick<InCharge, 'version' | 'estimate'> | undefined,
): { readonly isGood: boolean; readonly reason: string } {
  const failed = run.gates.filter(({ passed }) => !passed);
  if (failed.length > 0)
    return { isGood: false, reason: `gate not passed: ${failed.map(gateText).join('; ')}` };
  if (before === undefined) return { isGood: true, reason: 'the first version whose gates passed' };
  const compared = `AUC ${estimateText(estimate)}, of version ${String(before.version)} ${estimateText(before.estimate)}`;
  if (estimate.auc >= before.estimate.auc) return { isGood: true, reason: `better: ${compared}` };
  if (estimate.high >= before.estimate.low) return { isGood: true, reason: `not worse: ${compared}` };
  return { isGood: false, reason: `worse: ${compared}` };
}

function estimateText({ auc, low, high }: Estimate): string {
  return `${metricText(auc)} (${metricText(low)} to ${metricText(high)})`;
}

/** A gate with what came of it, in words: `recall at 0.1 is 0.981, at least 0.95 is asked`. */
export function gateText(gate: GateAnswer): string {
  const { metric, at, bound, value, where, end, against, unmeasured, direction } = gate;
  const what = [
    ...(against === undefined ? [] : ['the lead over the baseline in']),
    metric,
    ...(at === undefined ? [] : [`at ${String(at)}`]),
  ].join(' ');
  if (unmeasured !== undefined) return `${what} cannot be measured: ${unmeasured}`;
  const limit = direction === 'atMost' ? 'at most' : against === undefined ? 'at least' : 'more than';
  const found = `${metricText(value)}${end === undefined ? '' : ` (the ${end} end)`}`;
  const slice =
    where === undefined
      ? ''
      : ` in the worst slice, ${where.input} ${where.values} (${String(where.rows)} cases)`;
  return `${what} is ${found}${slice}, ${limit} ${String(bound)} is asked`;
}
