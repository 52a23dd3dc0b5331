import { AS_OF_FIELD } from '../../../define/index.ts';
import { PLACE_SQL } from '../place.ts';
import type { FeaturePlan, GroupPlan, InputPlan } from '../plan.ts';
import { Totals, valueSql } from './aggregate-sql.ts';
import { knownSql, outcomesTable, positiveSql } from './outcomes.ts';
import { eventsTable, expressionSql, identifier } from './sql.ts';
import { visibleSql } from './visibility.ts';

/** How knowledge is cut: by one position for all rows (already cut in the event tables), or by each row's own. */
export type Knowledge = 'latest' | 'as-served';

/** Column of table `q` with the positions that a row was served at, by source. */
export function positionsColumn(source: string): string {
  return identifier(`positions_${source}`);
}

/** Column of table `q` with a field of the candidate. */
export function candidateColumn(field: string): string {
  return identifier(`candidate_${field}`);
}

/**
 * One statement that computes a group's features for every row of table `q` (or of `rows`, of the same form), into table
 * `group_<index>` (or `table`) with the columns `q, feature_0 ...`. Table q has the columns `q` (row number), `as_of`, `place` and `stored_at`
 * (place and event time of the stored candidate, or null) and {@link candidateColumn}s; as-served also
 * {@link positionsColumn}s. Semantics: docs/concepts/semantics.md, rules 4, 5 and 7.
 */
export function groupSql(
  plan: GroupPlan,
  candidateSource: string,
  knowledge: Knowledge,
  rows = 'q',
  table: string = groupTable(plan),
): string {
  const own = isOwn(plan, candidateSource);
  const { totals, values } = valuesOf(plan);
  const candidates = merges(plan, candidateSource) ? `union all ${candidatesSql(plan, rows)}` : '';
  return `create temp table ${table} as
with pairs as (${pairsSql(plan, own, knowledge, rows)}
  ${candidates}),
totals as (
  select ${['_q', ...totals.all.map((total) => totals.sql(total))].join(',\n    ')}
  from pairs where _passes group by _q
),
${featuresSql(plan, values, `${rows} q left join totals on totals._q = q.q`)}`;
}

/** Name of the table that {@link groupSql} makes. */
export function groupTable({ index }: GroupPlan): string {
  return identifier(`group_${String(index)}`);
}

/** Whether the group is of the source of the events being decided. */
export function isOwn({ group }: GroupPlan, candidateSource: string): boolean {
  return group.from.source.name === candidateSource;
}

/** Whether the candidate enters the group's windows. */
export function merges(plan: GroupPlan, candidateSource: string): boolean {
  const { from, candidate } = plan.group;
  return isOwn(plan, candidateSource) && from.matured === undefined && candidate === 'merge';
}

/** The values of a group's aggregates as SQL, and the totals that they are made of. */
export function valuesOf(plan: GroupPlan): { readonly totals: Totals; readonly values: readonly string[] } {
  const totals = new Totals(plan.group.closed);
  const values = plan.all.flatMap((item) =>
    item.feature.kind === 'expression' ? [] : [`${valueSql(item, totals)} as ${partColumn(item.place)}`],
  );
  return { totals, values };
}

/** The end of a statement `with`: the group's features from rows `q` and their totals. */
export function featuresSql(plan: GroupPlan, values: readonly string[], from: string): string {
  return `parts as (
  select q.*, ${values.join(',\n    ')}
  from ${from}
)
select ${['q', ...plan.features.map((item) => featureSql(item))].join(',\n  ')} from parts`;
}

/** Column with the value of an aggregate of the group: a feature or a part of an expression. */
function partColumn(place: number): string {
  return `_part_${String(place)}`;
}

/** A feature from the values of the group's aggregates and the candidate. */
function featureSql({ feature, place }: FeaturePlan): string {
  const column = `feature_${String(place)}`;
  if (feature.expression === undefined) return `${partColumn(place)} as ${column}`;
  const sql = expressionSql(feature.expression, (field) => {
    if (field === AS_OF_FIELD) return 'as_of';
    return field.startsWith('#') ? partColumn(Number(field.slice(1))) : candidateColumn(field);
  });
  return `${feature.inputType === 'boolean' ? `(${sql})::integer` : `(${sql})`}::double as ${column}`;
}

/**
 * Events within the longest window of each row, with their inputs as the row could know them. Names of our own begin with
 * `_`, which no field's name does.
 */
