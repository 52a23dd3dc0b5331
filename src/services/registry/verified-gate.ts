import { PlatformError, routes, type VerificationSummary } from '../../contract/index.ts';
import type { Decision, VerifiedGate } from '../../define/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';

/** Throws what is wrong when a release of the decision looks back on served features. */
export type VerifiedCheck = () => void;

/**
 * Asks for the newest verification that a decision's gate counts. What it says, or that it could not be had, is thrown only
 * by the check that comes back: whether the gate applies is known later.
 */
export async function askVerified(host: ServiceHost, decision: Decision): Promise<VerifiedCheck> {
  const gate = decision.verified;
  if (gate === undefined) return () => undefined;
  try {
    const input = { params: {}, query: { valuesMin: gate.valuesMin, limit: 1 }, body: {} };
    const { verifications } = await host.call(routes.listVerifications, input);
    const now = host.clock.now();
    return () => judge(decision.name, gate, verifications[0], now);
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function judge(
  decision: string,
  gate: VerifiedGate,
  newest: VerificationSummary | undefined,
  now: number,
): void {
  const problem = problemOf(gate, newest, now);
  if (problem === undefined) return;
  throw new PlatformError(
    'GATE_FAILED',
    `'${decision}' is released only with verified features: ${problem}. 'tandem features verify' makes a verification`,
    { details: { decision, gate: { ...gate }, verification: newest ?? null } },
  );
}

function problemOf(
  gate: VerifiedGate,
  newest: VerificationSummary | undefined,
  now: number,
): string | undefined {
  const { valuesMin, withinMs } = gate;
  if (newest === undefined) return `no verification has compared ${String(valuesMin)} values or more`;
  const { id, mismatches, values, endedAt } = newest;
  if (mismatches > 0)
    return `in verification ${id}, ${String(mismatches)} of ${String(values)} values came out different`;
  const age = now - (endedAt ?? 0);
  if (age > withinMs)
    return `verification ${id} ended ${String(Math.round(age / 3_600_000))} h ago, at most ${String(withinMs / 3_600_000)} h are allowed`;
  return undefined;
}
