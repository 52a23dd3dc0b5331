import { codeOf } from './code.ts';
import type { ExpressionNode, Operator } from './expression.ts';

/** A value while an expression is evaluated; null means missing. Never NaN or an infinity. */
export type Value = number | boolean | string | null;

/** Values of an event by field name, in the forms of {@link Value}. */
export type Values = Readonly<Record<string, Value>>;

/** A compiled expression. */
export type Evaluator = (values: Values) => Value;

/**
 * Compiles an expression to a JavaScript function. SQL for the same tree is made by the features service; a property
 * test holds the two equal.
 */
export function compileExpression(node: ExpressionNode): Evaluator {
  switch (node.op) {
    case 'field': {
      const { name } = node;
      return (values) => values[name] ?? null;
    }
    case 'literal': {
      const { value } = node;
      return () => value;
    }
    case 'call':
      return compileCall(node);
    case 'aggregate':
      throw new TypeError(`The value of ${node.spec.kind} is known only to expressions of a feature group`);
  }
}

function compileCall(node: Extract<ExpressionNode, { op: 'call' }>): Evaluator {
  const operands = node.arguments.map((argument) => compileExpression(argument));
  const [first, second] = operands;
  if (first === undefined) throw new TypeError(`${node.operator} needs an argument`);
  if (node.operator === 'ifNull') {
    return (values) => first(values) ?? second?.(values) ?? null;
  }
  if (node.operator === 'category') {
    const places = new Map(node.arguments.slice(1).map((item, place) => [literalOf(item), place]));
    return (values) => places.get(first(values)) ?? null;
  }
  if (second === undefined) {
    const apply = unary(node.operator, 10 ** (node.decimals ?? 0));
    return (values) => {
      const value = first(values);
      return value === null ? null : apply(value);
    };
  }
  const apply = binary(node.operator);
  return (values) => {
    const left = first(values);
    if (left === null) return null;
    const right = second(values);
    return right === null ? null : apply(left, right);
  };
}

function literalOf(node: ExpressionNode): Value {
  if (node.op !== 'literal') throw new TypeError('Categories are literals');
  return node.value;
}

const DAY_MS = 86_400_000;
/** 1970-01-01 was a Thursday: day 3 when Monday is day 0. */
const EPOCH_DAY_OF_WEEK = 3;

function unary(operator: Operator, unit: number): (value: number | boolean | string) => Value {
  switch (operator) {
    case 'not':
      return (value) => value !== true;
    case 'toNumber':
      return (value) => Number(value) / unit;
    case 'hourOfDay':
      return (value) => Math.floor(modulo(Number(value), DAY_MS) / 3_600_000);
    case 'dayOfWeek':
      return (value) => modulo(Math.floor(Number(value) / DAY_MS) + EPOCH_DAY_OF_WEEK, 7);
    case 'absolute':
      return (value) => Math.abs(Number(value));
    case 'code':
      return (value) => codeOf(String(value));
    case 'add':
    case 'subtract':
    case 'multiply':
    case 'divide':
    case 'greater':
    case 'greaterOrEqual':
    case 'less':
    case 'lessOrEqual':
    case 'equal':
    case 'and':
    case 'or':
    case 'ifNull':
    case 'element':
    case 'category':
      throw new TypeError(`${operator} takes two arguments`);
  }
}

type Known = number | boolean | string;

function binary(operator: Operator): (left: Known, right: Known) => Value {
  switch (operator) {
    case 'add':
      return (left, right) => finite(Number(left) + Number(right));
    case 'subtract':
      return (left, right) => finite(Number(left) - Number(right));
    case 'multiply':
      return (left, right) => finite(Number(left) * Number(right));
    case 'divide':
      return (left, right) => (right === 0 ? null : finite(Number(left) / Number(right)));
    case 'greater':
      return (left, right) => left > right;
    case 'greaterOrEqual':
      return (left, right) => left >= right;
    case 'less':
      return (left, right) => left < right;
    case 'lessOrEqual':
      return (left, right) => left <= right;
    case 'equal':
      return (left, right) => left === right;
    case 'and':
      return (left, right) => left === true && right === true;
    case 'or':
      return (left, right) => left === true || right === true;
    case 'element':
      return elementReader();
    case 'not':
    case 'toNumber':
    case 'hourOfDay':
    case 'dayOfWeek':
    case 'absolute':
    case 'code':
    case 'category':
    case 'ifNull':
      throw new TypeError(`${operator} does not take two arguments`);
  }
}

/** Reads elements of embeddings, whose values are JSON text. All elements of one are asked for in a row: it is parsed once. */
function elementReader(): (left: Known, right: Known) => Value {
  return (left, right) => {
    if (left !== latestText) {
      latestElements = JSON.parse(String(left)) as number[];
      latestText = String(left);
    }
    return latestElements[Number(right)] ?? null;
  };
}

let latestText = '';
let latestElements: readonly number[] = [];

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