function pairsSql(plan: GroupPlan, own: boolean, knowledge: Knowledge, rows: string): string {
  const { group } = plan;
  const right = group.closed === 'right';
  const conditions = [
    `e._key = q.${candidateColumn(group.key)}`,
    `e._at ${right ? '>' : '>='} q.as_of - ${String(plan.windowMsMax)}`,
    rightEdgeSql(plan, 'e', 'q'),
    // The candidate enters explicitly; only a tile cannot leave out its stored record.
    ...(own && plan.keepsEvents ? ['e._place is distinct from q.place'] : []),
    ...(knowledge === 'as-served'
      ? visibleSql(group.from.source, 'e', `q.${positionsColumn(group.from.source.name)}[e._partition + 1]`)
      : []),
  ];
  const label = group.from.matured;
  const known = knowledge === 'as-served' && label ? `q.${positionsColumn(label.from.name)}` : undefined;
  return `
  select ${['_q', '_as_of', ...inputColumns(plan)].join(', ')}
  from (
    select q.q as _q, q.as_of as _as_of, e.*, ${labelColumns(plan, known)}
    from ${rows} q join ${groupEventsSql(plan)} e on ${conditions.join('\n      and ')}
  )`;
}

/** Whether an event of table `event` lies before the right edge of the windows of a row, which has `as_of` and `place`. */
export function rightEdgeSql({ group, delayMs }: GroupPlan, event: string, row: string): string {
  if (group.closed === 'left') return `${event}._at < ${row}.as_of`;
  // Among events at exactly as_of those before the candidate count; one that only matures now happened earlier.
  const before = delayMs > 0 ? 'true' : `${row}.place is null or ${event}._place < ${row}.place`;
  return `(${event}._at < ${row}.as_of or (${event}._at = ${row}.as_of and (${before})))`;
}

/** The events of a group's stream with key, instant and place, and the outcomes that name them. */
function groupEventsSql({ group, delayMs }: GroupPlan): string {
  const label = group.from.matured;
  return `(
      select events.*, ${identifier(group.key)} as _key, _time + ${String(delayMs)} as _at, ${PLACE_SQL} as _place
        ${label === undefined ? '' : ', outcomes.outcomes as _outcomes'}
      from ${eventsTable(group.from.source.name)} events
      ${label === undefined ? '' : `left join ${outcomesTable(label.name)} outcomes on outcomes.target = events._id`}
    )`;
}

/** Whether an event is positive, and whether it is known what it is. */
function labelColumns({ group, delayMs, horizonMs }: GroupPlan, knownBefore: string | undefined): string {
  const label = group.from.matured;
  if (label === undefined) return 'false as _positive';
  const reach = { maturity: 'e._at', spanMs: delayMs + horizonMs, knownBefore };
  const positive = `${positiveSql(label, 'e._outcomes', reach)} as _positive`;
  return label.confirmed === true
    ? `${positive}, ${knownSql('e._outcomes', reach)} as _known_outcome`
    : positive;
}

/** Instant, place and inputs of a group's event, and whether it passes the filter. */
function inputColumns(plan: GroupPlan): string[] {
  const { where, from } = plan.group;
  const field = (name: string): string => (name === from.matured?.name ? '_positive' : identifier(name));
  const passes = where === undefined ? 'true' : expressionSql(where, field);
  const isKnown = from.matured?.confirmed === true ? ' and _known_outcome' : '';
  return ['_at', '_place', `coalesce(${passes}, false)${isKnown} as _passes`, ...inputsSql(plan, field)];
}

/**
 * SQL of the events that pass the group's filter, with their inputs, where all that the event tables have is known: `_k` is the
 * number of the key in table `keys` (`_k`, `_key`), which leaves out the others.
 */
export function inputsOfEventsSql(plan: GroupPlan, keys: string): string {
  return `select * exclude (_passes) from (
  select ${['_k', ...inputColumns(plan)].join(', ')}
  from (
    select e.*, keys._k, ${labelColumns(plan, undefined)}
    from ${groupEventsSql(plan)} e join ${keys} keys on keys._key = e._key
  )
) where _passes`;
}

/**
 * The candidate of each row as one more event: later than all others. In tiles, one that is stored and lies in a tile already is
 * not merged a second time.
 */
export function candidatesSql(plan: GroupPlan, rows: string): string {
  const { where } = plan.group;
  const field = (name: string): string => `q.${candidateColumn(name)}`;
  const passes = where === undefined ? 'true' : `coalesce(${expressionSql(where, field)}, false)`;
  const columns = ['q.q', 'q.as_of', 'q.as_of', `${LATEST_PLACE}::bigint`, passes, ...inputsSql(plan, field)];
  return `
  select ${columns.join(', ')}
  from ${rows} q ${plan.keepsEvents ? '' : 'where q.place is null or q.stored_at >= q.as_of'}`;
}

/** No record lies behind it. */
const LATEST_PLACE = Number.MAX_SAFE_INTEGER;

/** The group's inputs in the order in which the plan numbers them: whole types as bigint, so that their sums are exact. */
function inputsSql(plan: GroupPlan, field: (name: string) => string): string[] {
  return plan.inputPlans.map((input, index) => `${inputSql(input, field)} as input_${String(index)}`);
}

function inputSql({ node, filter }: InputPlan, field: (name: string) => string): string {
  const sql = expressionSql(node, field);
  const value = node.type === 'boolean' ? `(${sql})::integer::bigint` : sql;
  return filter === undefined ? value : `(case when ${expressionSql(filter, field)} then ${value} end)`;
}
