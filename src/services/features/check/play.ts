import { type Event, partitionOf, type Positions } from '../../../contract/index.ts';
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
  #now: number;
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
      case 'read':
        this.#read(this.#source(step.source), this.#record(step, index), step, index);
        return;
      case 'readStored': {
        const stored = this.#stored(step);
        if (stored !== undefined) this.#read(this.#source(step.source), stored.record, step, index);
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
        // Mostly from what was just saved.
        if (step.flag) {
          fleet.saveCore(replica);
          for (let partition = 0; partition < STATE_PARTITIONS; partition += 1) fleet.save(partition);
        }
        fleet.restart(replica, step.pick, now);
        return;
    }
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
    const { time } = stored.event;
    const { horizonMs } = this.#subject.plan;
    if (!step.flag) record[source.time] = time;
    // Where an id is no longer remembered: the last instant at which it is, and one millisecond later.
    else if (step.pick % 3 === 0 && horizonMs < EVER_MS)
      record[source.time] = time + horizonMs + Number(step.isAligned);
    this.#append(plan, record, index);
  }

  #append(plan: SourcePlan, record: RecordValues, index: number): void {
    const { source } = plan;
    const result = plan.read(record);
    if (!('event' in result))
      throw new Error(
        `a record made for '${source.name}' breaks its contract: ${JSON.stringify(result.rejection)}`,
      );
    const { event } = result;
    if (this.#stream.clock === 'wall' && event.time - this.#now > source.maxSkewMs) {
      this.#quarantined += 1;
      return;
    }
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
