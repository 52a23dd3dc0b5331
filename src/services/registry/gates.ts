import type { GateVerdict } from '../../contract/index.ts';
import type { Gate } from '../../define/index.ts';

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
 * missing counts as failed: leaving gates out is no way around them.
 */
export function judgeGates(asked: readonly Gate[], verdicts: readonly GateVerdict[]): GateJudgement {
  const failed = verdicts.filter((verdict) => !verdict.passed);
  const missing = asked.filter((gate) => !verdicts.some((verdict) => isAbout(verdict, gate)));
  return { passed: failed.length === 0 && missing.length === 0, failed, missing };
}

/** The verdicts that claim to have passed although their value is beyond their bound. */
export function falseClaims(verdicts: readonly GateVerdict[]): GateVerdict[] {
  return verdicts.filter(({ passed, direction, value, bound }) => {
    const met = direction === 'atLeast' ? value >= bound : value <= bound;
    return passed && !met;
  });
}

function isAbout(verdict: GateVerdict, gate: Gate): boolean {
  return (
    verdict.metric === gate.metric && verdict.direction === gate.direction && verdict.bound === gate.bound
  );
}
