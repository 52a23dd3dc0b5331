import {
  AS_OF_FIELD,
  compileExpression,
  type Evaluator,
  type ExpressionNode,
  type Feature,
  type Value,
  type Values,
} from '../../define/index.ts';
import { hashText } from './online/aggregators/hash.ts';

/** A feature that is an expression over others of its group, compiled. */
export interface ExpressionPlan {
  readonly place: number;
  readonly evaluate: Evaluator;
  /** Places of the features and parts that it is made of. */
  readonly places: readonly number[];
  /** Fields of the event being decided. */
  readonly fields: readonly string[];
  /** Those of them whose text itself is asked for. */
  readonly texts: readonly string[];
}

/** Before the name of a field: its text itself, which no field's name begins with. */
const TEXT = '=';

/** Compiles the expressions among a group's features and parts. */
export function expressionPlans(features: readonly Feature[]): ExpressionPlan[] {
  return features.flatMap((feature, place) => {
    if (feature.expression === undefined) return [];
    const expression = hashed(feature.expression);
    const names = [...new Set(fieldNames(expression))];
    return [
      {
        place,
        evaluate: compileExpression(expression),
        places: names.filter((name) => name.startsWith('#')).map((name) => Number(name.slice(1))),
        fields: names.filter((name) => !/^[#=]/.test(name) && name !== AS_OF_FIELD),
        texts: names.filter((name) => name.startsWith(TEXT)).map((name) => name.slice(TEXT.length)),
      },
    ];
  });
}

/** Evaluates a group's expressions over the values at their places in `output`, into it. */
export function evaluateExpressions(
  plans: readonly ExpressionPlan[],
  candidate: Values,
  asOf: number,
  output: (number | null)[],
): void {
  for (const { place, evaluate, places, fields, texts } of plans) {
    const values: Record<string, Value> = { [AS_OF_FIELD]: asOf };
    for (const part of places) values[`#${String(part)}`] = output[part] ?? null;
    for (const field of fields) {
      const value = candidate[field] ?? null;
      // The latest text of a window is known by its hash.
      values[field] = typeof value === 'string' ? hashText(value) : value;
    }
    for (const field of texts) values[`${TEXT}${field}`] = candidate[field] ?? null;
    const value = evaluate(values);
    output[place] = value === null ? null : Number(value);
  }
}

/** The expression with text literals by their hashes, as text is kept online. */
function hashed(node: ExpressionNode): ExpressionNode {
  if (node.op === 'literal' && typeof node.value === 'string')
    return { ...node, value: hashText(node.value) };
  if (node.op !== 'call') return node;
  const change = node.operator === 'code' ? asText : hashed;
  return { ...node, arguments: node.arguments.map((argument) => change(argument)) };
}

/** The expression over texts themselves: of a code's text nothing is an aggregate's value. */
function asText(node: ExpressionNode): ExpressionNode {
  if (node.op === 'field') return { ...node, name: `${TEXT}${node.name}` };
  if (node.op !== 'call') return node;
  return { ...node, arguments: node.arguments.map((argument) => asText(argument)) };
}

function fieldNames(node: ExpressionNode): string[] {
  if (node.op === 'field') return [node.name];
  return node.op === 'call' ? node.arguments.flatMap((argument) => fieldNames(argument)) : [];
}
