import type { Event } from '../../contract/index.ts';
import type { ArchivedEvent } from './offline/event-tables.ts';
import type { VectorPlan } from './plan.ts';

/**
 * Events that several receipts need, found again by receipt: each one's state is fed with its own keys' events alone, so that a
 * thousand receipts cost no more than a thousand times one.
 */
export class ReplayEvents {
  readonly #vector: VectorPlan;
  readonly #byKey = new Map<string, ArchivedEvent[]>();
  readonly #byId = new Map<string, ArchivedEvent[]>();
  readonly #outcomes = new Map<string, ArchivedEvent[]>();
  readonly #ids = new Set<string>();

  constructor(vector: VectorPlan) {
    this.#vector = vector;
  }

  /** Ids of all events that were added. */
  ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** Adds events of one source. */
  addEvents(events: readonly ArchivedEvent[]): void {
    const keys = new Set(this.#vector.groups.map(({ group }) => group.key));
    for (const item of events) {
      this.#ids.add(item.event.id);
      if (item.source === this.#vector.candidate.source.name) put(this.#byId, item.event.id, item);
      for (const key of keys) put(this.#byKey, place(item.source, key, item.event.values[key]), item);
    }
  }

  /** Adds outcomes, which name events in the fields `on`. */
  addOutcomes(events: readonly ArchivedEvent[], on: ReadonlySet<string>): void {
    for (const item of events)
      for (const field of on) put(this.#outcomes, String(item.event.values[field]), item);
  }

  /** What matters to a vector read for this candidate: outcomes last, each source in the order of its log. */
  of(candidate: Event): ArchivedEvent[] {
    const events = new Set(this.#byId.get(candidate.id) ?? []);
    for (const { group } of this.#vector.groups) {
      const found = this.#byKey.get(place(group.from.source.name, group.key, candidate.values[group.key]));
      for (const item of found ?? []) events.add(item);
    }
    const outcomes = new Set<ArchivedEvent>();
    for (const { event } of events) for (const item of this.#outcomes.get(event.id) ?? []) outcomes.add(item);
    return [...[...events].sort(byPlace), ...[...outcomes].sort(byPlace)];
  }
}

function byPlace(left: ArchivedEvent, right: ArchivedEvent): number {
  if (left.source !== right.source) return left.source < right.source ? -1 : 1;
  return left.partition - right.partition || left.offset - right.offset;
}

function place(source: string, field: string, value: unknown): string {
  return `${source} ${field} ${String(value)}`;
}

function put(map: Map<string, ArchivedEvent[]>, key: string, item: ArchivedEvent): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [item]);
  else known.push(item);
}
