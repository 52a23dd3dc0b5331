import { type Duration, durationMs } from './duration.ts';
import type { Expression, ExpressionNode } from './expression.ts';
import type { Field } from './field.ts';
import { definitionHash } from './hash.ts';
import { assertName } from './name.ts';
import { beyondEvent } from './of-event.ts';
import { type FieldExpressions, fieldExpressions, type Fields, type Source } from './source.ts';

export interface LabelOptions<TOf extends Source, TFrom extends Source> {
  /** The source whose events are labelled. */
  readonly of: TOf;
  /** The source of outcomes, which takes no corrections: an event of it that names an event of `of` makes that event positive. */
  readonly from: TFrom;
  /** The field of `from` that holds the id of the labelled event. */
  readonly on: keyof TFrom['fields'] & string;
  /** Only outcomes for which it is true make an event positive; null is not true. Default: all of them do. */
  readonly where?: (outcome: FieldExpressions<TFrom['fields']>) => Expression<'boolean'>;
  /**
   * Whether an event without any outcome before its maturity, one that `where` leaves out included, is *unknown* instead of
   * negative: datasets and {@link Label.matured} leave it out. It needs `where`: without it there would be no negative event.
   * Default `false`.
   */
  readonly confirmed?: boolean;
  /** How long after an event its outcome is taken as known. Outcomes later than that do not count. */
  readonly maturesAfter: Duration;
}

/** What a label is, as the services need it. */
export interface LabelDefinition<TOf extends Source = Source> {
  readonly type: 'label';
  readonly name: string;
  readonly of: TOf;
  readonly from: Source;
  readonly on: string;
  readonly maturesAfterMs: number;
  /** Only outcomes for which it is true make an event positive. Absent when all do. */
  readonly where?: ExpressionNode;
  /** Present, and true, when an event without any outcome is unknown. */
  readonly confirmed?: boolean;
  readonly hash: string;
}

/**
 * The outcome of an event, learnt later. Until it matures it is censored: unknown, not negative. With `confirmed` it stays unknown
 * until there is an outcome as well.
 */
export interface Label<
  TName extends string = string,
  TOf extends Source = Source,
> extends LabelDefinition<TOf> {
  readonly name: TName;
  /** The labelled events as a stream: each appears at its maturity, with the label's value as one more field. */
  matured(): MaturedLabel<MaturedFields<TName, TOf['fields']>>;
}

/** The fields of a matured label: those of the labelled source and the label itself. */
export type MaturedFields<TName extends string, TFields extends Fields> = TFields & {
  readonly [TLabel in TName]: Field<'boolean', false>;
};

/** A label as a stream of features may be computed from: the only way for a label to become one. */
export interface MaturedLabel<TFields extends Fields = Fields> {
  readonly type: 'matured';
  readonly label: LabelDefinition;
  readonly fields: TFields;
}

/**
 * Defines a label.
 *
 * @throws TypeError when `on` is no id or key of `from`, `from` takes corrections, the name is that of a field of `of`, `where`
 *   looks at more than an outcome, or `confirmed` stands without `where`.
 * @example
 * const fraud = label('fraud', { of: transactions, from: reports, on: 'transactionId', maturesAfter: '7d' });
 * const malignant = label('malignant', {
 *   of: cases, from: findings, on: 'caseId', where: (f) => f.finding.equals('malignant'), confirmed: true, maturesAfter: '3d',
 * });
 */
export function label<const TName extends string, TOf extends Source, TFrom extends Source>(
  name: TName,
  options: LabelOptions<TOf, TFrom>,
): Label<TName, TOf> {
  assertName('label', name);
  if (Object.hasOwn(options.of.fields, name)) {
    throw new TypeError(`Label '${name}' has the name of a field of source '${options.of.name}'`);
  }
  const outcome = options.from.fields[options.on];
  if (outcome === undefined || (outcome.kind !== 'id' && outcome.kind !== 'key') || outcome.optional) {
    throw new TypeError(
      `Label '${name}': '${options.on}' is not an id or key field of '${options.from.name}'`,
    );
  }
  if (options.from.corrections === true) {
    throw new TypeError(
      `Label '${name}': outcomes cannot come from '${options.from.name}', which takes corrections: a label that has matured stays`,
    );
  }
  const where = options.where?.(fieldExpressions<TFrom['fields']>(options.from.fields)).node;
  assertCondition(name, where, options.confirmed);
  const definition = {
    type: 'label' as const,
    name,
    of: options.of,
    from: options.from,
    on: options.on,
    maturesAfterMs: durationMs(options.maturesAfter),
    // Absent otherwise: the hashes of labels without a condition stay as they were.
    ...(where === undefined ? {} : { where }),
    ...(options.confirmed === true ? { confirmed: true } : {}),
  };
  const hash = definitionHash({ ...definition, of: options.of.hash, from: options.from.hash });
  const self: Label<TName, TOf> = {
    ...definition,
    hash,
    matured: () => ({
      type: 'matured',
      label: self,
      fields: {
        ...options.of.fields,
        [name]: { kind: 'boolean', optional: false, personal: 'none' },
      } as MaturedFields<TName, TOf['fields']>,
    }),
  };
  return self;
}

function assertCondition(
  name: string,
  where: ExpressionNode | undefined,
  confirmed: boolean | undefined,
): void {
  if (where === undefined) {
    if (confirmed === true) {
      throw new TypeError(
        `Label '${name}': confirmed: true needs a 'where': without one every event that has an outcome is positive`,
      );
    }
    return;
  }
  const other = beyondEvent(where);
  if (other !== undefined)
    throw new TypeError(`Label '${name}': 'where' is of an outcome's fields; got ${other}`);
}
