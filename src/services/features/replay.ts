import {
  type Event,
  PlatformError,
  type Positions,
  positionSets,
  type RowPositions,
} from '../../contract/index.ts';
import type { ServiceHost, WarehouseSession } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { type ArchivedEvent, archivedEvents, eventsOfSql } from './offline/event-tables.ts';
import { identifier, literal } from './offline/sql.ts';
import { type OnlineState, vectorValues, wholeState } from './online/online-state.ts';
import type { FeaturesOptions } from './options.ts';
import type { Plan, SourcePlan, VectorPlan } from './plan.ts';
import { ReplayEvents } from './replay-events.ts';

/** How long a replay waits for the archive, in milliseconds. */
const ARCHIVE_WAIT_MS = 50_000;
/** A replay's state never drops an event. */
const KEEP_MS = 1e15;
/** Receipts whose events are fetched together. */
const RECEIPTS_PER_QUERY = 200;

/** What makes a served vector recomputable. */
export interface Receipt {
  readonly event: Event;
  readonly asOf: number;
  /** What each group was read at: by one owner or by several. */
  readonly at: RowPositions;
}

export interface ReplayOptions {
  /** Gives it up. */
  readonly signal?: AbortSignal;
  /** Nobody waits for it at this moment. Default false. */
  readonly isBackground?: boolean;
}

export interface ReplayedRow {
  readonly asOf: number;
  readonly values: (number | null)[];
}

/**
 * Recomputes served vectors: the online state's own class is fed from the archive with what was known at each receipt and
 * read at its instant. Equality with what was served is by construction, floating point included.
 */
export class Replay {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #archive: Archive;
  readonly #plan: Plan;

  constructor(host: ServiceHost<FeaturesOptions>, archive: Archive, plan: Plan) {
    this.#host = host;
    this.#archive = archive;
    this.#plan = plan;
  }

  /** In the order of the receipts. Rejects with DEADLINE_EXCEEDED when the archive does not get there, or `signal` is aborted. */
  async replay(
    vector: VectorPlan,
    receipts: readonly Receipt[],
    { signal, isBackground = false }: ReplayOptions = {},
  ): Promise<ReplayedRow[]> {
    const { clock, options } = this.#host;
    await this.#archive.reach(highest(receipts), ARCHIVE_WAIT_MS);
    await using session = await this.#host.warehouse.session({ isBackground });
    const rows: ReplayedRow[] = [];
    for (let first = 0; first < receipts.length; first += RECEIPTS_PER_QUERY) {
      const some = receipts.slice(first, first + RECEIPTS_PER_QUERY);
      const events = await this.#events(session, vector, some);
      let sliceStart = clock.monotonic();
      for (const receipt of some) {
        rows.push(this.#replayOne(vector, receipt, events.of(receipt.event)));
        if (clock.monotonic() - sliceStart < options.applySliceMs) continue;
        // Vector reads come in between.
        await clock.sleep(0);
        if (signal?.aborted === true) throw new PlatformError('DEADLINE_EXCEEDED', 'The replay was given up');
        sliceStart = clock.monotonic();
      }
    }
    return rows;
  }

  #replayOne(vector: VectorPlan, receipt: Receipt, stored: readonly ArchivedEvent[]): ReplayedRow {
    const { sets, setOf } = positionSets(receipt.at);
    if (sets.length === 1)
      return this.#stateAt(receipt.at.positions, stored).read(vector, receipt.event, receipt.asOf);
    const results: (readonly (number | null)[] | null)[] = vector.groups.map(() => null);
    for (const [set, positions] of sets.entries()) {
      const state = this.#stateAt(positions, stored);
      const read = state.readGroups(vector, receipt.event, receipt.asOf, (group) => setOf(group) === set);
      for (const [group, values] of read.entries()) if (values !== null) results[group] = values;
    }
    return { asOf: receipt.asOf, values: vectorValues(vector, receipt.event, results) };
  }

  /** The state as an owner had it that had applied everything below the positions. */
  #stateAt(positions: Positions, stored: readonly ArchivedEvent[]): OnlineState {
    const partitions = new Map(Object.entries(positions).map(([name, offsets]) => [name, offsets.length]));
    const state = wholeState(this.#plan, partitions, KEEP_MS);
    for (const item of stored) {
      if (item.offset >= (positions[item.source]?.[item.partition] ?? 0)) continue;
      state.apply(item.source, item.partition, item.offset, item.event);
    }
    return state;
  }

  /** The events of every key that a receipt reads, visible ones and what corrects them, and the outcomes that name them. */
  async #events(
    session: WarehouseSession,
    vector: VectorPlan,
    receipts: readonly Receipt[],
  ): Promise<ReplayEvents> {
    const positions = highest(receipts);
    const from = Math.min(...receipts.map((receipt) => receipt.asOf)) - this.#plan.horizonMs - 1;
    const events = new ReplayEvents(vector);
    const select = async (plan: SourcePlan, condition: string): Promise<ArchivedEvent[]> => {
      const { source } = plan;
      const rows = await this.#archive.rowsSql(plan);
      const known = { rows, positions: positions[source.name] ?? [], horizonMs: this.#plan.horizonMs };
      const sql = eventsOfSql(source, known, condition);
      return archivedEvents(source, await session.query(sql));
    };
    for (const plan of vector.sources) {
      const { source } = plan;
      const groups = vector.groups.filter((group) => group.group.from.source.name === source.name);
      const conditions = groups.map((group) => {
        const keys = new Set(receipts.map((receipt) => String(receipt.event.values[group.group.key])));
        return inSql(group.group.key, keys);
      });
      if (plan === vector.candidate)
        conditions.push(inSql(source.id, new Set(receipts.map(({ event }) => event.id))));
      if (conditions.length === 0) continue;
      const since = Number.isFinite(from) ? `${identifier(source.time)} >= ${String(from)} and ` : '';
      const found = await select(plan, `${since}(${conditions.join(' or ')})`);
      events.addEvents(found, source.corrections === true);
    }
    // Outcomes are selected by the events they name, which are known only now.
    const targets = events.ids();
    const outcomes = new Set(vector.groups.flatMap((group) => group.group.from.matured?.from.name ?? []));
    for (const name of outcomes) {
      const plan = this.#plan.sources.get(name);
      if (plan === undefined || targets.size === 0) continue;
      const on = new Set(plan.outcomes.map((label) => label.label.on));
      events.addOutcomes(await select(plan, [...on].map((field) => inSql(field, targets)).join(' or ')), on);
    }
    return events;
  }
}

function inSql(field: string, values: ReadonlySet<string>): string {
  return `${identifier(field)} in (${[...values].map((value) => literal(value)).join(', ')})`;
}

/** The highest position of each partition over all receipts. */
function highest(receipts: readonly Receipt[]): Positions {
  const result: Positions = {};
  for (const positions of receipts.flatMap(({ at }) => positionSets(at).sets)) {
    for (const [source, offsets] of Object.entries(positions)) {
      const known = (result[source] ??= []);
      for (const [partition, offset] of offsets.entries())
        known[partition] = Math.max(known[partition] ?? 0, offset);
    }
  }
  return result;
}
