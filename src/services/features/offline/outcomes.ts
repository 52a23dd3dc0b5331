import type { LabelDefinition } from '../../../define/index.ts';
import { eventsTable, expressionSql, identifier } from './sql.ts';

/** Name of the table that lists, for each labelled event, the outcomes that name it. */
export function outcomesTable(label: string): string {
  return identifier(`outcomes_${label}`);
}

/**
 * SQL of the outcomes of a label by event: a list of (time, partition, offset), of a label with `confirmed` also whether the
 * outcome meets the condition. Without `confirmed` one that does not is left out. One statement, and few rows: outcomes
 * are rare beside events.
 */
export function outcomesSql({ name, from, on, where, confirmed }: LabelDefinition): string {
  const meets = where === undefined ? 'true' : `coalesce(${expressionSql(where, identifier)}, false)`;
  const isKept = confirmed === true;
  return `create temp table ${outcomesTable(name)} as
select ${identifier(on)} as target, list({'t': _time, 'p': _partition, 'o': _offset${isKept ? `, 'w': ${meets}` : ''}}) as outcomes
from ${eventsTable(from.name)}${isKept || where === undefined ? '' : ` where ${meets}`} group by 1`;
}

/** Which outcomes of an event count. */
export interface OutcomeReach {
  /** SQL of the instant before which they lie. */
  readonly maturity: string;
  /** How long before it at most, in milliseconds: the maturity's own time and the horizon. */
  readonly spanMs: number;
  /** SQL of the positions that cut them. Default: all are known. */
  readonly knownBefore?: string | undefined;
}

/** SQL that is true when one of the outcomes in `list` makes the event positive. */
export function positiveSql({ confirmed }: LabelDefinition, list: string, reach: OutcomeReach): string {
  return anySql(list, reach, confirmed === true ? ' and x.w' : '');
}

/** SQL that is true when there is an outcome in `list`, whatever it says. */
export function knownSql(list: string, reach: OutcomeReach): string {
  return anySql(list, reach, '');
}

function anySql(list: string, { maturity, spanMs, knownBefore }: OutcomeReach, condition: string): string {
  const known = knownBefore === undefined ? '' : ` and x.o < ${knownBefore}[x.p + 1]`;
  return `(case when ${list} is null then false
    else len(list_filter(${list}, lambda x: x.t < ${maturity} and x.t >= ${maturity} - ${String(spanMs)}${known}${condition})) > 0 end)`;
}
