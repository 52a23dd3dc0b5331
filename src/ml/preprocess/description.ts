/**
 * A number as `(x - mean) / scale` in 64-bit arithmetic, rounded to Float32 at the end. In ONNX: `IsNaN`,
 * `Where` with the fill, `Cast` to double, `Sub`, `Div`, `Cast` back; the indicator is `Cast` of `IsNaN`.
 */
export interface NumericStep {
  readonly kind: 'numeric';
  /** Name of the input column. */
  readonly column: string;
  /** Stands in for a missing value; null: it stays missing. */
  readonly fill: number | null;
  /** Whether a second output column tells with 1 that the value was missing. */
  readonly indicator: boolean;
  /** 0 and 1 without standardisation. */
  readonly mean: number;
  readonly scale: number;
}

/**
 * One output column for each category, 1 in the row's own and 0 elsewhere; all 0 for one that is not listed.
 * In ONNX: `ai.onnx.ml.OneHotEncoder` with `cats_strings` and `zeros` 1, behind a `ai.onnx.ml.LabelEncoder`
 * of the empty text to the fill; the indicator is a `LabelEncoder` of the empty text to 1, by default 0.
 */
export interface OneHotStep {
  readonly kind: 'one-hot';
  readonly column: string;
  /** Stands in for a missing category; null: it stays missing, which is no category. */
  readonly fill: string | null;
  readonly indicator: boolean;
  readonly categories: readonly string[];
}

/**
 * One number for each category. In ONNX: `ai.onnx.ml.LabelEncoder` with `keys_strings`, `values_floats` and
 * `default_float`; the empty text is one more key, with the value of the fill.
 */
export interface TargetStep {
  readonly kind: 'target';
  readonly column: string;
  readonly fill: string | null;
  readonly indicator: boolean;
  readonly categories: readonly string[];
  /** Of each category the mean target, drawn towards the mean of all. */
  readonly values: readonly number[];
  /** For categories not listed and missing ones: the mean of all. */
  readonly otherwise: number;
}

/**
 * One output column for each code of a numeric column: 1 where the value is that code, 0 elsewhere and where it is missing. In ONNX:
 * `Equal` of the value, cast to double, and the codes, `Cast` to float.
 */
export interface CodesStep {
  readonly kind: 'codes';
  /** Name of the input column, which is numeric. */
  readonly column: string;
  /** What the codes 0, 1 ... stand for. */
  readonly categories: readonly string[];
}

export type StepDescription = NumericStep | OneHotStep | TargetStep | CodesStep;

/** A fitted preprocessor as plain data: JSON keeps every bit of it. */
export interface PreprocessorDescription {
  readonly format: 'preprocessor';
  readonly version: 1;
  /** In the order of their output columns. */
  readonly steps: readonly StepDescription[];
}

/** Codes of one column, which become columns each. */
export const CODES_MAX = 10_000;
/** Categories of one step. */
export const CATEGORIES_MAX = 1_000_000;

/**
 * @internal Checks that a value, parsed from JSON say, is a description.
 *
 * @throws RangeError naming the part that is wrong.
 */
export function readDescription(value: unknown): PreprocessorDescription {
  const { format, version, steps } = objectAt(value, 'The description');
  if (format !== 'preprocessor' || version !== 1) {
    throw new RangeError(
      `The description must have the format preprocessor, version 1, not ${String(format)}, ${String(version)}`,
    );
  }
  if (!Array.isArray(steps)) throw new RangeError('The steps of the description must be a list');
  return {
    format,
    version,
    steps: steps.map((step: unknown, index) => readStep(objectAt(step, `Step ${index}`), `Step ${index}`)),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function readStep(fields: Fields, what: string): StepDescription {
  const { kind } = fields;
  const column = textAt(fields, 'column', what);
  if (kind === 'codes') return { kind, column, categories: codesAt(fields, what) };
  const { indicator } = fields;
  if (typeof indicator !== 'boolean') throw new RangeError(`${what} must say whether it has an indicator`);
  if (kind === 'numeric') {
    const mean = numberAt(fields.mean, `The mean of ${what}`);
    const scale = numberAt(fields.scale, `The scale of ${what}`);
    if (!(scale > 0)) throw new RangeError(`The scale of ${what} must be above 0, not ${scale}`);
    const fill = fields.fill === null ? null : numberAt(fields.fill, `The fill of ${what}`);
    return { kind, column, fill, indicator, mean, scale };
  }
  const fill = fields.fill === null ? null : textAt(fields, 'fill', what);
  const categories = categoriesAt(fields, what);
  if (kind === 'one-hot') return { kind, column, fill, indicator, categories };
  if (kind !== 'target') throw new RangeError(`${what} is of no known kind: ${String(kind)}`);
  if (!Array.isArray(fields.values) || fields.values.length !== categories.length) {
    throw new RangeError(`${what} must have one value for each of its ${categories.length} categories`);
  }
  const values = fields.values.map((item: unknown, at) => numberAt(item, `Value ${at} of ${what}`));
  const otherwise = numberAt(fields.otherwise, `The value of other categories of ${what}`);
  return { kind, column, fill, indicator, categories, values, otherwise };
}

function objectAt(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeError(`${what} must be an object`);
  }
  return { ...value };
}

function textAt(fields: Fields, key: string, what: string): string {
  const value = fields[key];
  if (typeof value !== 'string') {
    throw new RangeError(`The ${key} of ${what} must be a text, not ${String(value)}`);
  }
  return value;
}

function numberAt(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new RangeError(`${what} must be a finite number, not ${String(value)}`);
  }
  return value;
}

function codesAt({ categories }: Fields, what: string): string[] {
  if (!Array.isArray(categories)) throw new RangeError(`${what} must have a list of categories`);
  requireCodes(categories, what);
  return [...categories];
}

/**
 * @internal Checks what the codes of a column stand for.
 *
 * @throws RangeError when these are no different texts, or too few or too many.
 */
export function requireCodes(categories: readonly unknown[], what: string): asserts categories is string[] {
  if (categories.length < 1 || categories.length > CODES_MAX) {
    throw new RangeError(`${what} must have 1 to ${CODES_MAX} categories, not ${categories.length}`);
  }
  const other = categories.findIndex((category) => typeof category !== 'string');
  if (other >= 0) throw new RangeError(`Category ${other} of ${what} must be a text`);
  if (new Set(categories).size !== categories.length) throw new RangeError(`${what} has a category twice`);
}

function categoriesAt(fields: Fields, what: string): string[] {
  const { categories } = fields;
  if (!Array.isArray(categories) || categories.length > CATEGORIES_MAX) {
    throw new RangeError(`${what} must have a list of at most ${CATEGORIES_MAX} categories`);
  }
  const read = categories.map((category: unknown, at) => {
    if (typeof category === 'string' && category !== '') return category;
    throw new RangeError(`Category ${at} of ${what} must be a text that is not empty`);
  });
  if (new Set(read).size !== read.length) throw new RangeError(`${what} has a category twice`);
  return read;
}
