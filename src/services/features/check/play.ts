import {
  DELETED_FIELD,
  type Event,
  partitionOf,
  type Positions,
  REVISION_FIELD,
} from '../../../contract/index.ts';
import { EVER_MS } from '../../../define/aggregate.ts';
import type { SourcePlan, VectorPlan } from '../plan.ts';
import { Fleet, type Stored } from './fleet.ts';
import type { RecordValues } from './records.ts';
import { PARTITIONS, REPLICAS, STATE_PARTITIONS, type Step, type Stream } from './stream.ts';
import type { Subject } from './subject.ts';

/** A record of the log and how it got there. */
export interface Arrival extends Stored {
  /** Index of the step that brought it. */
  readonly step: number;
  readonly appendedAt: number;
  /** What the producer sent. */
  readonly record: RecordValues;
}

/** What one read of a vector answered. */
export interface Read {
  readonly step: number;
  readonly vector: VectorPlan;
  readonly event: Event;
  /** The instant that was asked for. */
  readonly instant: number;
  readonly asOf: number;
  /** By group of the vector. */
  readonly positions: readonly Positions[];
  readonly values: readonly (number | null)[];
}

/** A stream after it has happened. */
export interface Played {
  readonly stream: Stream;
  readonly arrivals: readonly Arrival[];
  readonly reads: readonly Read[];
  /** Records too far ahead of the clock to be taken. */
  readonly quarantined: number;
}

/** With a wall clock and with an event clock, as the service has it. */
const READ_BEHIND_MS = { wall: 10_000, event: 172_800_000 };

/** Plays a stream on a {@link Fleet}. */
export function play(subject: Subject, stream: Stream): Played {
  return new Player(subject, stream).play();
}

class Player {
  readonly #subject: Subject;
  readonly #stream: Stream;
  readonly #fleet: Fleet;
  readonly #arrivals: Arrival[] = [];
  readonly #reads: Read[] = [];
  /** Keys of events that were corrected or deleted before they came, by source and id. */
  readonly #ahead = new Map<string, unknown>();
  #now: number;
  /** The latest that any clock has been. */
  #latest = Number.NEGATIVE_INFINITY;
  #quarantined = 0;

