import {
  type Event,
  PlatformError,
  type Positions,
  routes,
  type VectorParts,
  type VectorRead,
} from '../../contract/index.ts';
import type { CallContext, Counter, ServiceHost } from '../../runtime/index.ts';
import { type Backfill, backfillRunning } from './backfill.ts';
import type { Feed } from './feed.ts';
import { vectorValues } from './online/online-state.ts';
import type { FeaturesOptions } from './options.ts';
import type { Ownership } from './ownership/ownership.ts';
import type { VectorPlan } from './plan.ts';
import { recordServed } from './served.ts';
import { type GroupRows, type ReadAsk, type ReadAt, type StateHost, StateLost } from './state/state-host.ts';

/** Limits of reads whose state several replicas own, in milliseconds but for the number of rounds. */
export const READ_LIMITS = {
  /** How long a state partition may have no owner that answers before a read of it is refused. */
  ownerMsMax: 10_000,
  /** How long an owner has to answer, beyond what it waits for positions: one that is paused is given up. */
  partMs: 1_500,
  /** And so much more for each candidate. */
  partMsPerCandidate: 2,
  /** Pauses before owners are asked again: doubled up to the maximum. */
  pauseMs: 10,
  pauseMsMax: 250,
  /** How often the owners of a vector with tiles are asked for a common instant. */
  roundsMax: 8,
} as const;

/**
 * With a wall clock, several owners of tiles are read at the next full step of so many milliseconds: their clocks, which
 * each read moves, then agree but when a step ends between them. From the third round on it is four times as long each.
 */
const STEP_MS = 50;
const STEP_GROWTH = 4;

export interface ReadRequest {
  readonly candidates: readonly Record<string, unknown>[];
  readonly after?: Positions | undefined;
  readonly waitMs: number;
  readonly atClock: boolean;
  readonly record: boolean;
}

export interface PartsRequest {
  readonly hash: string;
  readonly candidates: readonly Record<string, unknown>[];
  readonly asOf: readonly number[];
  readonly groups: readonly (readonly number[])[];
  readonly after?: Positions | undefined;
  readonly waitMs: number;
}

export interface VectorReaderParts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly state: StateHost;
  readonly feed: Feed;
  readonly ownership: Ownership;
  readonly backfill: Pick<Backfill, 'percent'>;
}

/** The groups of some candidates that one owner has. */
interface Share {
  /** Their state partitions. */
  readonly partitions: Set<number>;
  /** Index of each candidate. */
  readonly candidates: number[];
  /** For each of them the groups. */
  readonly groups: number[][];
}

interface Answered {
  readonly share: Share;
  readonly parts: VectorParts;
}

/** An owner that is not there just now: the read is tried again. */
class OwnerMissing extends Error {
  readonly partition: number | undefined;

  constructor(message: string, partition?: number, cause?: unknown) {
    super(message, { cause });
    this.partition = partition;
  }
}

/** Reads vectors: what this replica owns in process, the rest from its owners. */
export class VectorReader {
  readonly #parts: VectorReaderParts;
  readonly #count: Counter;

  constructor(parts: VectorReaderParts) {
    this.#parts = parts;
    this.#count = parts.host.metrics.counter('vectors_total', 'Vectors read', ['vector']);
  }

  /** Rejects with BAD_REQUEST, DEADLINE_EXCEEDED (`after` was not reached), UNPROCESSABLE and UNAVAILABLE. */
  async read(vector: VectorPlan, request: ReadRequest, context: CallContext): Promise<VectorRead> {
    const { host, feed } = this.#parts;
    const events = request.candidates.map((candidate, index) => {
      const event = readCandidate(vector, candidate, index);
      if (!request.atClock) this.#refuseFuture(vector, event, index);
      return event;
    });
    const waitUntil = host.clock.monotonic() + request.waitMs;
    if (request.after !== undefined) await feed.waitFor(request.after, request.waitMs);
    const deadline = Math.min(context.deadlineMs, host.clock.monotonic() + READ_LIMITS.ownerMsMax);
    const read = await this.#readPatiently(vector, events, request, waitUntil, deadline);
    this.#count.add(read.rows.length, { vector: vector.vector.name });
    if (request.record) {
      await host.failPoints.pass('features.receipts.before');
      const served = read.rows.map((row, index) => ({ ...row, event: events[index] }));
      await recordServed(host.log, vector, read, served.filter(hasEvent));
    }
    return read;
  }

