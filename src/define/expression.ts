import type { ExpressionNode, Operator, ValueType } from './tree.ts';

export type { ExpressionNode, Operator, ValueType };

type Literal<TType extends ValueType> = TType extends 'boolean'
  ? boolean
  : TType extends 'string'
    ? string
    : number;
type Operand<TType extends ValueType> = Expression<TType> | Literal<TType>;
type Ordered = 'number' | 'money' | 'timestamp';

/**
 * A typed expression over the fields of an event. It is data, not a closure: the online engine runs it as JavaScript
 * and the offline engine as SQL, with equal results. Null in any operand makes null, except in `or` defaults.
 */
export class Expression<TType extends ValueType = ValueType> {
  readonly node: ExpressionNode;
  /** Only for the compiler: keeps expressions of different types apart. */
  declare readonly valueType: TType;

  constructor(node: ExpressionNode) {
    this.node = node;
  }

  plus(this: Expression<'number'>, other: Operand<'number'>): Expression<'number'>;
  plus(this: Expression<'money'>, other: Operand<'money'>): Expression<'money'>;
  plus(
    this: Expression<'number'> | Expression<'money'>,
    other: Expression | number,
  ): Expression<'number' | 'money'> {
    return call('add', this.node.type as 'number', [this, operand(this, other)]);
  }

  minus(this: Expression<'number'>, other: Operand<'number'>): Expression<'number'>;
  minus(this: Expression<'money'>, other: Operand<'money'>): Expression<'money'>;
  minus(
    this: Expression<'number'> | Expression<'money'>,
    other: Expression | number,
  ): Expression<'number' | 'money'> {
    return call('subtract', this.node.type as 'number', [this, operand(this, other)]);
  }

  times(this: Expression<'number'>, other: Operand<'number'>): Expression<'number'> {
    return call('multiply', 'number', [this, operand(this, other)]);
  }

  /** Division; by zero it is null, never an infinity. */
  dividedBy(this: Expression<'number'>, other: Operand<'number'>): Expression<'number'> {
    return call('divide', 'number', [this, operand(this, other)]);
  }

  greaterThan<T extends Ordered>(this: Expression<T>, other: Operand<T>): Expression<'boolean'> {
    return call('greater', 'boolean', [this, operand(this, other)]);
  }

  atLeast<T extends Ordered>(this: Expression<T>, other: Operand<T>): Expression<'boolean'> {
    return call('greaterOrEqual', 'boolean', [this, operand(this, other)]);
  }

  lessThan<T extends Ordered>(this: Expression<T>, other: Operand<T>): Expression<'boolean'> {
    return call('less', 'boolean', [this, operand(this, other)]);
  }

  atMost<T extends Ordered>(this: Expression<T>, other: Operand<T>): Expression<'boolean'> {
    return call('lessOrEqual', 'boolean', [this, operand(this, other)]);
  }

  equals(other: Operand<TType>): Expression<'boolean'> {
    return call('equal', 'boolean', [this, operand(this, other)]);
  }

  and(this: Expression<'boolean'>, other: Expression<'boolean'>): Expression<'boolean'> {
    return call('and', 'boolean', [this, other]);
  }

  or(this: Expression<'boolean'>, other: Expression<'boolean'>): Expression<'boolean'> {
    return call('or', 'boolean', [this, other]);
  }

  not(this: Expression<'boolean'>): Expression<'boolean'> {
    return call('not', 'boolean', [this]);
  }

  /** The value, or `fallback` where it is null. */
  orElse(fallback: Literal<TType>): Expression<TType> {
    return call('ifNull', this.node.type as TType, [this, operand(this, fallback)], decimalsOf(this.node));
  }

  /** Money in its main unit (5716 cents become 57.16), a boolean as 0 or 1, a timestamp in milliseconds. */
  toNumber(this: Expression<'money' | 'boolean' | 'timestamp' | 'number'>): Expression<'number'> {
    return this.node.type === 'number'
      ? (this as Expression<'number'>)
      : call('toNumber', 'number', [this], decimalsOf(this.node));
  }
}

/** Hour of the day, 0 to 23, in UTC. */
export function hourOfDay(time: Expression<'timestamp'>): Expression<'number'> {
  return call('hourOfDay', 'number', [time]);
}

/** Day of the week, 0 = Monday to 6 = Sunday, in UTC. */
export function dayOfWeek(time: Expression<'timestamp'>): Expression<'number'> {
  return call('dayOfWeek', 'number', [time]);
}

/** Whether the instant lies on a Saturday or Sunday, in UTC. */
export function isWeekend(time: Expression<'timestamp'>): Expression<'boolean'> {
  return dayOfWeek(time).atLeast(5);
}

/** Name of {@link asOf} among the fields; no field of a source begins with `_`. */
export const AS_OF_FIELD = '_asOf';

/** The instant of the read, in a group's expressions over {@link Aggregate.value}s only. */
export function asOf(): Expression<'timestamp'> {
  return new Expression({ op: 'field', name: AS_OF_FIELD, type: 'timestamp' });
}

/** The absolute value. */
export function absolute(value: Expression<'number'>): Expression<'number'> {
  return call('absolute', 'number', [value]);
}

/** Decimal places of a money expression; `undefined` for other types. */
export function decimalsOf(node: ExpressionNode): number | undefined {
  return node.op === 'field' || node.op === 'call' ? node.decimals : undefined;
}

function call<TType extends ValueType>(
  operator: Operator,
  type: TType,
  operands: readonly Expression[],
  decimals?: number,
): Expression<TType> {
  const places = decimals ?? (type === 'money' ? moneyDecimals(operands) : undefined);
  return new Expression<TType>({
    op: 'call',
    operator,
    type,
    arguments: operands.map((operandExpression) => operandExpression.node),
    ...(places === undefined ? {} : { decimals: places }),
  });
}

function moneyDecimals(operands: readonly Expression[]): number | undefined {
  const places = operands.map((item) => decimalsOf(item.node)).filter((item) => item !== undefined);
  if (new Set(places).size > 1) throw new TypeError('Money of different decimal places cannot be combined');
  return places[0];
}

/** Turns a literal beside `left` into an expression of the same type; money literals are given in the main unit. */
function operand(left: Expression, right: Expression | number | boolean | string): Expression {
  if (right instanceof Expression) {
    const [a, b] = [decimalsOf(left.node), decimalsOf(right.node)];
    if (left.node.type === 'money' && a !== b) {
      throw new TypeError('Money of different decimal places cannot be compared');
    }
    return right;
  }
  if (typeof right === 'number' && !Number.isFinite(right)) {
    throw new TypeError(`A literal in an expression is finite; got ${String(right)}`);
  }
  const { type } = left.node;
  if (type !== 'money') return new Expression({ op: 'literal', value: right, type });
  const unit = 10 ** (decimalsOf(left.node) ?? 0);
  const minor = Math.round(Number(right) * unit);
  if (minor / unit !== right) {
    throw new TypeError(`Money here has ${String(Math.log10(unit))} decimals; got ${String(right)}`);
  }
  return new Expression({ op: 'literal', value: minor, type });
}
