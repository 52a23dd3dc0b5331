import { EVER_MS } from '../../../define/aggregate.ts';
import type { WarehouseSession } from '../../../runtime/index.ts';
import type { GroupPlan } from '../plan.ts';
import type { Total, Totals } from './aggregate-sql.ts';
import { Partials } from './partials.ts';
import {
  candidateColumn,
  candidatesSql,
  featuresSql,
  groupSql,
  groupTable,
  inputsOfEventsSql,
  isOwn,
  merges,
  rightEdgeSql,
  valuesOf,
} from './point-in-time.ts';
import { portionSql, portionsOf } from './portions.ts';
import { floorDivideSql } from './sql.ts';

/** A window that a feature looks back through; features of one length of window and tile share it. */
export type Window = Total['window'];

export interface StagedRequest {
  readonly plan: GroupPlan;
  /** Name of the source of the events being decided. */
  readonly candidate: string;
  /** Table of the rows, as in {@link groupSql}. */
  readonly rows: string;
  /** Which events of a row's key are joined with it: those near enough in time, or the newest alone. */
  readonly events: 'near' | 'newest';
  /** Windows whose events come from tiles instead. */
  readonly tiled: readonly Window[];
}

/** Tiles of a window without a length of its own: an exact window is cut into so many, one over everything into hours. */
const TILES_PER_WINDOW = 64;
const EVER_TILE_MS = 3_600_000;

/** The length of the tiles that a window's events are gathered in. */
export function tileMs({ windowMs, hopMs }: Window): number {
  if (windowMs === EVER_MS) return EVER_TILE_MS;
  return hopMs > 0 ? hopMs : Math.max(1, Math.floor(windowMs / TILES_PER_WINDOW));
}

/**
 * The same values as {@link groupSql} makes, in the same table, where everything in the event tables is known (`latest`), in several
 * statements: keys become numbers, the events of those keys are kept with nothing but their inputs, and each window is computed in the
 * way that suits it. Rows whose own record lies before their instant, which is left out of exact windows, are computed
 * by {@link groupSql}: no tile can leave it out.
 */
export async function stageGroup(session: WarehouseSession, request: StagedRequest): Promise<void> {
  const { totals } = valuesOf(request.plan);
  const portions = await portionsOf(session, request.rows, totals.all.length);
  for (const sql of new Staged(request).statements(portions)) await session.run(sql);
}

class Staged {
  readonly #request: StagedRequest;
  readonly #totals: Totals;
  readonly #values: readonly string[];
  /** What is to be dropped, in the order in which it was made. */
  #made: string[] = [];
  /** The rows that are computed here, and those of them that are at this moment. */
  readonly #main: string;
  readonly #rows: string;
  readonly #keys: string;
  readonly #inputs: string;
  readonly #asked: string;

  constructor(request: StagedRequest) {
    this.#request = request;
    const { totals, values } = valuesOf(request.plan);
    this.#totals = totals;
    this.#values = values;
    this.#main = this.#needsRest ? this.#name('main') : request.rows;
    this.#rows = this.#name('rows');
    this.#keys = this.#name('keys');
    this.#inputs = this.#name('inputs');
    this.#asked = this.#name('asked');
  }

