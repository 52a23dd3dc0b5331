import type { GateVerdict } from '../../contract/index.ts';
import { type Gate, isGateMet, isSameGate } from '../../define/index.ts';

/** What became of the gates of a model version. */
export interface GateJudgement {
  /** Every given verdict passed, and every asked gate has one. */
  readonly passed: boolean;
  readonly failed: readonly GateVerdict[];
  /** Gates that the model asks for and no verdict is about. */
  readonly missing: readonly Gate[];
}

/**
 * Judges the verdicts that came with a version against the gates its model asks for. A verdict that is
 * missing counts as failed: leaving gates out is no way around them. A verdict at another threshold, of another slice or of the
 * value where the end of the interval is asked for is not about the gate.
 */
export function judgeGates(asked: readonly Gate[], verdicts: readonly GateVerdict[]): GateJudgement {
  const failed = verdicts.filter((verdict) => !verdict.passed);
  const missing = asked.filter((gate) => !verdicts.some((verdict) => isSameGate(verdict, gate)));
  return { passed: failed.length === 0 && missing.length === 0, failed, missing };
}

/** The verdicts that claim to have passed although their value is beyond their bound, or although nothing was measured. */
export function falseClaims(verdicts: readonly GateVerdict[]): GateVerdict[] {
  return verdicts.filter((verdict) => {
    const met = isGateMet(verdict, verdict.value) && verdict.unmeasured === undefined;
    return verdict.passed && !met;
  });
}
