import type { Source, Value, Values } from '../../../define/index.ts';
import type { ColumnValues, ResultColumns, WarehouseSession } from '../../../runtime/index.ts';
import { type Candidate, ExactGroup } from '../online/exact-group.ts';
import { TiledGroup } from '../online/tiled-group.ts';
import { placeOf } from '../place.ts';
import type { GroupPlan, SourcePlan } from '../plan.ts';
import { type ArchivedEvent, archivedEvents } from './event-tables.ts';
import { outcomesTable } from './outcomes.ts';
import { candidateColumn, type Knowledge, positionsColumn } from './point-in-time.ts';
import { eventsTable, identifier } from './sql.ts';

const PORTION_EVENTS = 200_000;
/** Other work is let in after so many events or rows. */
const TURN = 2_000;

/** What a replay takes of a {@link GroupRequest}. */
export interface ReplayRequest {
  readonly group: GroupPlan;
  readonly candidate: SourcePlan;
  readonly knowledge: Knowledge;
  readonly rows: string;
  readonly pause: () => Promise<void>;
  readonly portionEvents?: number;
}

/**
 * Computes a group's features for every row, as `groupSql` describes it, by the online class itself, fed with the events that each row could know. Keys are taken in portions, and within one
 * rows in the order of their instants; rows that knew less than others before them get a state of their own.
 */
export async function replayGroup(session: WarehouseSession, request: ReplayRequest): Promise<void> {
  const { group } = request;
  const table = `group_${String(group.index)}`;
  const events = eventsTable(group.group.from.source.name);
  const counted = await session.query(`select count(*) as events from ${events}`);
  const total = Number(counted.columns.get('events')?.[0] ?? 0);
  const portions = Math.max(1, Math.ceil(total / (request.portionEvents ?? PORTION_EVENTS)));
  const appender = await session.append(table, [
    { name: 'q', type: 'int64' },
    ...group.features.map((_, index) => ({ name: `feature_${String(index)}`, type: 'float64' as const })),
  ]);
  for (let portion = 0; portion < portions; portion += 1) {
    const inPortion = (key: string): string => `hash(${key}) % ${String(portions)} = ${String(portion)}`;
    const feed = await readFeed(session, request, inPortion);
    const lanes: Lane[] = [];
    for (const [index, row] of (await readRows(session, request, inPortion)).entries()) {
      if (index % TURN === 0) await request.pause();
      let lane = lanes.find((item) => item.precedes(row));
      if (lane === undefined) lanes.push((lane = new Lane(group, feed)));
      appender.row([row.q, ...lane.read(row)]);
    }
  }
  await appender.close();
}

/** What a portion of keys is fed with, by partition of the log and in its order. */
interface Feed {
  readonly events: readonly (readonly ArchivedEvent[])[];
  /** By partition of the outcome. */
  readonly marks: readonly (readonly Mark[])[];
  /** What corrections and deletions replace, by partition; a place is that of the correction. */
  readonly removals: readonly (readonly Removal[])[];
}

/** An event that has to go once the record at this place is known. */
interface Removal extends Place {
  /** Of the event. */
  readonly event: Place;
  readonly time: number;
}

/** An outcome that says something of an event: both have a place in the log. */
interface Mark extends Place {
  readonly verdict: 'positive' | 'negative';
  /** Of the event. */
  readonly event: Place;
  readonly maturity: number;
}

interface Place {
  readonly partition: number;
  readonly offset: number;
}

interface Row {
  readonly q: number;
  readonly asOf: number;
  readonly key: string;
  readonly candidate: Candidate;
  /** Positions of the group's source and of its outcomes; undefined when everything is known. */
  readonly known: readonly number[] | undefined;
  readonly knownOutcomes: readonly number[] | undefined;
}

/** A state of the group on its way through the log, and the rows that are read from it. */
class Lane {
  readonly #plan: GroupPlan;
  readonly #feed: Feed;
  readonly #exact: ExactGroup | undefined;
  readonly #tiled: TiledGroup | undefined;
  #clock = Number.NEGATIVE_INFINITY;
  #known: readonly number[] | undefined = [];
  #knownOutcomes: readonly number[] | undefined = [];
  /** By partition: how many were taken in. */
  readonly #nextEvents: number[] = [];
  readonly #nextMarks: number[] = [];
  readonly #nextRemovals: number[] = [];
  #waiting: Mark[] = [];