  /** In their order. They leave nothing but the group's table. */
  *statements(portions: number): Generator<string, void, undefined> {
    yield* this.#prepare();
    const prepared = this.#made;
    for (let portion = 0; portion < portions; portion += 1) {
      this.#made = [];
      yield* this.#compute(portion, portions);
      yield* this.#drop();
    }
    if (this.#needsRest) yield* this.#computeRest();
    this.#made.unshift(...prepared);
    yield* this.#drop();
  }

  /** What all rows are computed from. */
  *#prepare(): Generator<string, void, undefined> {
    const { plan, rows, events } = this.#request;
    if (this.#needsRest)
      yield this.#view(this.#main, `select q.* from ${rows} q where not (${this.#isRest})`);
    yield this.#table(
      this.#keys,
      `select (row_number() over ())::integer as _k, _key from (
        select distinct ${this.#key} as _key from ${this.#main} q where ${this.#key} is not null)`,
    );
    yield this.#table(this.#inputs, inputsOfEventsSql(plan, this.#keys));
    if (events === 'newest') {
      for (const [input] of plan.inputPlans.entries())
        yield this.#table(this.#newest(input), newestSql(this.#inputs, input));
    }
    for (const { window, totals, name } of this.#tiled())
      yield this.#table(`${name}_runs`, runsSql(this.#inputs, window, new Partials(totals)));
  }

  /** The features of some rows: one in `portions`. */
  *#compute(portion: number, portions: number): Generator<string, void, undefined> {
    const { plan } = this.#request;
    yield this.#view(
      this.#rows,
      `select q.* from ${this.#main} q where ${portionSql('q.q', portion, portions)}`,
    );
    yield this.#table(
      this.#asked,
      `select q.q as _q, keys._k, q.as_of, q.place
      from ${this.#rows} q join ${this.#keys} keys on keys._key = q.${candidateColumn(plan.group.key)}`,
    );
    const tiled = this.#tiled();
    const parts = tiled.map(({ name }) => name);
    const near = this.#totals.all.filter((total) => !tiled.some(({ totals }) => totals.includes(total)));
    if (near.length > 0) {
      const columns = near.map((total) => this.#totals.sql(total));
      const name = this.#name('near');
      yield this.#table(
        name,
        `select ${['_q', ...columns].join(', ')} from (${this.#pairsSql(near)} ${this.#candidatesSql()}) where _passes group by _q`,
      );
      parts.push(name);
    }
    for (const item of tiled) yield* this.#gather(item);
    const joins = parts.map((name) => `left join ${name} on ${name}._q = q.q`);
    const features = `with ${featuresSql(plan, this.#values, `${this.#rows} q ${joins.join(' ')}`)}`;
    yield portion === 0
      ? `create temp table ${groupTable(plan)} as ${features}`
      : `insert into ${groupTable(plan)} ${features}`;
  }

  /** The features of rows that tiles cannot give. */
  *#computeRest(): Generator<string, void, undefined> {
    const { plan, candidate, rows } = this.#request;
    const rest = this.#name('rest');
    yield this.#table(rest, `select q.* from ${rows} q where ${this.#isRest}`);
    const table = this.#name('rest_group');
    yield groupSql(plan, candidate, 'latest', rest, table);
    this.#made.push(`table ${table}`);
    yield `insert into ${groupTable(plan)} select * from ${table}`;
  }

  /** The windows that come from tiles, with their totals and the name of the table for them. */
  #tiled(): TiledWindow[] {
    return this.#request.tiled.flatMap((window, index) => {
      const totals = this.#totals.all.filter((total) => isSame(window, total.window));
      return totals.length === 0 ? [] : [{ window, totals, name: this.#name(`tiled_${String(index)}`) }];
    });
  }

  /** The totals of a window: runs of tiles, the events at its edges, the candidate. */
  *#gather({ window, totals, name }: TiledWindow): Generator<string, void, undefined> {
    const partials = new Partials(totals);
    const { plan } = this.#request;
    const [spans, lasts, firsts] = [`${name}_spans`, `${name}_lasts`, `${name}_firsts`];
    const length = tileMs(window);
    const tileOf = (instant: string): string => floorDivideSql(instant, length);
    const columns = partials.columns();
    // Whole tiles are [_first, _end): before them lie events from _edge on, after them those up to the right edge.
    yield this.#table(
      spans,
      `select *, ${tileOf(`_edge + ${String(length - 1)}`)} as _first, ${tileOf('as_of')} as _end
      from (select *, ${this.#edgeSql(window)} as _edge from ${this.#asked})`,
    );
    yield this.#table(
      lasts,
      `select s._q, l._block, l._block * ${String(blockTiles(window))} >= s._first as _is_whole,
        ${partials.columns('to_').join(', ')}
      from ${spans} s asof join ${name}_runs l on l._k = s._k and l._tile < s._end where l._tile >= s._first`,
    );
    yield this.#table(
      firsts,
      `select s._q, f._block, ${partials.columns('from_').join(', ')}
      from ${spans} s asof join ${name}_runs f on f._k = s._k and f._tile >= s._first where f._tile < s._end`,
    );
    const event = ['s._q', 's.as_of', 'e._at', 'e._place', 'true as _passes', ...inputNames(plan, 'e')];
    const edge = (tile: string, condition: string): string =>
      `select ${event.join(', ')} from ${this.#inputs} e join ${spans} s
    on s._k = e._k and ${tile} = ${tileOf('e._at')} where ${condition}`;
    const head = edge('s._end', rightEdgeSql(plan, 'e', 's'));
    const tail = window.hopMs > 0 ? '' : `union all ${edge('s._first - 1', 'e._at >= s._edge')}`;
    yield this.#table(
      name,
      `select ${['_q', ...partials.totals()].join(', ')} from (
  select _q, ${columns.join(', ')} from ${lasts} where _is_whole
  union all
  select f._q, ${columns.map((column) => `f.${column}`).join(', ')} from ${firsts} f join ${lasts} l on l._q = f._q
    where not (l._is_whole and l._block = f._block)
  union all
  select _q, ${partials.ofEvents().join(', ')} from (${head} ${tail} ${this.#candidatesSql()})
  where _passes group by _q
) group by _q`,
    );
  }

  /** Pairs of a row and an event of its windows, as {@link groupSql} has them. */
  #pairsSql(totals: readonly Total[]): string {
    const { plan, events } = this.#request;
    const names = inputNames(plan, 'e');
    if (events === 'newest') {
      const used = plan.inputPlans.map((_, index) => this.#newestPairsSql(index, names.length));
      return used.join(' union all ');
    }
    // A window lies in two neighbouring stretches of time at most, so that key and stretch can be hashed.
    const length = Math.max(...totals.map(({ window }) => window.windowMs + window.hopMs));
    const stretch = (instant: string): string => floorDivideSql(instant, length);
    return `select ${['a._q', 'a.as_of as _as_of', 'e._at', 'e._place', 'true as _passes', ...names].join(', ')}
from (
  select *, unnest(range(${stretch(`as_of - ${String(length)}`)}, ${stretch('as_of')} + 1)) as _stretch from ${this.#asked}
) a join ${this.#inputs} e on e._k = a._k and ${stretch('e._at')} = a._stretch
  and e._at >= a.as_of - ${String(length)} and ${rightEdgeSql(plan, 'e', 'a')}`;
  }

  /** Each row with the newest event that has a value of the input. */
  #newestPairsSql(input: number, inputs: number): string {
    const { group } = this.#request.plan;
    const names = Array.from({ length: inputs }, (_, index) =>
      index === input ? `e.input_${String(input)}` : `null as input_${String(index)}`,
    );
    return `select ${['a._q', 'a.as_of as _as_of', 'e._at', 'e._place', 'true as _passes', ...names].join(', ')}
from ${this.#asked} a asof join ${this.#newest(input)} e
  on e._k = a._k and e._at ${group.closed === 'right' ? '<=' : '<'} a.as_of`;
  }

  /** The candidates as events more, if they are. */
  #candidatesSql(): string {
    const { plan, candidate } = this.#request;
    return merges(plan, candidate) ? `union all ${candidatesSql(plan, this.#rows)}` : '';
  }

  /** The first instant of a row's window. */
  #edgeSql({ windowMs, hopMs }: Window): string {
    const from = `as_of - ${String(windowMs)}`;
    if (hopMs > 0) return `${floorDivideSql(from, hopMs)} * ${String(hopMs)}`;
    return this.#request.plan.group.closed === 'right' ? `${from} + 1` : from;
  }

  get #needsRest(): boolean {
    const { plan, candidate } = this.#request;
    return plan.keepsEvents && isOwn(plan, candidate);
  }

  /** Whether the row's own record would lie in a window. */
  get #isRest(): string {
    const { delayMs } = this.#request.plan;
    return `q.place is not null and q.stored_at + ${String(delayMs)} ${delayMs > 0 ? '<=' : '<'} q.as_of`;
  }

  get #key(): string {
    return `q.${candidateColumn(this.#request.plan.group.key)}`;
  }

  #newest(input: number): string {
    return this.#name(`newest_${String(input)}`);
  }

  #name(table: string): string {
    return `${table}_${String(this.#request.plan.index)}`;
  }

  #table(name: string, sql: string): string {
    this.#made.push(`table ${name}`);
    return `create temp table ${name} as ${sql}`;
  }

  #view(name: string, sql: string): string {
    this.#made.push(`view ${name}`);
    return `create temp view ${name} as ${sql}`;
  }

  /** Drops what was made, the newest first. */
  *#drop(): Generator<string, void, undefined> {
    for (const made of this.#made.splice(0).reverse()) yield `drop ${made}`;
  }
}

