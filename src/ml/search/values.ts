import type { NumberParameter, Parameter, ParameterValue, ParameterValues, SearchSpace } from './space.ts';
import { fieldsOf, shown } from './space.ts';

/** @internal Whether a parameter exists beside the values chosen before it. */
export function isActive(parameter: Parameter, values: ParameterValues): boolean {
  const { when } = parameter;
  if (when === undefined) return true;
  const value = valueOf(values, when.parameter);
  return value !== undefined && when.is.includes(value);
}

/** @internal The value of a parameter, undefined where it is not active. */
export function valueOf(values: ParameterValues, name: string): ParameterValue | undefined {
  // Not `values[name]`: a parameter may be called `constructor`.
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

/** @internal Chooses a value for every active parameter, in the order of the space. */
export function chooseValues(
  space: SearchSpace,
  choose: (parameter: Parameter, index: number) => ParameterValue,
): ParameterValues {
  const values: Record<string, ParameterValue> = {};
  space.forEach((parameter, index) => {
    if (isActive(parameter, values)) values[parameter.name] = choose(parameter, index);
  });
  return values;
}

/** @internal Number of values of a parameter, Infinity for real ones. */
export function sizeOf(parameter: Parameter): number {
  switch (parameter.kind) {
    case 'choice':
      return parameter.options.length;
    case 'whole':
    case 'log-whole':
      return parameter.most - parameter.least + 1;
    case 'real':
    case 'log-real':
      return Number.POSITIVE_INFINITY;
  }
}

/** @internal The value at a place in [0, 1]: places are spread as the kind of the parameter says. */
export function fromUnit(parameter: Parameter, unit: number): ParameterValue {
  if (parameter.kind === 'choice') {
    const { options } = parameter;
    return options[Math.min(options.length - 1, Math.floor(unit * options.length))] as ParameterValue;
  }
  // The bounds themselves, which exp(log(bound)) may miss by a rounding.
  if (unit <= 0) return parameter.least;
  if (unit >= 1) return parameter.most;
  const { low, high } = scaleOf(parameter);
  const place = low + unit * (high - low);
  const value = parameter.kind.startsWith('log') ? Math.exp(place) : place;
  const rounded = parameter.kind.endsWith('whole') ? Math.round(value) : value;
  // Adding 0 makes -0 a 0, which JSON would do later.
  return Math.min(Math.max(rounded, parameter.least), parameter.most) + 0;
}

/** @internal The place in [0, 1] of a number; for whole ones the middle of what is rounded to it. */
export function toUnit(parameter: NumberParameter, value: number): number {
  const { low, high } = scaleOf(parameter);
  return ((parameter.kind.startsWith('log') ? Math.log(value) : value) - low) / (high - low);
}

/** Whole numbers reach half a step beyond their bounds, so that rounding favours none of them. */
function scaleOf(parameter: NumberParameter): { low: number; high: number } {
  const margin = parameter.kind.endsWith('whole') ? 0.5 : 0;
  const [low, high] = [parameter.least - margin, parameter.most + margin];
  return parameter.kind.startsWith('log') ? { low: Math.log(low), high: Math.log(high) } : { low, high };
}

/**
 * @internal Reads values from data of unknown form.
 *
 * @throws RangeError when an active parameter has no sound value, or there is a value too many.
 */
export function readValues(space: SearchSpace, given: unknown, what: string): ParameterValues {
  const fields = fieldsOf(given, what);
  const read = chooseValues(space, (parameter) => {
    const value = Object.hasOwn(fields, parameter.name) ? fields[parameter.name] : undefined;
    if (!isValueOf(parameter, value)) {
      throw new RangeError(`${what}: ${shown(value)} is no value of the parameter ${parameter.name}`);
    }
    return value;
  });
  const extra = Object.keys(fields).find((name) => !Object.hasOwn(read, name));
  if (extra !== undefined)
    throw new RangeError(`${what}: ${extra} is no parameter, or not beside the others`);
  return read;
}

function isValueOf(parameter: Parameter, value: unknown): value is ParameterValue {
  if (parameter.kind === 'choice') return parameter.options.some((option) => option === value);
  if (typeof value !== 'number' || !(value >= parameter.least && value <= parameter.most)) return false;
  return !parameter.kind.endsWith('whole') || Number.isSafeInteger(value);
}