  /** The groups that another replica asks this owner for. Rejects with UNAVAILABLE when one is not owned here. */
  async readParts(vector: VectorPlan, request: PartsRequest): Promise<VectorParts> {
    const { feed, ownership } = this.#parts;
    if (request.hash !== vector.vector.hash) {
      throw new PlatformError('UNAVAILABLE', `This replica has another version of '${vector.vector.name}'`);
    }
    const events = request.candidates.map((candidate, index) => readCandidate(vector, candidate, index));
    const { asOf, groups } = request;
    const known = groups.every((list) => list.every((group) => group < vector.groups.length));
    if (asOf.length !== events.length || groups.length !== events.length || !known)
      throw new PlatformError('BAD_REQUEST', 'Each candidate has one instant and groups of the vector');
    if (request.after !== undefined) await feed.waitFor(request.after, request.waitMs);
    if (!ownership.isSure || !this.#answersAll(vector, events, groups)) await ownership.refresh();
    if (!ownership.isSure || !this.#answersAll(vector, events, groups))
      throw new PlatformError('UNAVAILABLE', 'This replica does not own all of these state partitions');
    try {
      return await this.#readHere(vector, events, asOf, groups);
    } catch (error) {
      if (error instanceof OwnerMissing) throw unavailable(error);
      throw error;
    }
  }

  async #readPatiently(
    vector: VectorPlan,
    events: readonly Event[],
    request: ReadRequest,
    waitUntil: number,
    deadline: number,
  ): Promise<VectorRead> {
    const { host, ownership } = this.#parts;
    let pauseMs: number = READ_LIMITS.pauseMs;
    for (;;) {
      if (!ownership.isSure) await ownership.refresh();
      try {
        if (this.#isLocal(vector, events)) return await this.#readAll(vector, events, request);
        return await this.#gather(vector, events, request, waitUntil, deadline);
      } catch (error) {
        if (!(error instanceof OwnerMissing)) throw error;
        if (host.clock.monotonic() + pauseMs >= deadline) {
          const { percent } = this.#parts.backfill;
          throw percent === null ? unavailable(error) : backfillRunning(vector.vector.name, percent);
        }
      }
      await host.clock.sleep(pauseMs);
      pauseMs = Math.min(pauseMs * 2, READ_LIMITS.pauseMsMax);
      await ownership.refresh();
    }
  }

  #isLocal(vector: VectorPlan, events: readonly Event[]): boolean {
    const { ownership } = this.#parts;
    if (!ownership.isSure) return false;
    if (ownership.answersAll) return true;
    return events.every((event) =>
      vector.groups.every((plan) => ownership.answers(this.#partition(event, plan.group.key))),
    );
  }

  #answersAll(vector: VectorPlan, events: readonly Event[], groups: readonly (readonly number[])[]): boolean {
    return events.every((event, index) =>
      (groups[index] ?? []).every((group) => {
        const key = vector.groups[group]?.group.key;
        return key !== undefined && this.#parts.ownership.answers(this.#partition(event, key));
      }),
    );
  }

  #partition(event: Event, key: string): number {
    return this.#parts.state.partitionOf(String(event.values[key]));
  }

  /** All groups are here: all rows are of one state. */
  async #readAll(vector: VectorPlan, events: readonly Event[], request: ReadRequest): Promise<VectorRead> {
    const { host, state } = this.#parts;
    const wall = host.options.clock === 'wall';
    const groups = [...vector.groups.keys()];
    const asks = events.map((event): ReadAsk => {
      if (wall) state.advance(host.clock.now());
      return { event, groups, instant: wall || request.atClock ? Math.max(state.clock, 0) : event.time };
    });
    const read = await this.#readState(vector, asks, request.atClock && !wall ? 'clock' : 'wanted');
    return {
      vector: vector.vector.name,
      hash: vector.vector.hash,
      names: [...vector.names],
      positions: read.positions,
      rows: events.map((event, index) => {
        const { asOf = 0, groups: found = [] } = read.rows[index] ?? {};
        return { asOf, values: vectorValues(vector, event, found) };
      }),
    };
  }