interface TiledWindow {
  readonly window: Window;
  readonly totals: readonly Total[];
  readonly name: string;
}

/** So many tiles are in a block: as many as a window covers at least. */
function blockTiles(window: Window): number {
  return Math.floor(window.windowMs / tileMs(window));
}

/** By key and instant the value of an input; of several at one instant that of the last in the log. */
function newestSql(inputs: string, input: number): string {
  const name = `input_${String(input)}`;
  return `select _k, _at, max(_place) as _place, arg_max(${name}, _place) as ${name}
from ${inputs} where ${name} is not null group by _k, _at`;
}

/**
 * Tiles by key, each with two totals: of its block's tiles up to it, and from it on. A block has as many tiles as a window at
 * least covers, so that any window is the end of one block and the beginning of the next, or one of both: two look-ups, however many
 * events it has (van Herk 1992, for any total that merges; nothing is subtracted).
 */
function runsSql(inputs: string, window: Window, partials: Partials): string {
  const ofBlock = 'partition by _k, _block order by _tile rows between';
  return `with tiles as (
  select _k, ${floorDivideSql('_at', tileMs(window))} as _tile, ${partials.ofEvents().join(', ')} from ${inputs} group by all
),
blocks as (select *, ${floorDivideSql('_tile', blockTiles(window))} as _block from tiles)
select _k, _tile, _block,
  ${[...partials.ofParts('upto', 'to_'), ...partials.ofParts('onward', 'from_')].join(',\n  ')}
from blocks window upto as (${ofBlock} unbounded preceding and current row),
  onward as (${ofBlock} current row and unbounded following)`;
}

function inputNames({ inputPlans }: GroupPlan, table: string): string[] {
  return inputPlans.map((_, index) => `${table}.input_${String(index)}`);
}

export function isSame(left: Window, right: Window): boolean {
  return left.windowMs === right.windowMs && left.hopMs === right.hopMs;
}