  constructor(plan: GroupPlan, feed: Feed) {
    this.#plan = plan;
    this.#feed = feed;
    if (plan.keepsEvents) this.#exact = new ExactGroup(plan);
    else this.#tiled = new TiledGroup(plan);
  }

  /** Whether the state knows nothing that the row did not. */
  precedes(row: Row): boolean {
    return covers(row.known, this.#known) && covers(row.knownOutcomes, this.#knownOutcomes);
  }

  read(row: Row): (number | null)[] {
    this.#learn(row);
    const output: (number | null)[] = [];
    // Rows come in the order of their instants, and no event at or after the clock is in a tile.
    if (row.asOf > this.#clock) this.#clock = row.asOf;
    this.#tiled?.advance(this.#clock);
    (this.#exact ?? this.#tiled)?.read(row.key, row.asOf, row.candidate, output);
    return output;
  }

  /** Takes in what the row knew and the state does not. */
  #learn({ known, knownOutcomes }: Row): void {
    if (known === this.#known && knownOutcomes === this.#knownOutcomes) return;
    take(this.#feed.events, this.#nextEvents, known, (item) => this.#add(item));
    take(this.#feed.removals, this.#nextRemovals, known, ({ event, time }) =>
      this.#exact?.remove(time + this.#plan.delayMs, placeOf(event.partition, event.offset)),
    );
    take(this.#feed.marks, this.#nextMarks, knownOutcomes, (mark) => this.#waiting.push(mark));
    // An outcome may be known before its event is.
    this.#waiting = this.#waiting.filter((mark) => {
      if (!knows(known, mark.event)) return true;
      this.#exact?.mark(mark.maturity, placeOf(mark.event.partition, mark.event.offset), mark.verdict);
      return false;
    });
    this.#known = known;
    this.#knownOutcomes = knownOutcomes;
  }

  #add({ partition, offset, event }: ArchivedEvent): void {
    const { group, delayMs } = this.#plan;
    const key = String(event.values[group.key]);
    const time = event.time + delayMs;
    const place = placeOf(partition, offset);
    const verdict = group.from.matured?.confirmed === true ? 'unknown' : 'negative';
    this.#exact?.add(key, time, place, event.values, verdict, Number.NEGATIVE_INFINITY);
    this.#tiled?.add(key, time, place, event.values, this.#clock);
  }
}

/** Whether `known` (everything when undefined) holds all that `other` does. */
function covers(known: readonly number[] | undefined, other: readonly number[] | undefined): boolean {
  if (known === undefined || known === other) return true;
  return other !== undefined && other.every((offset, partition) => offset <= (known[partition] ?? 0));
}

function knows(known: readonly number[] | undefined, place: Place): boolean {
  return known === undefined || place.offset < (known[place.partition] ?? 0);
}

/** Visits what is known of lists by partition, each in the order of its offsets, and was not visited before. */
function take<TItem extends Place>(
  lists: readonly (readonly TItem[])[],
  next: number[],
  known: readonly number[] | undefined,
  visit: (item: TItem) => void,
): void {
  for (const [partition, list] of lists.entries()) {
    let at = next[partition] ?? 0;
    for (let item = list[at]; item !== undefined && knows(known, item); item = list[at]) {
      visit(item);
      at += 1;
    }
    next[partition] = at;
  }
}

/** Lists by partition, in the order in which the items come. */
function byPartition<TItem extends Place>(items: readonly TItem[]): TItem[][] {
  const lists: TItem[][] = Array.from(
    { length: 1 + items.reduce((most, item) => Math.max(most, item.partition), -1) },
    () => [],
  );
  for (const item of items) lists[item.partition]?.push(item);
  return lists;
}

async function readFeed(
  session: WarehouseSession,
  { group: { group, horizonMs } }: ReplayRequest,
  inPortion: (key: string) => string,
): Promise<Feed> {
  const { source, matured } = group.from;
  const key = identifier(group.key);
  const result = await session.query(
    `select * from ${eventsTable(source.name)} where ${inPortion(key)} order by _partition, _offset`,
  );
  const archived = archivedEvents(source, result);
  const events = byPartition(archived);
  const removals = byPartition(removalsOf(archived, result));
  if (matured === undefined) return { events, marks: [], removals };
  const maturity = `e._time + ${String(matured.maturesAfterMs)}`;
  const isPositive = matured.confirmed === true ? 'outcome.w' : 'true';
  const marks =
    await session.query(`select * exclude (outcome), outcome.p as p, outcome.o as o, ${isPositive} as w from (
      select e._partition, e._offset, ${maturity} as maturity, unnest(o.outcomes) as outcome
      from ${eventsTable(source.name)} e join ${outcomesTable(matured.name)} o on o.target = e._id
      where ${inPortion(`e.${key}`)}
    ) where outcome.t < maturity and outcome.t >= maturity - ${String(matured.maturesAfterMs + horizonMs)} order by p, o`);
  const column = (name: string): ColumnValues => marks.columns.get(name) ?? [];
  return {
    events,
    removals,
    marks: byPartition(
      Array.from({ length: marks.rows }, (_, index) => ({
        partition: Number(column('p')[index]),
        offset: Number(column('o')[index]),
        event: { partition: Number(column('_partition')[index]), offset: Number(column('_offset')[index]) },
        maturity: Number(column('maturity')[index]),
        verdict: column('w')[index] === true ? ('positive' as const) : ('negative' as const),
      })),
    ),
  };
}

/** In the order of the corrections. */
function removalsOf(events: readonly ArchivedEvent[], result: ResultColumns): Removal[] {
  const until = result.columns.get('_until');
  if (until === undefined) return [];
  const removals = events.flatMap((item, row): Removal[] => {
    const offset = Number(until[row] ?? Number.NaN);
    if (Number.isNaN(offset)) return [];
    const { partition, event } = item;
    return [{ partition, offset, event: { partition, offset: item.offset }, time: event.time }];
  });
  return removals.sort((left, right) => left.offset - right.offset);
}

async function readRows(
  session: WarehouseSession,
  request: ReplayRequest,
  inPortion: (key: string) => string,
): Promise<Row[]> {
  const { group, candidate, knowledge, rows } = request;
  const { source, matured } = group.group.from;
  const own = source.name === candidate.source.name;
  const key = candidateColumn(group.group.key);
  const served = knowledge === 'as-served';
  const columns = [
    'q',
    'as_of',
    'place',
    'stored_at',
    ...Object.keys(candidate.source.fields).map((name) => candidateColumn(name)),
    ...(served ? [`${positionsColumn(source.name)}::varchar as _known`] : []),
    ...(served && matured !== undefined
      ? [`${positionsColumn(matured.from.name)}::varchar as _known_outcomes`]
      : []),
  ];
  const result = await session.query(
    `select ${columns.join(', ')} from ${rows} where ${inPortion(key)} order by as_of, q`,
  );
  const number = (name: string, row: number): number => Number(result.columns.get(name)?.[row] ?? Number.NaN);
  const positions = positionReader(result);
  return Array.from({ length: result.rows }, (_, row) => {
    const values = candidateValues(candidate.source, result, row);
    const place = number('place', row);
    const stored = !Number.isNaN(place);
    return {
      q: number('q', row),
      asOf: number('as_of', row),
      key: String(values[group.group.key]),
      candidate: {
        values,
        sequence: stored ? place : Number.POSITIVE_INFINITY,
        time: stored ? number('stored_at', row) : Number(values[candidate.source.time]),
        own,
      },
      known: positions('_known', row),
      knownOutcomes: positions('_known_outcomes', row),
    };
  });
}

/** Positions of a row; rows that were read together have the same array. */
function positionReader(result: ResultColumns): (name: string, row: number) => readonly number[] | undefined {
  const read = new Map<string, readonly number[]>();
  return (name, row) => {
    const text = result.columns.get(name)?.[row];
    if (typeof text !== 'string') return undefined;
    let positions = read.get(text);
    if (positions === undefined) read.set(text, (positions = JSON.parse(text) as number[]));
    return positions;
  };
}

function candidateValues(source: Source, result: ResultColumns, row: number): Values {
  const values: Record<string, Value> = {};
  for (const name of Object.keys(source.fields)) {
    const value = result.columns.get(`candidate_${name}`)?.[row] ?? null;
    // Numbers come with NaN for null.
    values[name] = typeof value === 'number' && Number.isNaN(value) ? null : value;
  }
  return values;
}
