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
  /** Of sources with corrections: all records of an id, of which the reader says which counts. */
  readonly #records = new Map<string, ArchivedEvent[]>();
  readonly #outcomes = new Map<string, ArchivedEvent[]>();
  readonly #outcomeSources = new Set<string>();
  readonly #ids = new Set<string>();

  constructor(vector: VectorPlan) {
    this.#vector = vector;
  }

  /** Ids of all events that were added. */
  ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** Adds events of one source; `isCorrected`: whether it takes corrections. */
  addEvents(events: readonly ArchivedEvent[], isCorrected = false): void {
    const keys = new Set(this.#vector.groups.map(({ group }) => group.key));
    for (const item of events) {
      this.#ids.add(item.event.id);
      if (isCorrected) put(this.#records, recordText(item), item);
      if (item.source === this.#vector.candidate.source.name) put(this.#byId, item.event.id, item);
      for (const key of keys) put(this.#byKey, place(item.source, key, item.event.values[key]), item);
    }
  }

  /** Adds outcomes, which name events in the fields `on`. */
  addOutcomes(events: readonly ArchivedEvent[], on: ReadonlySet<string>): void {
    for (const item of events) {
      this.#outcomeSources.add(item.source);
      for (const field of on) put(this.#outcomes, String(item.event.values[field]), item);
    }
  }

  /** What matters to a vector read for this candidate: each source in the order of its log, those of outcomes last. */
  of(candidate: Event): ArchivedEvent[] {
    const events = new Map<string, ArchivedEvent>();
    const add = (found: readonly ArchivedEvent[] | undefined): void => {
      for (const item of found ?? []) events.set(placeText(item), item);
    };
    add(this.#byId.get(candidate.id));
    for (const { group } of this.#vector.groups)
      add(this.#byKey.get(place(group.from.source.name, group.key, candidate.values[group.key])));
    // A record of another key, or a deletion, which has no keys of groups, may take one of these away.
    const found = [...events.values()];
    for (const item of found) add(this.#records.get(recordText(item)));
    // A source of outcomes may have groups too: a record of it counts once, in its place.
    const targets = [...events.values()];
    for (const { event } of targets) add(this.#outcomes.get(event.id));
    const rank = ({ source }: ArchivedEvent): number => (this.#outcomeSources.has(source) ? 1 : 0);
    return [...events.values()].sort((left, right) => rank(left) - rank(right) || byPlace(left, right));
  }
}

function byPlace(left: ArchivedEvent, right: ArchivedEvent): number {
  if (left.source !== right.source) return left.source < right.source ? -1 : 1;
  return left.partition - right.partition || left.offset - right.offset;
}

function placeText({ source, partition, offset }: ArchivedEvent): string {
  return `${source} ${String(partition)} ${String(offset)}`;
}

function recordText({ source, partition, event }: ArchivedEvent): string {
  return `${source} ${String(partition)} ${event.id}`;
}

function place(source: string, field: string, value: unknown): string {
  return `${source} ${field} ${String(value)}`;
}

function put(map: Map<string, ArchivedEvent[]>, key: string, item: ArchivedEvent): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [item]);
  else known.push(item);
}
