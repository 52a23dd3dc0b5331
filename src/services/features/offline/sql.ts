import type { ExpressionNode, Field, ValueType } from '../../../define/index.ts';
import type { ColumnType } from '../../../runtime/index.ts';

/** A name as an SQL identifier. Names of definitions have letters, digits and `_` only. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Name of the table of a source's visible events: first record of each id, cut at the dataset's positions. */
export function eventsTable(source: string): string {
  return identifier(`events_${source}`);
}

/** A string as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A whole number divided by a positive one and rounded down, also below 0. */
export function floorDivideSql(value: string, divisor: number): string {
  const by = String(divisor);
  return `(((${value}) - ((((${value}) % ${by}) + ${by}) % ${by})) // ${by})`;
}

/** The column type that holds a field's values: the forms of `Event.values`. */
export function columnType(field: Field): ColumnType {
  switch (field.kind) {
    case 'id':
    case 'key':
    case 'text':
    case 'embedding':
      return 'string';
    case 'timestamp':
    case 'money':
      return 'int64';
    case 'number':
    case 'integer':
      return 'float64';
    case 'boolean':
      return 'boolean';
  }
}

/**
 * An expression as SQL, equal to `compileExpression` in value: null in an operand makes null (also for `and` and `or`,
 * unlike SQL's own), results that are no finite number are null. `column` gives the SQL of a field.
 */
export function expressionSql(node: ExpressionNode, column: (field: string) => string): string {
  switch (node.op) {
    case 'field':
      return column(node.name);
    case 'literal':
      return literalSql(node.value, node.type);
    case 'call':
      return callSql(
        node,
        node.arguments.map((argument) => expressionSql(argument, column)),
      );
    case 'aggregate':
      throw new TypeError(`The value of ${node.spec.kind} is known only to expressions of a feature group`);
  }
}

function literalSql(value: number | boolean | string, type: ValueType): string {
  if (typeof value === 'string') return literal(value);
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return type === 'number' ? `${String(value)}::double` : `${String(value)}::bigint`;
}

function callSql(node: Extract<ExpressionNode, { op: 'call' }>, operands: readonly string[]): string {
  const [a = 'null', b = 'null'] = operands;
  switch (node.operator) {
    case 'add':
      return arithmetic(node.type, `(${a} + ${b})`);
    case 'subtract':
      return arithmetic(node.type, `(${a} - ${b})`);
    case 'multiply':
      return arithmetic(node.type, `(${a} * ${b})`);
    case 'divide':
      return arithmetic(node.type, `(${a} / nullif(${b}, 0))`);
    case 'greater':
      return `(${a} > ${b})`;
    case 'greaterOrEqual':
      return `(${a} >= ${b})`;
    case 'less':
      return `(${a} < ${b})`;
    case 'lessOrEqual':
      return `(${a} <= ${b})`;
    case 'equal':
      return `(${a} = ${b})`;
    case 'and':
      return `(case when ${a} is not null and ${b} is not null then ${a} and ${b} end)`;
    case 'or':
      return `(case when ${a} is not null and ${b} is not null then ${a} or ${b} end)`;
    case 'not':
      return `(not ${a})`;
    case 'ifNull':
      return `coalesce(${a}, ${b})`;
    case 'toNumber':
      return toNumberSql(node, a);
    case 'hourOfDay':
      return `floor((((${a} % 86400000) + 86400000) % 86400000) / 3600000.0)::double`;
    case 'dayOfWeek':
      return `((((floor(${a} / 86400000.0)::bigint + 3) % 7) + 7) % 7)::double`;
    case 'absolute':
      return `abs(${a})`;
    case 'code':
      // DuckDB hashes the UTF-8 too; 13 hexadecimal digits are the first 52 bits.
      return `('0x' || substr(sha256(${a}), 1, 13))::bigint::double`;
    case 'category': {
      const places = operands.slice(1).map((item, place) => `when ${item} then ${String(place)}`);
      return `(case ${a} ${places.join(' ')} end)::double`;
    }
    case 'element':
      return `((${a})::double[])[(${b})::bigint + 1]`;
  }
}

function toNumberSql(node: Extract<ExpressionNode, { op: 'call' }>, operand: string): string {
  const argument = node.arguments[0];
  if (argument?.type === 'boolean') return `(${operand})::integer::double`;
  return node.decimals === undefined
    ? `(${operand})::double`
    : `((${operand})::double / 1e${String(node.decimals)})`;
}

function arithmetic(type: ValueType, sql: string): string {
  return type === 'number' ? `(case when isfinite(${sql}) then ${sql} end)` : sql;
}
