import { type InputOf, PlatformError, type routes } from '../../contract/index.ts';
import { abstentionOf } from '../../define/abstention.ts';
import type { Abstention, Decision } from '../../define/index.ts';

type Asked = InputOf<typeof routes.createRelease>['body']['abstain'];

/**
 * Which scores a release abstains from: those that were asked for, else those that the decision names; none for null. Throws
 * BAD_REQUEST when the range is empty, or there is no outcome for it beside the two of the decision.
 */
export function chooseAbstention(decision: Decision, asked: Asked): Abstention | undefined {
  if (asked === null) return undefined;
  if (asked === undefined) return decision.abstain;
  const { from, to, outcome = decision.abstain?.outcome } = asked;
  const details = { decision: decision.name, field: 'abstain' };
  if (outcome === undefined) {
    throw new PlatformError(
      'BAD_REQUEST',
      `Decision '${decision.name}' names no outcome of an abstention: give one with the range`,
      { details },
    );
  }
  try {
    return abstentionOf(`Decision '${decision.name}'`, { from, to, outcome }, decision.outcomes);
  } catch (error) {
    if (error instanceof TypeError) throw new PlatformError('BAD_REQUEST', error.message, { details });
    throw error;
  }
}