  /** What was lost a moment ago comes back: it is as if its owner were not there. */
  async #readState(vector: VectorPlan, asks: readonly ReadAsk[], at: ReadAt): Promise<GroupRows> {
    try {
      return await this.#parts.state.read(vector, asks, at);
    } catch (error) {
      if (error instanceof StateLost) throw new OwnerMissing(error.message, undefined, error);
      throw error;
    }
  }

  /** Groups are at several owners: their answers at the same instant make a row. */
  async #gather(
    vector: VectorPlan,
    events: readonly Event[],
    request: ReadRequest,
    waitUntil: number,
    deadline: number,
  ): Promise<VectorRead> {
    const { host } = this.#parts;
    let later = Number.NEGATIVE_INFINITY;
    for (let round = 0; round < READ_LIMITS.roundsMax; round += 1) {
      // With an event clock only who applies knows it.
      if (host.options.clock === 'event') await this.#parts.state.refresh();
      const asOf = this.#instants(vector, events, request, later, round);
      const { own, others } = this.#shares(vector, events);
      // First, so that this replica's own clock cannot pass the instants before it has read.
      const here = own === undefined ? undefined : await this.#answerHere(vector, events, asOf, own);
      if (here !== undefined && here.parts.later !== null) {
        later = Math.max(later, here.parts.later);
        continue;
      }
      const waitMs = Math.max(0, Math.floor(waitUntil - host.clock.monotonic()));
      const asked = await Promise.all(
        [...others].map(([instance, share]) =>
          this.#ask({ vector, request, asOf, instance, share, waitMs, deadline }),
        ),
      );
      const answers = here === undefined ? asked : [here, ...asked];
      const latest = Math.max(...answers.map(({ parts }) => parts.later ?? Number.NEGATIVE_INFINITY));
      if (latest === Number.NEGATIVE_INFINITY) return assemble(vector, events, asOf, answers);
      later = Math.max(later, latest);
      if (host.clock.monotonic() >= deadline) break;
    }
    throw new OwnerMissing('its owners did not agree on an instant');
  }

  /** The instant of each row: of this replica's clock, or as late as the owners asked for. */
  #instants(
    vector: VectorPlan,
    events: readonly Event[],
    request: ReadRequest,
    later: number,
    round: number,
  ): number[] {
    const { host, state } = this.#parts;
    const wall = host.options.clock === 'wall';
    if (wall) state.advance(host.clock.now());
    const clock = Math.max(state.clock, 0);
    return events.map((event) => {
      const wanted = request.atClock || wall ? clock : event.time;
      if (vector.exact) return wall ? Math.max(wanted, later) : wanted;
      const least = Math.max(wanted, clock, later);
      const grown = round < 2 ? 1 : STEP_GROWTH ** (round - 1);
      const step = wall || round >= 2 ? STEP_MS * grown : 1;
      return Math.ceil(least / step) * step;
    });
  }

  /** Who is to be asked for what. */
  #shares(
    vector: VectorPlan,
    events: readonly Event[],
  ): { readonly own: Share | undefined; readonly others: ReadonlyMap<string, Share> } {
    const { host, ownership } = this.#parts;
    const shares = new Map<string, Share>();
    for (const [index, event] of events.entries()) {
      for (const [group, plan] of vector.groups.entries()) {
        const partition = this.#partition(event, plan.group.key);
        const answers = ownership.answers(partition);
        const owner = answers ? host.instance : ownership.ownerOf(partition);
        if (owner === undefined || (owner === host.instance && !answers))
          throw new OwnerMissing(`state partition ${String(partition)} has no owner`, partition);
        let share = shares.get(owner);
        if (share === undefined)
          shares.set(owner, (share = { partitions: new Set(), candidates: [], groups: [] }));
        share.partitions.add(partition);
        if (share.candidates.at(-1) === index) share.groups.at(-1)?.push(group);
        else {
          share.candidates.push(index);
          share.groups.push([group]);
        }
      }
    }
    const own = shares.get(host.instance);
    shares.delete(host.instance);
    return { own, others: shares };
  }

  async #answerHere(
    vector: VectorPlan,
    events: readonly Event[],
    asOf: readonly number[],
    share: Share,
  ): Promise<Answered> {
    const own = share.candidates.flatMap((index) => events[index] ?? []);
    const instants = share.candidates.map((index) => asOf[index] ?? 0);
    return { share, parts: await this.#readHere(vector, own, instants, share.groups) };
  }

  /** All groups asked for are here: they are of one state. */
  async #readHere(
    vector: VectorPlan,
    events: readonly Event[],
    asOf: readonly number[],
    groups: readonly (readonly number[])[],
  ): Promise<VectorParts> {
    const asks = events.map((event, index) => ({
      event,
      instant: asOf[index] ?? 0,
      groups: groups[index] ?? [],
    }));
    const { positions, later, rows } = await this.#readState(vector, asks, 'exactly');
    return {
      positions,
      later,
      rows: rows.map((row, index) => (groups[index] ?? []).map((group) => [...(row.groups[group] ?? [])])),
    };
  }

  async #ask(call: {
    readonly vector: VectorPlan;
    readonly request: ReadRequest;
    readonly asOf: readonly number[];
    readonly instance: string;
    readonly share: Share;
    readonly waitMs: number;
    readonly deadline: number;
  }): Promise<Answered> {
    const { host, ownership } = this.#parts;
    const { vector, request, share, instance } = call;
    const leftMs = call.deadline - host.clock.monotonic();
    const waitMs = request.after === undefined ? 0 : Math.min(call.waitMs, 60_000);
    const patienceMs = READ_LIMITS.partMs + READ_LIMITS.partMsPerCandidate * share.candidates.length + waitMs;
    const body = {
      hash: vector.vector.hash,
      candidates: share.candidates.map((index) => request.candidates[index] ?? {}),
      asOf: share.candidates.map((index) => call.asOf[index] ?? 0),
      groups: share.groups,
      ...(request.after === undefined ? {} : { after: request.after }),
      waitMs,
    };
    // One that is paused keeps its callers waiting, even when another replica has long taken over.
    const replaced = new AbortController();
    const unsubscribe = ownership.subscribe(() => {
      if ([...share.partitions].some((partition) => ownership.ownerOf(partition) !== instance))
        replaced.abort();
    });
    try {
      const parts = await host.call(
        routes.readVectorParts,
        { params: { vector: vector.vector.name }, query: {}, body },
        { instance, timeoutMs: Math.max(1, Math.min(leftMs, patienceMs)), signal: replaced.signal },
      );
      return { share, parts };
    } catch (error) {
      if (!PlatformError.is(error) || !error.retryable || error.details?.['wanted'] !== undefined)
        throw error;
      throw new OwnerMissing(`replica ${instance} does not answer (${error.message})`, undefined, error);
    } finally {
      unsubscribe();
    }
  }

  /**
   * A candidate may be ahead of the wall clock by its source's skew. With an event clock and tiles, which move that clock, it
   * may also not be so far ahead that everything before it would be out of reach.
   */
  #refuseFuture(vector: VectorPlan, event: Event, index: number): void {
    const { host, state } = this.#parts;
    const { clock, readBehindMs } = host.options;
    const wall = host.clock.now() + vector.candidate.source.maxSkewMs;
    const moved = clock === 'event' && !vector.exact && Number.isFinite(state.clock);
    const latest = moved ? Math.min(wall, state.clock + readBehindMs) : wall;
    if (event.time <= latest) return;
    const time = new Date(event.time).toISOString();
    throw new PlatformError(
      'BAD_REQUEST',
      `Candidate ${String(index)} is of ${time}, ahead of the latest time that can be read, ${new Date(latest).toISOString()}`,
      { details: { index, code: 'TIME_IN_FUTURE', field: vector.candidate.source.time } },
    );
  }
}

