/** Most parameters of a space. */
export const PARAMETERS_MAX = 100;
/** Most options of one choice. */
export const CHOICE_OPTIONS_MAX = 1000;

export type ParameterValue = number | string | boolean;

/** One value for each active parameter, by name. */
export type ParameterValues = Readonly<Record<string, ParameterValue>>;

interface NamedParameter {
  /** A letter, then letters, digits, `_`, `-` or `.`: 64 at most. */
  readonly name: string;
  /** The parameter exists only when a choice declared before it has one of these values. Default always. */
  readonly when?: { readonly parameter: string; readonly is: readonly ParameterValue[] };
}

/** A number in [least, most]. The `log` kinds are spread evenly by their logarithm. */
export interface NumberParameter extends NamedParameter {
  readonly kind: 'whole' | 'log-whole' | 'real' | 'log-real';
  readonly least: number;
  readonly most: number;
}

/** One of some options without order. */
export interface ChoiceParameter extends NamedParameter {
  readonly kind: 'choice';
  readonly options: readonly ParameterValue[];
}

export type Parameter = NumberParameter | ChoiceParameter;

/**
 * What is searched, as plain data.
 *
 * @example
 *   const space: SearchSpace = [
 *     { name: 'learningRate', kind: 'log-real', least: 0.01, most: 0.3 },
 *     { name: 'growth', kind: 'choice', options: ['depth', 'leaf'] },
 *     {
 *       name: 'maxLeaves',
 *       kind: 'log-whole',
 *       least: 8,
 *       most: 256,
 *       when: { parameter: 'growth', is: ['leaf'] },
 *     },
 *   ];
 */
export type SearchSpace = readonly Parameter[];

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/**
 * Reads a space from data of unknown form, such as a file.
 *
 * @throws RangeError naming the parameter that is wrong, what was expected and what came.
 */
export function readSpace(given: unknown): SearchSpace {
  if (!Array.isArray(given) || given.length === 0 || given.length > PARAMETERS_MAX) {
    throw new RangeError(`A space must be a list of 1 to ${PARAMETERS_MAX} parameters`);
  }
  const read: Parameter[] = [];
  given.forEach((item: unknown, index) => read.push(readParameter(item, index, read)));
  return read;
}

function readParameter(given: unknown, index: number, before: readonly Parameter[]): Parameter {
  const fields = fieldsOf(given, `Parameter ${index}`);
  const { name, kind, least, most, options, when } = fields;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new RangeError(`Parameter ${index} must have a name such as learningRate, not ${shown(name)}`);
  }
  const what = `Parameter ${name}`;
  if (before.some((other) => other.name === name)) throw new RangeError(`${what} is declared twice`);
  const condition = when === undefined ? {} : { when: readCondition(when, what, before) };
  switch (kind) {
    case 'choice':
      onlyFields(fields, what, ['name', 'kind', 'options', 'when']);
      return { name, kind, options: readOptions(options, what), ...condition };
    case 'whole':
    case 'log-whole':
    case 'real':
    case 'log-real':
      onlyFields(fields, what, ['name', 'kind', 'least', 'most', 'when']);
      return { name, kind, ...readBounds(kind, { least, most }, what), ...condition };
    default:
      throw new RangeError(
        `${what} must have the kind whole, log-whole, real, log-real or choice, not ${shown(kind)}`,
      );
  }
}

function readBounds(
  kind: NumberParameter['kind'],
  bounds: { readonly least: unknown; readonly most: unknown },
  what: string,
): { least: number; most: number } {
  const { least, most } = bounds;
  const isWhole = kind === 'whole' || kind === 'log-whole';
  const isLog = kind === 'log-whole' || kind === 'log-real';
  for (const [name, bound] of Object.entries(bounds)) {
    if (!(isWhole ? Number.isSafeInteger(bound) : Number.isFinite(bound))) {
      throw new RangeError(
        `${what}: ${name} must be a ${isWhole ? 'whole' : 'finite'} number, not ${shown(bound)}`,
      );
    }
  }
  const [low, high] = [least as number, most as number];
  if (!(low < high)) throw new RangeError(`${what}: least ${low} must be below most ${high}`);
  if (!Number.isFinite(high - low)) throw new RangeError(`${what}: ${low} to ${high} is too wide`);
  if (isLog && !(low > 0)) throw new RangeError(`${what}: least of a ${kind} must be above 0, not ${low}`);
  return { least: low + 0, most: high + 0 };
}

function readOptions(given: unknown, what: string): readonly ParameterValue[] {
  if (!Array.isArray(given) || given.length < 1 || given.length > CHOICE_OPTIONS_MAX) {
    throw new RangeError(`${what} must have a list of 1 to ${CHOICE_OPTIONS_MAX} options`);
  }
  const options = given.map((option: unknown) => readValue(option, what));
  if (new Set(options).size !== options.length) throw new RangeError(`${what} has an option twice`);
  return options;
}

function readCondition(
  given: unknown,
  what: string,
  before: readonly Parameter[],
): { parameter: string; is: readonly ParameterValue[] } {
  const fields = fieldsOf(given, `${what}: when`);
  onlyFields(fields, `${what}: when`, ['parameter', 'is']);
  const other = before.find((candidate) => candidate.name === fields['parameter']);
  if (other?.kind !== 'choice') {
    throw new RangeError(
      `${what} depends on ${shown(fields['parameter'])}, which is no choice declared before it`,
    );
  }
  const { is } = fields;
  if (!Array.isArray(is) || is.length === 0) {
    throw new RangeError(`${what}: when.is must be a list of options of ${other.name}`);
  }
  const values = is.map((value: unknown) => readValue(value, what));
  const strange = values.find((value) => !other.options.includes(value));
  if (strange !== undefined) {
    throw new RangeError(
      `${what} depends on ${other.name} being ${shown(strange)}, which is no option of it`,
    );
  }
  return { parameter: other.name, is: values };
}

function readValue(given: unknown, what: string): ParameterValue {
  if (typeof given === 'string' || typeof given === 'boolean') return given;
  if (typeof given === 'number' && Number.isFinite(given)) return given + 0;
  throw new RangeError(
    `${what}: an option must be a text, finite number or truth value, not ${shown(given)}`,
  );
}

/** @internal The fields of an object, as data of unknown form. */
export function fieldsOf(given: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new RangeError(`${what} must be an object, not ${shown(given)}`);
  }
  return { ...given };
}

function onlyFields(fields: Readonly<Record<string, unknown>>, what: string, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((field) => !known.includes(field));
  if (unknown !== undefined) {
    throw new RangeError(`${what} has the unknown field ${unknown}; known are ${known.join(', ')}`);
  }
}

/** @internal A value in an error message. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.slice(0, 100);
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'a list' : 'an object';
    case 'function':
    case 'symbol':
      return `a ${typeof value}`;
  }
}
