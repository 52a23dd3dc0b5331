import { callSql, type Total } from './aggregate-sql.ts';

/**
 * What totals are made of when their events come in parts: tiles, runs of tiles, single events. Each total has a column with its
 * value over the part, and one with the order of that value where the parts decide by it. Merging is commutative and exact: sums
 * are of whole numbers (see `floatSumSql`), all else counts or chooses.
 */
export class Partials {
  readonly #totals: readonly Total[];

  constructor(totals: readonly Total[]) {
    this.#totals = totals;
  }

  /** Whether the totals can be had from parts at all. */
  static canMerge(totals: readonly Total[]): boolean {
    return totals.every(({ call }) => call.name !== 'list' && call.size === undefined);
  }

  /** The columns of a part, from events. */
  ofEvents(): string[] {
    return this.#totals.flatMap(({ call, condition }, index) => {
      const filter = condition === undefined ? '' : ` filter (where ${condition})`;
      const value = `${callSql(call)}${filter} as ${valueColumn(index)}`;
      return call.by === undefined
        ? [value]
        : [value, `${extreme(call.name)}(${call.by})${filter} as ${orderColumn(index)}`];
    });
  }

  /** The same from other parts; `over` names a window, `prefix` goes before the names of the columns. */
  ofParts(over: string, prefix: string): string[] {
    return this.#totals.flatMap((total, index) => {
      const value = `${mergeSql(total, index)} over ${over} as ${prefix}${valueColumn(index)}`;
      if (total.call.by === undefined) return [value];
      const order = orderColumn(index);
      return [value, `${extreme(total.call.name)}(${order}) over ${over} as ${prefix}${order}`];
    });
  }

  /** The names of the columns; those with `prefix` are given back without it. */
  columns(prefix = ''): string[] {
    return this.#totals
      .flatMap(({ call }, index) =>
        call.by === undefined ? [valueColumn(index)] : [valueColumn(index), orderColumn(index)],
      )
      .map((name) => (prefix === '' ? name : `${prefix}${name} as ${name}`));
  }

  /** The totals by their own names, from all of their parts. */
  totals(): string[] {
    return this.#totals.map((total, index) => `${mergeSql(total, index)} as ${total.column}`);
  }
}

function mergeSql({ call }: Total, index: number): string {
  const value = valueColumn(index);
  switch (call.name) {
    case 'count':
    case 'sum':
      return `sum(${value})`;
    case 'fsum':
    case 'min':
    case 'max':
      return `${call.name}(${value})`;
    case 'arg_min':
    case 'arg_max':
      return `${call.name}(${value}, ${orderColumn(index)})`;
    case 'list':
      throw new TypeError('A list cannot be merged from parts');
  }
}

function extreme(name: string): string {
  return name === 'arg_min' ? 'min' : 'max';
}

function valueColumn(index: number): string {
  return `p_${String(index)}`;
}

function orderColumn(index: number): string {
  return `o_${String(index)}`;
}
