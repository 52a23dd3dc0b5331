import type { Event } from '../../../contract/index.ts';
import type { Value } from '../../../define/index.ts';
import type { FeaturePlan, GroupPlan } from '../plan.ts';
import { placeOf } from '../place.ts';
import type { Mismatch } from './compare.ts';
import { expressionsOfFeature, fieldsOf } from './expressions.ts';
import type { Arrival, Read } from './play.ts';
import type { Step } from './stream.ts';

/** A failure for people: what happened, what was read, the three values, and the rules that the case touches. */
export interface FailureCase {
  /** The value of the vector: a feature of the group, or an expression over the candidate. */
  readonly feature: string;
  readonly online: number | null;
  readonly sql: number | null;
  readonly replay: number | null;
  /** Who stands alone against the other two. */
  readonly apart: 'online' | 'sql' | 'replay' | 'all';
  readonly asOf: number;
  /** What the feature sees: event times from `from` on, until asOf. Absent for an expression. */
  readonly window?: { readonly from: number; readonly windowMs: number; readonly hopMs: number };
  /** Next offsets of each partition that were known, by source. */
  readonly known: Readonly<Record<string, readonly number[]>>;
  /** All that happened up to the read, in order, and what came after it, where that matters. */
  readonly rows: readonly CaseRow[];
  /** What of the semantics is concerned, as far as the case shows it. */
  readonly rules: readonly CaseRule[];
}

export interface CaseRow {
  readonly what: string;
  /** When it happened, milliseconds UTC. */
  readonly at: number;
  readonly source?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly id?: string;
  readonly time?: number;
  readonly key?: string;
  /** The fields that the feature looks at. */
  readonly fields?: Readonly<Record<string, Value>>;
  readonly notes: readonly string[];
}

export interface CaseRule {
  /** Number in docs/concepts/semantics.md. */
  readonly rule: number;
  readonly why: string;
}

/** Makes a failure readable. It should be small already. */
export function explain(mismatch: Mismatch): FailureCase {
  return new Explanation(mismatch).toCase();
}

const ORDERED_KINDS: ReadonlySet<string> = new Set(['first', 'last', 'firstK', 'lastK']);

class Explanation {
  readonly #mismatch: Mismatch;
  readonly #read: Read;
  readonly #group: GroupPlan | undefined;
  /** Index of the feature in its group. */
  readonly #feature: number;
  readonly #from: number;
  readonly #rules = new Map<string, CaseRule>();

  constructor(mismatch: Mismatch) {
    this.#mismatch = mismatch;
    this.#read = mismatch.read;
    const value = this.#read.vector.values[mismatch.index];
    this.#group = value?.from === 'group' ? this.#read.vector.groups[value.group] : undefined;
    this.#feature = value?.from === 'group' ? value.index : -1;
    const feature = this.#group?.features[this.#feature]?.feature;
    const tail = this.#read.asOf - (feature?.windowMs ?? 0);
    const hopMs = feature?.hopMs ?? 0;
    this.#from = hopMs === 0 ? tail : Math.floor(tail / hopMs) * hopMs;
  }

