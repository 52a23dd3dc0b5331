import {
  type GateAnswer,
  metricText,
  type Platform,
  type RunAnswer,
  type Timeline,
  trainModel,
} from '@tandem-examples/driver';
import { MODEL, TRIAGE, YARDSTICK } from './names.ts';

/** A version that is in charge. */
export interface InCharge {
  readonly release: string;
  readonly version: number;
  readonly auc: number;
  /** The lower end of the 95 % interval of that. */
  readonly aucLow: number;
}

/** What a training came to. All metrics are of cross-validation. */
export interface TrainingReport {
  readonly batch: number;
  /** Cases it learnt from, and those of them with the positive finding. */
  readonly cases: number;
  readonly positives: number;
  readonly version: number;
  readonly auc: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gates: readonly { readonly text: string; readonly passed: boolean }[];
  /** The version that was in charge when it was compared, and the least that it asked of its successor. */
  readonly before: { readonly version: number; readonly auc: number; readonly aucLow: number } | null;
  /** The release that it became; null: it was not released. */
  readonly release: string | null;
  /** Why it was released or not. */
  readonly reason: string;
}

/**
 * Looks after the model: trains it after each batch, compares what comes out with the version in charge, and
 * puts it in charge when its gates passed and it is better or not worse.
 *
 * Not worse means: its area under the ROC curve, in cross-validation over all cases that are known, is not
 * below the 95 % interval of the one in charge, over those that were known to that. The two intervals are of
 * different cases, so a smaller difference says nothing.
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
        ...(await this.#aucOf(release.version)),
      };
    return this.inCharge;
  }

  /** Trains with what is known at an instant, and releases what is good enough. */
  async train(batch: number, asOf: number): Promise<TrainingReport> {
    const before = this.inCharge;
    const run = await trainModel(this.#platform, this.#timeline, { model: MODEL, asOf });
    if (run.version === null) throw new Error(`Run ${run.id} registered no version of ${MODEL}`);
    const { test, metrics } = await this.#platform.versionReport(MODEL, run.version);
    const { auc, aucLow } = await this.#aucOf(run.version);
    const verdict = judge(run, auc, before);
    const release = verdict.isGood ? await this.#release(run.version, verdict.reason, before) : null;
    if (release !== null) this.inCharge = { release, version: run.version, auc, aucLow };
    return {
      batch,
      cases: test.rows,
      positives: test.positives,
      version: run.version,
      auc,
      metrics,
      gates: run.gates.map((gate) => ({ text: gateText(gate), passed: gate.passed })),
      before:
        before === undefined ? null : { version: before.version, auc: before.auc, aucLow: before.aucLow },
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

  async #aucOf(version: number): Promise<{ readonly auc: number; readonly aucLow: number }> {
    const { metrics, intervals } = await this.#platform.versionReport(MODEL, version);
    const auc = metrics['aucRoc'];
    if (auc === undefined)
      throw new Error(`Version ${String(version)} of ${MODEL} has no area under the ROC curve`);
    return { auc, aucLow: intervals['aucRoc']?.low ?? auc };
  }
}

/** Whether a version takes over from the one in charge, and why. */
export function judge(
  run: Pick<RunAnswer, 'gates'>,
  auc: number,
  before: InCharge | undefined,
): { readonly isGood: boolean; readonly reason: string } {
  const failed = run.gates.filter(({ passed }) => !passed);
  if (failed.length > 0)
    return { isGood: false, reason: `gate not passed: ${failed.map(gateText).join('; ')}` };
  if (before === undefined) return { isGood: true, reason: 'the first version whose gates passed' };
  const compared = `AUC ${metricText(auc)}, of version ${String(before.version)} ${metricText(before.auc)}`;
  if (auc >= before.auc) return { isGood: true, reason: `better: ${compared}` };
  if (auc >= before.aucLow)
    return { isGood: true, reason: `not worse: ${compared}, from ${metricText(before.aucLow)}` };
  return { isGood: false, reason: `worse: ${compared}, from ${metricText(before.aucLow)}` };
}

/** A gate with what came of it, in words: `recall at 0.1 is 0.981, at least 0.95 is asked`. */
export function gateText(gate: GateAnswer): string {
  const { metric, at, bound, value, where, unmeasured, direction } = gate;
  const what = `${metric}${at === undefined ? '' : ` at ${String(at)}`}`;
  const asked = `${direction === 'atLeast' ? 'at least' : 'at most'} ${String(bound)} is asked`;
  if (unmeasured !== undefined) return `${what} cannot be measured: ${unmeasured}`;
  if (gate.against !== undefined) return `${what} is better than the baseline's by ${metricText(value)}`;
  const slice =
    where === undefined
      ? ''
      : ` in the worst slice, ${where.input} ${where.values} (${String(where.rows)} cases)`;
  return `${what} is ${metricText(value)}${slice}, ${asked}`;
}
