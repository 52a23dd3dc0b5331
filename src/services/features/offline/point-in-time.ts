import type { ExpressionNode } from '../../../define/index.ts';
import { PLACE_SQL } from '../place.ts';
import type { FeaturePlan, GroupPlan } from '../plan.ts';
import { expressionSql, identifier } from './sql.ts';

/** How many times a place fits below one millisecond in the order (time, place). */
const TIME_FACTOR = '9007199254740992::hugeint';

/** How knowledge is cut: by one position for all rows (already cut in the event tables), or by each row's own. */
export type Knowledge = 'latest' | 'as-served';

/** Name of the table of a source's visible events: first record of each id, cut at the dataset's positions. */
export function eventsTable(source: string): string {
  return identifier(`events_${source}`);
}

/** Name of the table that lists, for each labelled event, the outcomes that name it. */
export function outcomesTable(label: string): string {
  return identifier(`outcomes_${label}`);
}

/** Column of table `q` with the positions that a row was served at, by source. */
export function positionsColumn(source: string): string {
  return identifier(`positions_${source}`);
}

/** Column of table `q` with a field of the candidate. */
export function candidateColumn(field: string): string {
  return identifier(`candidate_${field}`);
}

/**
 * SQL of the outcomes of a label by event: a list of (time, partition, offset). One statement, and few rows: outcomes
 * are rare beside events.
 */
export function outcomesSql(label: string, from: string, on: string): string {
  return `create temp table ${outcomesTable(label)} as
select ${identifier(on)} as target, list({'t': _time, 'p': _partition, 'o': _offset}) as outcomes
from ${eventsTable(from)} group by 1`;
}

/** SQL that is true when an outcome before the maturity is known, for outcomes `list` and rows of table `row`. */
export function positiveSql(list: string, maturity: string, knownBefore: string | undefined): string {
  const known = knownBefore === undefined ? '' : ` and x.o < ${knownBefore}[x.p + 1]`;
  return `(case when ${list} is null then false
    else len(list_filter(${list}, lambda x: x.t < ${maturity}${known})) > 0 end)`;
}

/**
 * One statement that computes a group's features for every row of table `q` (or of `rows`, of the same form), into table `group_<index>` with the columns
 * `q, feature_0 ...`. Table q has the columns `q` (row number), `as_of`, `place` and `stored_at` (place and event time of the
 * stored candidate, or null) and {@link candidateColumn}s; as-served also {@link positionsColumn}s. Semantics: docs/concepts/semantics.md, rules 4, 5
 * and 7.
 */
export function groupSql(plan: GroupPlan, candidateSource: string, knowledge: Knowledge, rows = 'q'): string {
  const { group } = plan;
  const own = group.from.source.name === candidateSource;
  const merge = own && group.from.matured === undefined && group.candidate === 'merge';
  const features = plan.features.map((feature, index) => ({ feature, index }));
  return `create temp table ${identifier(`group_${String(plan.index)}`)} as
with pairs as (${pairsSql(plan, own, knowledge, rows)}),
totals as (
  select _q, ${features.map(({ feature, index }) => totalsSql(feature, index, group.closed)).join(',\n    ')}
  from pairs where _passes group by _q
)
select q.q, ${features
    .map(({ feature, index }) => `${finishSql(plan, feature, index, merge)} as feature_${String(index)}`)
    .join(',\n  ')}
from ${rows} q left join totals on totals._q = q.q`;
}

/**
 * Events within the longest window of each row, with their inputs as the row could know them. Names of our own begin with
 * `_`, which no field's name does.
 */
function pairsSql(plan: GroupPlan, own: boolean, knowledge: Knowledge, rows: string): string {
  const { group } = plan;
  const label = group.from.matured;
  const right = group.closed === 'right';
  // Among events at exactly as_of those before the candidate count; one that only matures now happened earlier.
  const before = plan.delayMs > 0 ? 'true' : 'q.place is null or e._place < q.place';
  const conditions = [
    `e._key = q.${candidateColumn(group.key)}`,
    `e._at ${right ? '>' : '>='} q.as_of - ${String(plan.windowMsMax)}`,
    right ? `(e._at < q.as_of or (e._at = q.as_of and (${before})))` : 'e._at < q.as_of',
    // The candidate enters explicitly; only a tile cannot leave out its stored record.
    ...(own && group.exact ? ['e._place is distinct from q.place'] : []),
    ...(knowledge === 'as-served'
      ? [`e._offset < q.${positionsColumn(group.from.source.name)}[e._partition + 1]`]
      : []),
  ];
  const known = knowledge === 'as-served' && label ? `q.${positionsColumn(label.from.name)}` : undefined;
  const positive = label === undefined ? 'false' : positiveSql('e._outcomes', 'e._at', known);
  const field = (name: string): string => (name === label?.name ? '_positive' : identifier(name));
  const where = group.where === undefined ? 'true' : expressionSql(group.where, field);
  const inputs = distinctInputs(plan).map(
    (node, index) => `${numericSql(node, expressionSql(node, field))} as input_${String(index)}`,
  );
  return `
  select ${['_q', '_as_of', '_at', '_place', `coalesce(${where}, false) as _passes`, ...inputs].join(', ')}
  from (
    select q.q as _q, q.as_of as _as_of, e.*, ${positive} as _positive
    from ${rows} q join (
      select events.*, ${identifier(group.key)} as _key, _time + ${String(plan.delayMs)} as _at, ${PLACE_SQL} as _place
        ${label === undefined ? '' : ', outcomes.outcomes as _outcomes'}
      from ${eventsTable(group.from.source.name)} events
      ${label === undefined ? '' : `left join ${outcomesTable(label.name)} outcomes on outcomes.target = events._id`}
    ) e on ${conditions.join('\n      and ')}
  )`;
}

