import { type Event, type Positions, positionSets, type RowPositions } from '../../contract/index.ts';
import type { ServiceHost, WarehouseSession } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { type ArchivedEvent, archivedEvents, eventsSql } from './offline/event-tables.ts';
import { eventsTable } from './offline/point-in-time.ts';
import { identifier, literal } from './offline/sql.ts';
import { type OnlineState, vectorValues, wholeState } from './online/online-state.ts';
import type { FeaturesOptions } from './options.ts';
import type { Plan, SourcePlan, VectorPlan } from './plan.ts';

/** How long a replay waits for the archive, in milliseconds. */
const ARCHIVE_WAIT_MS = 50_000;
/** A replay's state never drops an event. */
const KEEP_MS = 1e15;

/** What makes a served vector recomputable. */
export interface Receipt {
  readonly event: Event;
  readonly asOf: number;
  /** What each group was read at: by one owner or by several. */
  readonly at: RowPositions;
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

  async replay(
    vector: VectorPlan,
    receipts: readonly Receipt[],
  ): Promise<{ asOf: number; values: (number | null)[] }[]> {
    const needed = highest(receipts);
    await this.#archive.reach(needed, ARCHIVE_WAIT_MS);
    await using session = await this.#host.warehouse.session();
    const stored = await this.#events(session, vector, receipts, needed);
    return receipts.map((receipt) => this.#replayOne(vector, receipt, stored));
  }

  #replayOne(
    vector: VectorPlan,
    receipt: Receipt,
    stored: readonly ArchivedEvent[],
  ): { asOf: number; values: (number | null)[] } {
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

  /** The visible events of every key that a receipt reads, and the outcomes that name them, in the order of the log. */
  async #events(
    session: WarehouseSession,
    vector: VectorPlan,
    receipts: readonly Receipt[],
    positions: Positions,
  ): Promise<ArchivedEvent[]> {
    const from = Math.min(...receipts.map((receipt) => receipt.asOf)) - this.#plan.horizonMs - 1;
    const stored: ArchivedEvent[] = [];
    const outcomeSources = new Set(
      vector.groups.flatMap((group) => group.group.from.matured?.from.name ?? []),
    );
    for (const plan of vector.sources) {
      const rows = await this.#archive.rowsSql(plan);
      await session.run(eventsSql(plan.source, rows, positions[plan.source.name] ?? []));
      const groups = vector.groups.filter((group) => group.group.from.source.name === plan.source.name);
      const conditions = groups.map((group) => {
        const keys = new Set(receipts.map((receipt) => String(receipt.event.values[group.group.key])));
        return `${identifier(group.group.key)} in (${[...keys].map((key) => literal(key)).join(', ')})`;
      });
      const ids = receipts.map((receipt) => literal(receipt.event.id));
      if (plan === vector.candidate) conditions.push(`_id in (${ids.join(', ')})`);
      if (conditions.length === 0) continue;
      stored.push(
        ...(await this.#select(session, plan, `_time >= ${String(from)} and (${conditions.join(' or ')})`)),
      );
    }
    // Outcomes are selected by the events they name, which are known only now.
    const targets = [...new Set(stored.map((item) => item.event.id))];
    for (const name of outcomeSources) {
      const plan = this.#plan.sources.get(name);
      if (plan === undefined || targets.length === 0) continue;
      const list = targets.map((target) => literal(target)).join(', ');
      const on = new Set(plan.outcomes.map((label) => label.label.on));
      const condition = [...on].map((field) => `${identifier(field)} in (${list})`).join(' or ');
      stored.push(...(await this.#select(session, plan, condition)));
    }
    return stored;
  }

  async #select(session: WarehouseSession, plan: SourcePlan, condition: string): Promise<ArchivedEvent[]> {
    const { source } = plan;
    const result = await session.query(
      `select * from ${eventsTable(source.name)} where ${condition} order by _partition, _offset`,
    );
    return archivedEvents(source, result);
  }
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
