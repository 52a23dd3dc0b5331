import { type Duration, durationMs } from './duration.ts';
import { Expression, type ValueType } from './expression.ts';
import type { Field, FieldInput, FieldKind } from './field.ts';
import { definitionHash } from './hash.ts';
import { assertDistinct, assertName } from './name.ts';
import type { PolledTable } from './poll.ts';

/** The fields of a source or of a matured label, by name. */
export type Fields = Readonly<Record<string, Field>>;

/** Names of the fields that have one of the kinds and are never null. */
type FieldOf<TFields extends Fields, TKind extends FieldKind> = {
  [TName in keyof TFields]: TFields[TName] extends Field<TKind, false> ? TName : never;
}[keyof TFields] &
  string;

export interface SourceOptions<TFields extends Fields> {
  /** The field that identifies an event: the first event with an id wins, later ones are duplicates. */
  readonly id: FieldOf<TFields, 'id'>;
  /** The field with the event's time. */
  readonly time: FieldOf<TFields, 'timestamp'>;
  /** The field that decides the partition: events with the same key keep their order. */
  readonly key: FieldOf<TFields, 'id' | 'key'>;
  readonly fields: TFields;
  /** How far an event's time may be ahead of the clock before the record is quarantined. Default `'5m'`. */
  readonly maxSkew?: Duration;
  /**
   * Whether an event that was sent may be corrected or deleted later, by a record with its id and a higher `_revision`. Feature
   * groups over the source then keep each event of their longest window, tiled ones too. Default `false`.
   */
  readonly corrections?: boolean;
  /** A table that ingest reads the events from. Default: only what is sent. */
  readonly poll?: PolledTable;
}

/** A typed stream of events. */
export interface Source<TName extends string = string, TFields extends Fields = Fields> {
  readonly type: 'source';
  readonly name: TName;
  readonly id: string;
  readonly time: string;
  readonly key: string;
  readonly fields: TFields;
  readonly maxSkewMs: number;
  /** Present, and true, when events may be corrected and deleted. */
  readonly corrections?: boolean;
  /** Hash of everything above: the version of the contract. */
  readonly hash: string;
  /** Where events come from beside what is sent; no part of the contract. */
  readonly poll?: PolledTable;
}

/**
 * Defines a source.
 *
 * @example
 * const payments = source('payments', {
 *   id: 'paymentId', time: 'at', key: 'customerId',
 *   fields: { paymentId: id(), at: timestamp(), customerId: key(), amount: money('EUR') },
 * });
 */
export function source<const TName extends string, const TFields extends Fields>(
  name: TName,
  options: SourceOptions<TFields>,
): Source<TName, TFields> {
  assertName('source', name);
  for (const fieldName of Object.keys(options.fields)) assertName('field', fieldName);
  assertDistinct(`Source '${name}'`, Object.keys(options.fields));
  const definition = {
    type: 'source' as const,
    name,
    id: options.id,
    time: options.time,
    key: options.key,
    fields: options.fields,
    maxSkewMs: durationMs(options.maxSkew ?? '5m'),
    // Absent otherwise: the hashes of sources without corrections stay as they were.
    ...(options.corrections === true ? { corrections: true } : {}),
  };
  const hash = definitionHash(definition);
  if (options.poll === undefined) return { ...definition, hash };
  const unknown = Object.keys(options.poll.columns).find((name) => !Object.hasOwn(options.fields, name));
  if (unknown !== undefined)
    throw new TypeError(`Source '${name}' polls a column for '${unknown}', which is none of its fields`);
  if (options.poll.deleted !== undefined && options.corrections !== true) {
    throw new TypeError(
      `Source '${name}' polls a column that marks deleted rows, which needs corrections: true`,
    );
  }
  return { ...definition, hash, poll: options.poll };
}

type ValueTypeOf<TKind extends FieldKind> = TKind extends 'id' | 'key' | 'text'
  ? 'string'
  : TKind extends 'timestamp'
    ? 'timestamp'
    : TKind extends 'money'
      ? 'money'
      : TKind extends 'boolean'
        ? 'boolean'
        : TKind extends 'embedding'
          ? 'embedding'
          : 'number';

/** The fields of an event as expressions. */
export type FieldExpressions<TFields extends Fields> = {
  readonly [TName in keyof TFields]: Expression<ValueTypeOf<TFields[TName]['kind']>>;
};

/** Makes the expressions that refer to each field. */
export function fieldExpressions<TFields extends Fields>(fields: TFields): FieldExpressions<TFields> {
  const entries = Object.entries(fields).map(([name, field]) => [
    name,
    new Expression({
      op: 'field',
      name,
      type: valueType(field.kind),
      ...(field.decimals === undefined ? {} : { decimals: field.decimals }),
      ...(field.length === undefined ? {} : { length: field.length }),
    }),
  ]);
  return Object.fromEntries(entries) as FieldExpressions<TFields>;
}

/** The type that a field's values have in expressions. */
export function valueType(kind: FieldKind): ValueType {
  switch (kind) {
    case 'id':
    case 'key':
    case 'text':
      return 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'timestamp':
    case 'money':
    case 'boolean':
    case 'embedding':
      return kind;
  }
}

type OptionalNames<TFields extends Fields> = {
  [TName in keyof TFields]: TFields[TName] extends Field<FieldKind, false> ? never : TName;
}[keyof TFields];

/** What a producer sends as one event of the source. */
export type EventOf<TSource extends Source> = {
  readonly [TName in Exclude<keyof TSource['fields'], OptionalNames<TSource['fields']>>]: FieldInput<
    TSource['fields'][TName]
  >;
} & {
  readonly [TName in OptionalNames<TSource['fields']>]?: FieldInput<TSource['fields'][TName]> | null;
};