/** The group's distinct inputs, in the order in which the plan numbers them. */
function distinctInputs(plan: GroupPlan): ExpressionNode[] {
  const inputs: ExpressionNode[] = [];
  for (const { feature, input } of plan.features) {
    if (input === inputs.length && feature.input !== undefined) inputs.push(feature.input);
  }
  return inputs;
}

/** An input as a number: whole types as bigint, so that their sums are exact. */
function numericSql(node: ExpressionNode, sql: string): string {
  return node.type === 'boolean' ? `(${sql})::integer::bigint` : sql;
}

function totalsSql(plan: FeaturePlan, index: number, closed: 'left' | 'right'): string {
  const { feature, input } = plan;
  const from = `(_as_of - ${String(feature.windowMs)})`;
  const hop = String(feature.hopMs);
  const edge = feature.hopMs === 0 ? from : `${from} - (((${from} % ${hop}) + ${hop}) % ${hop})`;
  // The right edge is cut by the join.
  const inside = `_at ${closed === 'right' ? '>' : '>='} ${edge}`;
  const within = `filter (where ${inside})`;
  const column = `input_${String(input)}`;
  const [count, value] = [`n_${String(index)}`, `v_${String(index)}`];
  const counted = `count(${column}) ${within} as ${count}`;
  switch (feature.kind) {
    case 'count':
      return `count(*) ${within} as ${count}`;
    case 'sum':
    case 'mean':
      return `${counted}, ${plan.whole ? 'sum' : 'fsum'}(${column}) ${within} as ${value}`;
    case 'min':
    case 'max':
      return `${counted}, ${feature.kind}(${column}) ${within} as ${value}`;
    case 'last': {
      const latest = `arg_max(${column}, _at::hugeint * ${TIME_FACTOR} + _place::hugeint)`;
      return `${counted}, ${latest} filter (where ${inside} and ${column} is not null) as ${value}`;
    }
  }
}

/** The feature's value: the candidate merged where it is to be, fallbacks, money in its main unit. */
function finishSql(group: GroupPlan, plan: FeaturePlan, index: number, merge: boolean): string {
  const { feature } = plan;
  const suffix = String(index);
  const count = `coalesce(n_${suffix}, 0)`;
  const passes = mergedPassesSql(group, merge);
  if (feature.kind === 'count') return `(${count} + (${passes})::integer)::double`;
  const candidate = mergedInputSql(feature.input, merge);
  const present = `(${passes} and ${candidate} is not null)`;
  const value = `v_${suffix}`;
  const total = `(coalesce(${value}, 0) + (case when ${present} then ${candidate} else 0 end))::double`;
  const unit = `1e${String(feature.decimals)}`;
  const empty = feature.fallback === undefined ? 'null' : `${String(feature.fallback)}::double`;
  switch (feature.kind) {
    case 'sum':
      return `(${total} / ${unit})`;
    case 'mean': {
      const counted = `(${count} + ${present}::integer)`;
      return `(case when ${counted} = 0 then ${empty} else ${total} / ${counted}::double / ${unit} end)`;
    }
    case 'min':
      return `coalesce(least(${value}, case when ${present} then ${candidate} end)::double / ${unit}, ${empty})`;
    case 'max':
      return `coalesce(greatest(${value}, case when ${present} then ${candidate} end)::double / ${unit}, ${empty})`;
    case 'last':
      return `coalesce((case when ${present} then ${candidate} else ${value} end)::double / ${unit}, ${empty})`;
  }
}

function mergedPassesSql(group: GroupPlan, merge: boolean): string {
  if (!merge) return 'false';
  const { where, exact } = group.group;
  const passes =
    where === undefined
      ? 'true'
      : `coalesce(${expressionSql(where, (field) => `q.${candidateColumn(field)}`)}, false)`;
  return exact ? passes : `(${passes} and (q.place is null or q.stored_at >= q.as_of))`;
}

function mergedInputSql(input: ExpressionNode | undefined, merge: boolean): string {
  if (!merge || input === undefined) return 'null::bigint';
  return numericSql(
    input,
    expressionSql(input, (field) => `q.${candidateColumn(field)}`),
  );
}
