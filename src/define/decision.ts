import { type Abstention, abstentionOf } from './abstention.ts';
import { type Duration, durationMs } from './duration.ts';
import { definitionHash } from './hash.ts';
import { type Model, taskOf } from './model.ts';
import { assertName } from './name.ts';
import type { Source } from './source.ts';

export interface DecisionOptions<TSource extends Source> {
  /** The model whose released version answers. */
  readonly model: Model<string, TSource>;
  /** The field of the request that names whom the decision is about. */
  readonly subject: keyof TSource['fields'] & string;
  /** Scores at or above it have the second outcome. In [0, 1]. Default 0.5. */
  readonly threshold?: number;
  /** Outcomes below the threshold and from it on. Default `['negative', 'positive']`. */
  readonly outcomes?: readonly [below: string, above: string];
  /**
   * Scores that are too unsure to be answered: those in [from, to) have this outcome instead of the two, and wait for a person in
   * the queue of reviews. Part of the release; `from` and `to` can be given for each. Default: every score is answered.
   */
  readonly abstain?: Abstention;
  /**
   * How many reasons come with each answer: the inputs that raised or lowered the score most. 1 to 100. A caller can ask for
   * another number. Default: none, and none is computed.
   */
  readonly explain?: number;
  /** `'durable'`: recorded on disk before it is answered. `'buffered'`: within a stated bound. Default `'durable'`. */
  readonly ledger?: 'durable' | 'buffered';
  /**
   * A release is made only if the newest verification of served features that compared at least so many values found no value
   * that differs. The first release of a decision looks back on nothing and is free of it. Default: nothing is asked.
   */
  readonly verified?: {
    readonly values: number;
    /** How long ago it may have ended. Default `'7d'`. */
    readonly within?: Duration;
  };
}

/** What the newest large enough verification of served features must be like, for a release to be made. */
export interface VerifiedGate {
  /** Verifications that compared fewer values do not count. */
  readonly valuesMin: number;
  /** It ended at most so long ago, in milliseconds. */
  readonly withinMs: number;
}

/** A typed endpoint: an event to decide on goes in; outcome, score, release and decision id come out. */
export interface Decision<TName extends string = string, TSource extends Source = Source> {
  readonly type: 'decision';
  readonly name: TName;
  readonly model: Model<string, TSource>;
  readonly subject: string;
  readonly threshold: number;
  readonly outcomes: readonly [below: string, above: string];
  readonly abstain?: Abstention;
  readonly explain?: number;
  readonly ledger: 'durable' | 'buffered';
  readonly verified?: VerifiedGate;
  readonly hash: string;
}

/** Most reasons of one answer. */
export const REASONS_MAX = 100;

/**
 * Defines a decision.
 *
 * @throws TypeError on a name, threshold, abstention, number of reasons or of verified values that cannot be, and on a model that
 *   ranks, whose answer is no probability.
 */
export function decision<const TName extends string, TSource extends Source>(
  name: TName,
  options: DecisionOptions<TSource>,
): Decision<TName, TSource> {
  assertName('decision', name);
  if (taskOf(options.model) === 'ranking') {
    throw new TypeError(
      `Decision '${name}': model '${options.model.name}' ranks, and its scores are no probabilities to hold a threshold against: use it in a recommendation`,
    );
  }
  const threshold = options.threshold ?? 0.5;
  if (!(threshold >= 0 && threshold <= 1)) {
    throw new TypeError(`Decision '${name}': the threshold is in [0, 1]; got ${String(threshold)}`);
  }
  const values = options.verified?.values;
  if (values !== undefined && !(Number.isSafeInteger(values) && values >= 1)) {
    throw new TypeError(
      `Decision '${name}': verified.values is a whole number from 1; got ${String(values)}`,
    );
  }
  const verified =
    values === undefined
      ? {}
      : { verified: { valuesMin: values, withinMs: durationMs(options.verified?.within ?? '7d') } };
  const { abstain, explain } = options;
  const outcomes = options.outcomes ?? (['negative', 'positive'] as const);
  if (explain !== undefined && !(Number.isSafeInteger(explain) && explain >= 1 && explain <= REASONS_MAX)) {
    throw new TypeError(
      `Decision '${name}': explain is a whole number from 1 to ${String(REASONS_MAX)}; got ${String(explain)}`,
    );
  }
  const definition = {
    type: 'decision' as const,
    name,
    model: options.model,
    subject: options.subject,
    threshold,
    outcomes,
    // Absent otherwise: the hashes of decisions without them stay as they were.
    ...(abstain === undefined ? {} : { abstain: abstentionOf(`Decision '${name}'`, abstain, outcomes) }),
    ...(explain === undefined ? {} : { explain }),
    ledger: options.ledger ?? ('durable' as const),
    ...verified,
  };
  return decisionOf(definition);
}

/** @internal The decision with the hash of what it consists of. */
export function decisionOf<TName extends string, TSource extends Source>(
  decision: Omit<Decision<TName, TSource>, 'hash'>,
): Decision<TName, TSource> {
  const { hash: _before, ...definition } = decision as Decision<TName, TSource>;
  return { ...definition, hash: definitionHash({ ...definition, model: decision.model.hash }) };
}
