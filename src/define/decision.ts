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
  readonly ledger: 'durable' | 'buffered';
  readonly verified?: VerifiedGate;
  readonly hash: string;
}

/** Defines a decision. Throws TypeError on a model that ranks, whose answer is no probability. */
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
  const definition = {
    type: 'decision' as const,
    name,
    model: options.model,
    subject: options.subject,
    threshold,
    outcomes: options.outcomes ?? (['negative', 'positive'] as const),
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