/** Reads one candidate as an event. Throws BAD_REQUEST. */
export function readCandidate(vector: VectorPlan, candidate: unknown, index: number): Event {
  const result = vector.candidate.read(candidate);
  if ('event' in result) return result.event;
  throw new PlatformError('BAD_REQUEST', `Candidate ${String(index)}: ${result.rejection.reason}`, {
    details: { index, ...result.rejection },
  });
}

/** Puts the owners' answers together. Owners that stood at the same positions count as one. */
function assemble(
  vector: VectorPlan,
  events: readonly Event[],
  asOf: readonly number[],
  answers: readonly Answered[],
): VectorRead {
  const sets = new Map<string, { readonly number: number; readonly positions: Positions }>();
  const results = events.map(() => vector.groups.map((): readonly (number | null)[] => []));
  const groups = events.map(() => vector.groups.map(() => 0));
  for (const { share, parts } of answers) {
    const text = JSON.stringify(parts.positions);
    const set = sets.get(text) ?? { number: sets.size, positions: parts.positions };
    sets.set(text, set);
    for (const [at, index] of share.candidates.entries()) {
      for (const [place, group] of (share.groups[at] ?? []).entries()) {
        const values = parts.rows[at]?.[place];
        if (values === undefined)
          throw new PlatformError('UNAVAILABLE', 'A features replica answered with fewer groups than asked');
        const row = results[index];
        const numbers = groups[index];
        if (row === undefined || numbers === undefined) continue;
        row[group] = values;
        numbers[group] = set.number;
      }
    }
  }
  const [positions = {}, ...others] = [...sets.values()].map((set) => set.positions);
  return {
    vector: vector.vector.name,
    hash: vector.vector.hash,
    names: [...vector.names],
    positions,
    ...(others.length === 0 ? {} : { others }),
    rows: events.map((event, index) => {
      const numbers = groups[index] ?? [];
      return {
        asOf: asOf[index] ?? 0,
        values: vectorValues(vector, event, results[index] ?? []),
        ...(numbers.every((number) => number === 0) ? {} : { groups: numbers }),
      };
    }),
  };
}

function unavailable(missing: OwnerMissing): PlatformError {
  return new PlatformError('UNAVAILABLE', `Feature state cannot be read now: ${missing.message}`, {
    details: missing.partition === undefined ? {} : { statePartition: missing.partition },
    cause: missing,
  });
}

function hasEvent<TRow extends { readonly event: Event | undefined }>(
  row: TRow,
): row is TRow & { readonly event: Event } {
  return row.event !== undefined;
}