  toCase(): FailureCase {
    const { online, sql, replay, index } = this.#mismatch;
    const { vector, asOf, instant } = this.#read;
    const rows = this.#rows();
    const feature = this.#group?.features[this.#feature]?.feature;
    const isEmptied = [online, sql, replay].some((value) => value === null);
    if (isEmptied) this.#rule(7, 'null against a value: what an empty window or a null input gives');
    const step = this.#mismatch.played.stream.steps[this.#read.step];
    if ((step !== undefined && step.back > 0) || this.#isBehind())
      this.#rule(9, "the reader's clock was behind another");
    if (asOf > instant) this.#rule(9, 'the read was asked for at an instant that the clock had passed');
    if (isRounding(online, sql) && isRounding(online, replay))
      this.#rule(8, 'the values differ by little: a sum that is rounded another way');
    if (this.#parts().some(({ feature }) => ORDERED_KINDS.has(feature.kind)) && rows.length > 1)
      this.#rule(7, 'the order of events decides the value');
    const isAlone = !rows.some(({ what }) => what === 'append');
    if (this.#rules.size === 0 || isAlone)
      this.#rule(7, 'nothing stands out among the events: what the aggregate gives');
    if (isAlone) this.#rule(4, 'there is nothing but the candidate, which enters explicitly');
    const positions = this.#group === undefined ? this.#read.positions[0] : this.#positions();
    return {
      feature: vector.names[index] ?? String(index),
      online,
      sql,
      replay,
      apart: apart(online, sql, replay),
      asOf,
      ...(feature === undefined
        ? {}
        : { window: { from: this.#from, windowMs: feature.windowMs, hopMs: feature.hopMs } }),
      known: positions ?? {},
      rows,
      rules: [...this.#rules.values()].sort((left, right) => left.rule - right.rule),
    };
  }

  #rows(): CaseRow[] {
    const { played } = this.#mismatch;
    const arrivals = new Map(played.arrivals.map((item) => [item.step, item]));
    const reads = new Map(played.reads.map((item) => [item.step, item]));
    const rows: CaseRow[] = [];
    let at = Number.NaN;
    for (const [index, step] of played.stream.steps.entries()) {
      const arrival = arrivals.get(index);
      const read = index === this.#read.step ? this.#read : reads.get(index);
      at = arrival?.appendedAt ?? (read === undefined ? at : read.instant + step.back);
      if (arrival !== undefined) rows.push(this.#arrivalRow(arrival));
      else if (read !== undefined) rows.push(this.#readRow(read, at));
      else {
        const move = index > this.#read.step ? undefined : moveText(step);
        if (move === undefined) continue;
        if (step.what === 'restart' || step.what === 'finish')
          this.#rule(11, 'state was restored or handed over');
        rows.push({ what: move, at, notes: [] });
      }
    }
    return rows;
  }

  #arrivalRow(arrival: Arrival): CaseRow {
    const { source, partition, offset, event, appendedAt } = arrival;
    return {
      what: 'append',
      at: appendedAt,
      source,
      partition,
      offset,
      id: event.id,
      ...(event.deleted === true ? {} : { time: event.time }),
      ...this.#keyOf(event),
      ...(event.deleted === true ? {} : { fields: this.#fieldsOf(event) }),
      notes: this.#notes(arrival),
    };
  }

  #readRow(read: Read, at: number): CaseRow {
    const notes = read === this.#read ? ['this read'] : [];
    if (read.asOf > read.instant) notes.push(`answered ${String(read.asOf - read.instant)} ms later`);
    const stored = this.#mismatch.played.arrivals.some(
      (item) => item.source === read.vector.candidate.source.name && item.event.id === read.event.id,
    );
    if (read === this.#read) this.#noteInput(read.event, notes);
    if (stored && read === this.#read) {
      notes.push('the candidate is stored');
      this.#rule(4, 'the candidate is stored: it enters once');
    }
    return {
      what: 'read',
      at: Number.isNaN(at) ? read.instant : at,
      source: read.vector.candidate.source.name,
      id: read.event.id,
      time: read.event.time,
      ...this.#keyOf(read.event),
      fields: this.#fieldsOf(read.event),
      notes,
    };
  }

  #notes(arrival: Arrival): string[] {
    const notes: string[] = [];
    const note = (rule: number, text: string, why: string): void => {
      notes.push(text);
      this.#rule(rule, why);
    };
    const { event, offset, source, partition } = arrival;
    const known = this.#positions()?.[source]?.[partition] ?? 0;
    if (offset >= known)
      note(5, 'not known to the read', 'an event was not known at the read, or came after it');
    const earlier = this.#mismatch.played.arrivals.filter(
      (item) => item.step < arrival.step && item.source === source,
    );
    const same = earlier.filter((item) => item.partition === partition && item.event.id === event.id);
    const isRepeated = same.length > 0;
    const { revision = 0, deleted = false } = event;
    const isOlder = same.some((item) => (item.event.revision ?? 0) > revision);
    if (deleted) note(3, `deletes, revision ${String(revision)}`, 'an event was deleted');
    else if (revision > 0)
      note(3, `revision ${String(revision)}`, 'an event was corrected: the highest revision counts');
    else if (isOlder) note(3, 'behind its correction', 'an event came behind what corrects or deletes it');
    else if (isRepeated)
      note(3, 'same id as before', 'an id came again: within the horizon the first event wins');
    if (!isRepeated && earlier.some((item) => item.event.id === event.id))
      note(3, 'same id under another key', 'the same id under another key is another event');
    if (deleted) return notes;
    if (event.time < arrival.appendedAt) note(6, 'late', 'an event came later than it happened');
    if (event.time > arrival.appendedAt) note(6, 'ahead of the clock', 'an event was ahead of the clock');
    const group = this.#group;
    if (group === undefined) return notes;
    if (source !== group.group.from.source.name) {
      if (group.labelName !== undefined && source === group.group.from.matured?.from.name)
        this.#rule(10, 'an outcome decides the label');
      return notes;
    }
    this.#noteWindow(group, arrival, notes, note);
    return notes;
  }

  #noteWindow(
    group: GroupPlan,
    arrival: Arrival,
    notes: string[],
    note: (rule: number, text: string, why: string) => void,
  ): void {
    const { asOf } = this.#read;
    const { event } = arrival;
    const plan = group.features[this.#feature];
    if (plan === undefined) return;
    if (String(event.values[group.group.key]) !== String(this.#read.event.values[group.group.key])) {
      note(4, 'another key', 'an event of another key');
      return;
    }
    const at = event.time + group.delayMs;
    const tail = asOf - plan.feature.windowMs;
    for (const { feature } of this.#parts()) {
      if (feature.ttlMs !== undefined && Math.abs(asOf - at - feature.ttlMs) <= 1)
        note(7, 'at the end of its time to live', 'an event lies where its time to live ends');
      else if (feature.ttlMs !== undefined && asOf - at > feature.ttlMs)
        note(7, 'past its time to live', 'an event is older than its time to live');
    }
    if (at === asOf) {
      note(4, 'at asOf exactly', 'an event lies at asOf exactly: the right edge');
      if (plan.feature.hopMs > 0) this.#rule(6, 'an event is held until the clock has passed it');
    } else if (at > asOf) note(6, 'after asOf', 'an event lies after asOf');
    if (at === this.#from || at === tail)
      note(4, 'at the left edge', 'an event lies at the left edge of the window exactly');
    else if (at > this.#from && at < tail)
      note(4, 'in the first tile', 'an event lies in the tile that the window begins in');
    else if (at < this.#from) note(4, 'before the window', 'an event lies before the window');
    const isTied = this.#mismatch.played.arrivals.some(
      (other) =>
        other !== arrival &&
        other.event.time === event.time &&
        placeOf(other.partition, other.offset) !== placeOf(arrival.partition, arrival.offset) &&
        other.source === arrival.source,
    );
    if (isTied) note(7, 'tie', 'events of the same time: partition and offset decide');
    if (this.#isUnknown(event))
      note(10, 'no outcome', 'an event that no outcome names is unknown: its label has to be confirmed');
    this.#noteInput(event, notes);
  }

  /** Whether the label of the group has to be confirmed, and nothing names the event. */
  #isUnknown({ id }: Event): boolean {
    const label = this.#group?.group.from.matured;
    if (label?.confirmed !== true) return false;
    const { arrivals } = this.#mismatch.played;
    return !arrivals.some(
      ({ source, event }) => source === label.from.name && String(event.values[label.on]) === id,
    );
  }

  /** Whether some clock had been later than asOf before the read. */
  #isBehind(): boolean {
    const { played, read } = this.#mismatch;
    const clocks = [
      ...played.arrivals.map(({ step, appendedAt, event }) => ({
        step,
        at: played.stream.clock === 'event' ? event.time : appendedAt,
      })),
      ...played.reads.map(({ step, asOf }) => ({ step, at: asOf })),
    ];
    return clocks.some(({ step, at }) => step < read.step && at > read.asOf);
  }

  /** What an event gives to the feature, where that is nothing. */
  #noteInput(event: Event, notes: string[]): void {
    const group = this.#group;
    if (group === undefined) return;
    if (this.#parts().some(({ input }) => group.inputs[input]?.(event.values) === null)) {
      notes.push('null');
      this.#rule(7, 'the input is null, or left out by the filter of the aggregate');
    }
    if (group.labelName === undefined && !group.passes(event.values)) {
      notes.push('filtered out');
      this.#rule(4, 'an event that `where` leaves out');
    }
  }

  /** The aggregates that the value comes from: the feature itself, or those of its expression. */
  #parts(): FeaturePlan[] {
    const group = this.#group;
    const places = (place: number): number[] =>
      group?.expressions.find((item) => item.place === place)?.places.flatMap(places) ?? [place];
    return places(this.#feature).flatMap((place) => group?.all[place] ?? []);
  }

  /** What the owner of the group knew. */
  #positions(): Readonly<Record<string, readonly number[]>> | undefined {
    const index = this.#group === undefined ? 0 : this.#read.vector.groups.indexOf(this.#group);
    return this.#read.positions[index];
  }

  #keyOf(event: Event): { readonly key?: string } {
    const key = this.#group === undefined ? null : (event.values[this.#group.group.key] ?? null);
    return key === null ? {} : { key: String(key) };
  }

  #fieldsOf(event: Event): Record<string, Value> {
    const value = this.#read.vector.vector.values[this.#mismatch.index];
    const expression = this.#group?.features[this.#feature]?.feature.expression;
    const where = this.#group?.group.where;
    const nodes =
      value?.from === 'candidate'
        ? [value.expression]
        : [
            ...this.#parts().flatMap(({ feature }) => expressionsOfFeature(feature)),
            ...[expression, where].filter((node) => node !== undefined),
          ];
    const names = new Set(nodes.flatMap((node) => fieldsOf(node).map((field) => field.name)));
    const label = this.#group?.group.from.matured;
    if (label !== undefined)
      for (const name of [
        label.on,
        ...(label.where === undefined ? [] : fieldsOf(label.where).map(({ name }) => name)),
      ])
        names.add(name);
    return Object.fromEntries(
      [...names].filter((name) => name in event.values).map((name) => [name, event.values[name] ?? null]),
    );
  }

  #rule(rule: number, why: string): void {
    this.#rules.set(`${String(rule)} ${why}`, { rule, why });
  }
}

function moveText(step: Step): string | undefined {
  switch (step.what) {
    case 'deliver':
      return 'a replica gets on with the log';
    case 'save':
      return 'state is saved';
    case 'prepare':
      return 'a replica prepares to take state over';
    case 'finish':
      return 'state is handed over';
    case 'restart':
      if (!step.flag) return 'a replica starts again';
      return step.isAligned
        ? 'a replica starts again where it was, with state that was saved before'
        : 'state is saved, and a replica starts again from it';
    case 'event':
    case 'again':
    case 'correct':
    case 'read':
    case 'readStored':
      return undefined;
  }
}

function apart(online: number | null, sql: number | null, replay: number | null): FailureCase['apart'] {
  if (online === replay) return 'sql';
  if (online === sql) return 'replay';
  return sql === replay ? 'online' : 'all';
}

/** Below this relative difference it is rounding rather than another set of events. */
const ROUNDING = 1e-6;

function isRounding(left: number | null, right: number | null): boolean {
  if (left === null || right === null) return left === right;
  return Math.abs(left - right) <= ROUNDING * Math.max(Math.abs(left), Math.abs(right));
}
