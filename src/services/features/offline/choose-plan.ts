import type { WarehouseSession } from '../../../runtime/index.ts';
import type { GroupPlan } from '../plan.ts';
import { isReplayed } from './aggregate-sql.ts';
import { Partials } from './partials.ts';
import { candidateColumn, type Knowledge, valuesOf } from './point-in-time.ts';
import { eventsTable, identifier } from './sql.ts';
import { isSame, type Window } from './staged-group.ts';

/**
 * How a group's values are computed offline. All give the same values, to the bit.
 *
 * - `join`: one statement, each row with all events of its key.
 * - `near`: each row with the events of its key that are near enough in time.
 * - `newest`: each row with the newest event of its key alone.
 * - `tiles`: long windows from tiles, the others as `near`.
 * - `replay`: the online class, for aggregates without SQL.
 */
export type Method = 'join' | 'near' | 'newest' | 'tiles' | 'replay';

export interface ChosenPlan {
  readonly method: Method;
  /** Of `tiles`: windows that come from tiles. */
  readonly tiled: readonly Window[];
  /** What it was chosen by; not counted where there is no choice. */
  readonly statistics?: GroupStatistics;
}

/** What the choice depends on. */
export interface GroupStatistics {
  readonly rows: number;
  /** Events of keys that some row has. */
  readonly events: number;
  readonly keys: number;
  /** Events of the key that has most. */
  readonly hottestKeyEvents: number;
  /** Events that a row's key has, over all rows. */
  readonly eventsPerRow: number;
  /** From the first event to the last, in milliseconds. */
  readonly spanMs: number;
}

/** From so many events in a window on, over all rows, it comes from tiles: fewer would have a tile each. */
const TILED_EVENTS_MIN = 100;
/** From so many events of a row's key on, over all rows, events are looked for by their time too. What each way costs: decision 0036. */
const NEAR_EVENTS_MIN = 150;

/** Chooses by what the data is like; as-served rows know what each of them knew, which only a join can say. */
export async function choosePlan(
  session: WarehouseSession,
  plan: GroupPlan,
  knowledge: Knowledge,
  rows: string,
): Promise<ChosenPlan> {
  if (plan.all.some((item) => isReplayed(item))) return { method: 'replay', tiled: [] };
  if (knowledge === 'as-served') return { method: 'join', tiled: [] };
  const statistics = await countGroup(session, plan, rows);
  return { ...methodFor(plan, statistics), statistics };
}

function methodFor(plan: GroupPlan, statistics: GroupStatistics): Omit<ChosenPlan, 'statistics'> {
  const { eventsPerRow, spanMs } = statistics;
  const perRow = ({ windowMs, hopMs }: Window): number =>
    eventsPerRow * Math.min(1, (windowMs + hopMs) / Math.max(1, spanMs));
  const windows = windowsOf(plan);
  if (eventsPerRow < NEAR_EVENTS_MIN) return { method: 'join', tiled: [] };
  if (isLatestOnly(plan)) return { method: 'newest', tiled: [] };
  const tiled = mergeableWindows(plan).filter((window) => perRow(window) >= TILED_EVENTS_MIN);
  if (tiled.length > 0) return { method: 'tiles', tiled };
  const longest = Math.max(...windows.map(perRow));
  return { method: longest < eventsPerRow / 2 ? 'near' : 'join', tiled: [] };
}

/** The ways in which a group can be computed where everything is known, each over all of its windows. */
export function possiblePlans(plan: GroupPlan): ChosenPlan[] {
  if (plan.all.some((item) => isReplayed(item))) return [{ method: 'replay', tiled: [] }];
  const tiled = mergeableWindows(plan);
  return [
    { method: 'join', tiled: [] },
    { method: 'near', tiled: [] },
    ...(isLatestOnly(plan) ? [{ method: 'newest', tiled: [] } as const] : []),
    ...(tiled.length > 0 ? [{ method: 'tiles', tiled } as const] : []),
  ];
}

/**
 * Whether every value is that of the newest event. Where a window is closed on the right, which of the events at its end are in it
 * depends on the row's own place in the log, and an ASOF join has one inequality only.
 */
function isLatestOnly({ all, group, delayMs }: GroupPlan): boolean {
  const isExact = group.closed === 'left' || delayMs > 0;
  return isExact && all.every(({ feature }) => feature.kind === 'last' || feature.kind === 'expression');
}

function windowsOf({ all }: GroupPlan): Window[] {
  const windows: Window[] = [];
  for (const { feature } of all) {
    if (feature.kind === 'expression' || windows.some((window) => isSame(window, feature))) continue;
    windows.push({ windowMs: feature.windowMs, hopMs: feature.hopMs });
  }
  return windows;
}

/** Windows all of whose totals can be merged from tiles. */
function mergeableWindows(plan: GroupPlan): Window[] {
  const { totals } = valuesOf(plan);
  return windowsOf(plan).filter((window) =>
    Partials.canMerge(totals.all.filter((total) => isSame(window, total.window))),
  );
}

async function countGroup(
  session: WarehouseSession,
  plan: GroupPlan,
  rows: string,
): Promise<GroupStatistics> {
  const key = identifier(plan.group.key);
  const result = await session.query(`with asked as (
  select ${candidateColumn(plan.group.key)} as key, count(*) as rows from ${rows} group by 1
),
counted as (
  select ${key} as key, count(*) as events, min(_time) as first, max(_time) as last
  from ${eventsTable(plan.group.from.source.name)} group by 1
)
select (select sum(rows) from asked)::double as rows, sum(events)::double as events, count(*) as keys,
  max(events) as hottest, sum(rows * events)::double as pairs, max(last) - min(first) as span
from asked join counted using (key)`);
  const number = (name: string): number => {
    const value = Number(result.columns.get(name)?.[0] ?? 0);
    return Number.isFinite(value) ? value : 0;
  };
  const asked = number('rows');
  return {
    rows: asked,
    events: number('events'),
    keys: number('keys'),
    hottestKeyEvents: number('hottest'),
    eventsPerRow: asked === 0 ? 0 : number('pairs') / asked,
    spanMs: number('span'),
  };
}