  constructor(subject: Subject, stream: Stream) {
    this.#subject = subject;
    this.#stream = stream;
    this.#now = subject.aims.start;
    this.#fleet = new Fleet({
      plan: subject.plan,
      partitions: new Map([...subject.plan.sources.keys()].map((name) => [name, PARTITIONS])),
      replicas: REPLICAS,
      statePartitions: STATE_PARTITIONS,
      clock: stream.clock,
      readBehindMs: READ_BEHIND_MS[stream.clock],
    });
  }

  play(): Played {
    for (const [index, step] of this.#stream.steps.entries()) {
      this.#now += step.wait;
      if (step.isOnGrid) this.#now = Math.ceil(this.#now / this.#grid(step)) * this.#grid(step);
      this.#latest = Math.max(this.#latest, this.#now);
      this.#take(step, index);
    }
    return {
      stream: this.#stream,
      arrivals: this.#arrivals,
      reads: this.#reads,
      quarantined: this.#quarantined,
    };
  }

  #take(step: Step, index: number): void {
    const fleet = this.#fleet;
    const now = this.#now;
    const replica = step.pick % REPLICAS;
    const statePartition = Math.floor(step.pick / REPLICAS) % STATE_PARTITIONS;
    switch (step.what) {
      case 'event':
        this.#append(this.#source(step.source), this.#record(step, index), index);
        return;
      case 'again':
        this.#repeat(step, index);
        return;
      case 'correct':
        this.#correct(step, index);
        return;
      case 'read':
        this.#read(this.#source(step.source), this.#record(step, index), step, index);
        return;
      case 'readStored': {
        const stored = this.#stored(step);
        if (stored === undefined) return;
        // What is asked about is an event, whatever the record did.
        const { [REVISION_FIELD]: _, [DELETED_FIELD]: __, ...record } = stored.record;
        this.#read(this.#source(step.source), record, step, index);
        return;
      }
      case 'deliver':
        this.#deliver(step, replica);
        return;
      case 'save':
        fleet.save(statePartition);
        if (step.flag) fleet.saveCore(replica);
        return;
      case 'prepare':
        fleet.prepare(statePartition, replica, !step.isAligned);
        if (step.flag) fleet.fill(statePartition, replica);
        return;
      case 'finish':
        fleet.finish(statePartition, replica, step.flag, now);
        return;
      case 'restart':
        this.#restart(step, replica);
        return;
    }
  }

  /** Mostly from what was just saved: all of it, or the core alone, behind which the shards then lie. */
  #restart(step: Step, replica: number): void {
    const fleet = this.#fleet;
    const core = step.flag ? fleet.saveCore(replica) : step.pick;
    if (step.flag && !step.isAligned)
      for (let partition = 0; partition < STATE_PARTITIONS; partition += 1) fleet.save(partition);
    fleet.restart(replica, step.flag && step.isAligned ? core : step.pick, this.#now);
  }

  #deliver(step: Step, replica: number): void {
    if (step.isAligned) {
      this.#fleet.deliverAll(replica, this.#now);
      return;
    }
    const names = [...this.#subject.plan.sources.keys()];
    const name = names[step.pick % names.length];
    const partition = Math.floor(step.pick / REPLICAS) % PARTITIONS;
    if (name !== undefined) this.#fleet.deliver(replica, name, partition, step.flag ? 1 : 6, this.#now);
  }

  /** A stored event's id comes again with other values: under the same key mostly, which makes it a duplicate. */
  #repeat(step: Step, index: number): void {
    const stored = this.#stored(step);
    if (stored === undefined) return;
    const plan = this.#source(step.source);
    const { source } = plan;
    const drawn = this.#record(step, index);
    const record: Record<string, unknown> = { ...drawn, [source.id]: stored.record[source.id] };
    // One in sixteen keeps only its id: another event.
    if (step.pick % 8 > 0 || !step.flag) record[source.key] = stored.record[source.key];
    // A deletion has no time of its own.
    const time = Number.isFinite(stored.event.time) ? stored.event.time : Number(drawn[source.time]);
    const { horizonMs } = this.#subject.plan;
    if (!step.flag) record[source.time] = time;
    // Where an id is no longer remembered: the last instant at which it is, and one millisecond later.
    else if (step.pick % 3 === 0 && horizonMs < EVER_MS && source.corrections !== true)
      record[source.time] = time + horizonMs + Number(step.isAligned);
    this.#append(plan, record, index);
  }

  /**
   * An event is corrected or deleted, mostly by the next revision: one that is stored, or one that is still to come. Now and then the
   * revision is an old one or the same again, as after a restart of the producer.
   */
  #correct(step: Step, index: number): void {
    const plan = this.#source(step.source);
    const { source } = plan;
    const stored = step.pick % 7 === 0 ? undefined : this.#stored(step);
    const record: Record<string, unknown> = { ...this.#record(step, index) };
    record[source.id] = stored?.record[source.id] ?? this.#salted(index + 1 + (step.pick % 4));
    if (stored !== undefined) record[source.key] = stored.record[source.key];
    const place = JSON.stringify([source.name, record[source.id]]);
    if (stored === undefined) {
      record[source.key] = this.#ahead.get(place) ?? record[source.key];
      this.#ahead.set(place, record[source.key]);
    }
    const known = this.#revisions(source.name, String(record[source.id]), String(record[source.key]));
    const newest = Math.max(0, ...known.map(({ event }) => event.revision ?? 0));
    const isRemembered = this.#isRemembered(known);
    const drawn = step.pick % 11;
    const revision = drawn === 0 ? newest : drawn === 1 ? step.pick % (newest + 1) : newest + 1 + (drawn % 2);
    if (revision > 0) record[REVISION_FIELD] = revision;
    if (revision > 0 && step.pick % 5 === 0) record[DELETED_FIELD] = true;
    // Every other one keeps the event's time, and those of labelled events that outcomes may be forgotten of.
    const time = stored?.record[source.time];
    const isKept = step.flag || (plan.labelled.length > 0 && !isRemembered);
    if (time !== undefined && isKept) record[source.time] = time;
    // State of before a correction is what a start has to bring up to date.
    if (step.isAligned)
      for (let partition = 0; partition < STATE_PARTITIONS; partition += 1) this.#fleet.save(partition);
    this.#append(plan, record, index);
  }

  /** All records of an event. */
  #revisions(source: string, id: string, key: string): Arrival[] {
    const partition = partitionOf(key, PARTITIONS);
    return this.#arrivals.filter(
      (item) => item.source === source && item.partition === partition && item.event.id === id,
    );
  }

  /** Whether the state remembers for certain which revision is the newest of these records. */
  #isRemembered(records: readonly Arrival[]): boolean {
    if (records.length === 0) return true;
    const isWall = this.#stream.clock === 'wall';
    const latest = Math.max(
      ...records.map(({ event, appendedAt }) => Math.max(event.time, isWall ? appendedAt : event.time)),
    );
    return latest >= this.#latest - this.#subject.plan.horizonMs;
  }

  #append(plan: SourcePlan, record: RecordValues, index: number): void {
    const { source } = plan;
    const bytes = Buffer.from(JSON.stringify(record));
    const event = plan.records.read({ record: () => bytes }, 0);
    if (event === undefined)
      throw new Error(`a record made for '${source.name}' breaks its contract: ${bytes.toString()}`);
    // Of one id, older revisions are told from newer ones for as long as those are remembered.
    const known = source.corrections === true ? this.#revisions(source.name, event.id, event.key) : [];
    const isOlder = known.some((item) => (item.event.revision ?? 0) >= (event.revision ?? 0));
    if (isOlder && !this.#isRemembered(known)) return;
    if (this.#stream.clock === 'wall' && event.time - this.#now > source.maxSkewMs) {
      this.#quarantined += 1;
      return;
    }
    this.#latest = Math.max(this.#latest, event.time);
    const partition = partitionOf(event.key, PARTITIONS);
    const offset = this.#fleet.append(source.name, partition, event);
    this.#arrivals.push({
      source: source.name,
      partition,
      offset,
      event,
      step: index,
      appendedAt: this.#now,
      record,
    });
    // One replica is always at the end of the log; the others come when they are told to.
    this.#fleet.deliverAll(0, this.#now);
  }

  #read(plan: SourcePlan, record: RecordValues, step: Step, index: number): void {
    const result = plan.read(record);
    if (!('event' in result)) throw new Error(JSON.stringify(result.rejection));
    const { event } = result;
    for (const vector of this.#subject.plan.vectors.values()) {
      if (vector.candidate !== plan) continue;
      const instant = this.#stream.clock === 'wall' ? this.#now - step.back : event.time;
      const row = this.#fleet.read(vector, event, instant, this.#now);
      if (row !== undefined) this.#reads.push({ step: index, vector, event, instant, ...row });
    }
  }

  /** The whole record: what was drawn, an id and a time, and for an outcome whom it is about. */
  #record(step: Step, index: number): RecordValues {
    const plan = this.#source(step.source);
    const { source } = plan;
    const grid = this.#grid(step);
    const at = this.#now - step.late;
    const record: Record<string, unknown> = {
      ...step.record,
      [source.time]: step.isAligned ? Math.floor(at / grid) * grid : at,
    };
    for (const name of this.#subject.keys) {
      const kind = source.fields[name]?.kind;
      const value = record[name] ?? null;
      if ((kind === 'key' || kind === 'id') && value !== null) record[name] = this.#salted(value);
    }
    record[source.id] ??= this.#salted(index);
    // Another key would make it another event.
    const ahead = this.#ahead.get(JSON.stringify([source.name, record[source.id]]));
    if (ahead !== undefined) record[source.key] = ahead;
    for (const { label } of plan.outcomes) record[label.on] = this.#target(step, index, label.of.name);
    return record;
  }

  /** The event that an outcome names: stored already, or one that is still to come. */
  #target(step: Step, index: number, of: string): string {
    const stored = this.#arrivals.filter((item) => item.source === of);
    const picked = stored[step.pick % Math.max(1, stored.length)];
    return picked === undefined || step.flag ? this.#salted(index + (step.pick % 5)) : picked.event.id;
  }

  #stored(step: Step): Arrival | undefined {
    const stored = this.#arrivals.filter((item) => item.source === step.source);
    return stored[step.pick % Math.max(1, stored.length)];
  }

  #salted(value: unknown): string {
    return this.#subject.isShared ? `${String(value)}.${String(this.#stream.salt)}` : String(value);
  }

  #grid(step: Step): number {
    return this.#subject.aims.gridsMs[step.grid] ?? 1;
  }

  #source(name: string): SourcePlan {
    const plan = this.#subject.plan.sources.get(name);
    if (plan === undefined) throw new Error(`there is no source '${name}'`);
    return plan;
  }
}
