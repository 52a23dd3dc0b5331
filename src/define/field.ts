/** What kinds of values an event's field can hold. */
export type FieldKind =
  | 'id'
  | 'key'
  | 'timestamp'
  | 'money'
  | 'number'
  | 'integer'
  | 'boolean'
  | 'text'
  | 'embedding';

/** How personal a field is. `pseudonym`: identifies a person indirectly. `sensitive`: must not leave the source unmasked. */
export type Personal = 'none' | 'pseudonym' | 'sensitive';

export interface FieldOptions {
  /** Default `'none'`. */
  readonly personal?: Personal;
  /** Whether the field may be absent or null. Default `false`. Not for the source's id, time and key. */
  readonly optional?: boolean;
}

export interface Field<TKind extends FieldKind = FieldKind, TOptional extends boolean = boolean> {
  readonly kind: TKind;
  readonly optional: TOptional;
  readonly personal: Personal;
  /** Smallest and largest value of `number` and `integer`; largest length of `id`, `key` and `text`, in UTF-16 units. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** ISO 4217 code of `money`. */
  readonly currency?: string;
  /** Decimal places of `money`: values are kept as whole numbers of 10^-decimals units. */
  readonly decimals?: number;
  /** Number of elements of an `embedding`. */
  readonly length?: number;
}

type OptionalOf<TOptions> = TOptions extends { readonly optional: true } ? true : false;

function field<TKind extends FieldKind, TOptions extends FieldOptions>(
  kind: TKind,
  options: TOptions,
  bounds: Partial<Field> = {},
): Field<TKind, OptionalOf<TOptions>> {
  return {
    ...bounds,
    kind,
    optional: (options.optional ?? false) as OptionalOf<TOptions>,
    personal: options.personal ?? 'none',
  };
}

/** Largest length of ids and keys, in UTF-16 units. */
export const ID_LENGTH_MAX = 128;

/** The identity of an event: a string of 1 to 128 characters, or a whole number that becomes its decimal digits. */
export function id(options: Omit<FieldOptions, 'optional'> = {}): Field<'id', false> {
  return field('id', { ...options, optional: false }, { maximum: ID_LENGTH_MAX }) as Field<'id', false>;
}

/** A reference to an entity (customer, terminal, item): the same values as {@link id}. */
export function key<const TOptions extends FieldOptions = object>(
  options?: TOptions,
): Field<'key', OptionalOf<TOptions>> {
  return field('key', options ?? ({} as TOptions), { maximum: ID_LENGTH_MAX });
}

/** An instant: an ISO 8601 string with an offset or `Z`, or milliseconds since 1970-01-01 UTC. Kept in milliseconds. */
export function timestamp<const TOptions extends FieldOptions = object>(
  options?: TOptions,
): Field<'timestamp', OptionalOf<TOptions>> {
  return field('timestamp', options ?? ({} as TOptions));
}

/**
 * An amount of money: a JSON number or a decimal string with at most the currency's decimal places. Kept exactly, as a
 * whole number of the smallest unit below 2^53.
 */
export function money<const TOptions extends FieldOptions & { readonly decimals?: number } = object>(
  currency: string,
  options?: TOptions,
): Field<'money', OptionalOf<TOptions>> {
  if (!/^[A-Z]{3}$/.test(currency)) {
    throw new TypeError(`money() takes an ISO 4217 code like 'EUR'; got '${currency}'`);
  }
  const decimals = options?.decimals ?? 2;
  if (!Number.isInteger(decimals) || decimals < 0 || decimals > 6) {
    throw new TypeError(`money() keeps 0 to 6 decimals; got ${String(decimals)}`);
  }
  return field('money', options ?? ({} as TOptions), { currency, decimals });
}

/** A finite number, within `minimum` and `maximum` where given. */
export function number<
  const TOptions extends FieldOptions & { readonly minimum?: number; readonly maximum?: number } = object,
>(options?: TOptions): Field<'number', OptionalOf<TOptions>> {
  return field('number', options ?? ({} as TOptions), bounds(options));
}

/** A whole number of absolute value below 2^53, within `minimum` and `maximum` where given. */
export function integer<
  const TOptions extends FieldOptions & { readonly minimum?: number; readonly maximum?: number } = object,
>(options?: TOptions): Field<'integer', OptionalOf<TOptions>> {
  return field('integer', options ?? ({} as TOptions), bounds(options));
}

/** `true` or `false`. */
export function boolean<const TOptions extends FieldOptions = object>(
  options?: TOptions,
): Field<'boolean', OptionalOf<TOptions>> {
  return field('boolean', options ?? ({} as TOptions));
}

/** A string of at most `lengthMax` characters. Default 1,000. */
export function text<const TOptions extends FieldOptions & { readonly lengthMax?: number } = object>(
  options?: TOptions,
): Field<'text', OptionalOf<TOptions>> {
  return field('text', options ?? ({} as TOptions), { maximum: options?.lengthMax ?? 1_000 });
}

/** Most elements of an `embedding`. */
export const EMBEDDING_LENGTH_MAX = 512;

/**
 * A vector of `length` finite numbers, 2 to 512: a JSON array of them, or its text. Kept as the text of that array, of which
 * aggregates (`mean`, `first`, `last`) read the elements.
 */
export function embedding<const TOptions extends FieldOptions = object>(
  length: number,
  options?: TOptions,
): Field<'embedding', OptionalOf<TOptions>> {
  if (!Number.isInteger(length) || length < 2 || length > EMBEDDING_LENGTH_MAX) {
    throw new TypeError(
      `embedding() takes a length from 2 to ${String(EMBEDDING_LENGTH_MAX)}; got ${String(length)}`,
    );
  }
  return field('embedding', options ?? ({} as TOptions), { length });
}

function bounds(
  options: { readonly minimum?: number; readonly maximum?: number } | undefined,
): Partial<Field> {
  return {
    ...(options?.minimum === undefined ? {} : { minimum: options.minimum }),
    ...(options?.maximum === undefined ? {} : { maximum: options.maximum }),
  };
}

/** What a producer may send for a field. */
export type FieldInput<TField extends Field> =
  TField extends Field<'id' | 'key' | 'timestamp' | 'money'>
    ? string | number
    : TField extends Field<'number' | 'integer'>
      ? number
      : TField extends Field<'boolean'>
        ? boolean
        : TField extends Field<'embedding'>
          ? readonly number[] | string
          : string;
