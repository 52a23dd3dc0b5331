import type { Warehouse } from '../../../runtime/index.ts';
import type { ArchivedEvent } from '../offline/event-tables.ts';
import type { GroupPlan, VectorPlan } from '../plan.ts';
import { type ChosenPlan, type Method, possiblePlans } from '../offline/choose-plan.ts';
import { archivedRecords, everything, offlineRows, type RowValues } from './offline.ts';
import { play, type Played, type Read } from './play.ts';
import { recompute } from './recompute.ts';
import type { Stream } from './stream.ts';
import type { Subject } from './subject.ts';

/** How far sums of numbers with a fraction may differ, relative to the larger one or to the largest term (rule 8). */
export const TOLERANCE = 1e-9;

/** A value that is not the same everywhere. */
export interface Mismatch {
  readonly played: Played;
  readonly read: Read;
  /** Index among the vector's values. */
  readonly index: number;
  readonly online: number | null;
  readonly sql: number | null;
  readonly replay: number | null;
}

/** What streams came to. */
export interface Compared {
  /** Values that all three made. */
  readonly values: number;
  readonly played: readonly Played[];
  /** The first of each stream that has any. */
  readonly mismatches: readonly Mismatch[];
}

/** Plays the streams online, computes every read again by SQL and by replay, and compares every value. */
export async function compareStreams(
  subject: Subject,
  warehouse: Warehouse,
  streams: readonly Stream[],
): Promise<Compared> {
  return comparePlayed(
    subject,
    warehouse,
    streams.map((stream) => play(subject, stream)),
  );
}

/** The same for streams that were played already. */
export async function comparePlayed(
  subject: Subject,
  warehouse: Warehouse,
  played: readonly Played[],
): Promise<Compared> {
  const archived = await archivedRecords(warehouse, subject.plan, played);
  return compareReads(subject, warehouse, played, archived);
}

/** A value that one way of computing it offline gets wrong. */
export interface PlanMismatch {
  readonly method: Method;
  readonly mismatch: Mismatch;
}

/**
 * Computes the reads of played streams in each way that a dataset could be computed, as if each had known everything, and compares
 * with replay. What the reads answered online is no part of it: they did not know everything.
 */
export async function comparePlans(
  subject: Subject,
  warehouse: Warehouse,
  played: readonly Played[],
): Promise<{ readonly values: number; readonly mismatches: readonly PlanMismatch[] }> {
  const { plan } = subject;
  const all = everything(plan);
  const mismatches: PlanMismatch[] = [];
  let values = 0;
  for (const vector of plan.vectors.values()) {
    const reads = played.flatMap((item, stream) =>
      item.reads
        .filter((read) => read.vector === vector)
        .map((read) => ({ item, stream, read: { ...read, positions: vector.groups.map(() => all) } })),
    );
    const replayed = reads.map(({ item, read }) => recompute(plan, read, item.arrivals));
    const ways = Math.max(...vector.groups.map((group) => possiblePlans(group).length));
    for (let way = 0; way < ways && reads.length > 0; way += 1) {
      const methods = new Map(
        vector.groups.map((group) => {
          const possible = possiblePlans(group);
          return [group, possible[way % possible.length] ?? possible[0]] as const;
        }),
      );
      const choose = (group: GroupPlan): ChosenPlan => methods.get(group) ?? JOIN;
      const sql = await offlineRows(warehouse, subject, vector, played, reads, {
        knowledge: 'latest',
        choose,
      });
      for (const [row, { item, read }] of reads.entries()) {
        const replay = replayed[row] ?? [];
        const found = firstMismatch(item, { ...read, values: replay }, sql[row] ?? [], replay);
        values += vector.values.length;
        const [group] = vector.groups;
        if (found !== undefined && group !== undefined)
          mismatches.push({ method: choose(group).method, mismatch: found });
      }
    }
  }
  return { values, mismatches };
}

const JOIN: ChosenPlan = { method: 'join', tiled: [] };

/**
 * Which streams have a mismatch, as cheaply as can be said: replay is fed without the archive, and SQL is not asked where the
 * online state and replay alone decide.
 */
export async function failingStreams(
  subject: Subject,
  warehouse: Warehouse,
  streams: readonly Stream[],
  isOnline: boolean,
): Promise<boolean[]> {
  const played = streams.map((stream) => play(subject, stream));
  if (isOnline) return played.map((item) => item.reads.some((read) => differs(subject, item, read)));
  const failing = new Set<Played>();
  // Where definitions tell streams apart, each has a statement of its own.
  for (const batch of subject.isShared ? [played] : played.map((item) => [item])) {
    const archived = batch.map(({ arrivals }) => arrivals);
    for (const mismatch of (await compareReads(subject, warehouse, batch, archived)).mismatches)
      failing.add(mismatch.played);
  }
  return played.map((item) => failing.has(item));
}

/** Whether a read differs from replay. */
function differs(subject: Subject, played: Played, read: Read): boolean {
  const replay = recompute(subject.plan, read, played.arrivals);
  return read.values.some(
    (value, index) => !isEqual(played, read.vector, index, value, replay[index] ?? null),
  );
}

async function compareReads(
  subject: Subject,
  warehouse: Warehouse,
  played: readonly Played[],
  archived: readonly (readonly ArchivedEvent[])[],
): Promise<Compared> {
  const mismatches = new Map<Played, Mismatch>();
  let values = 0;
  for (const vector of subject.plan.vectors.values()) {
    const asked = played.flatMap((item, index) =>
      item.reads
        .filter((read) => read.vector === vector)
        .map((read) => ({ read, item, stream: index, archived: archived[index] ?? [] })),
    );
    if (asked.length === 0) continue;
    const sql = await offlineRows(warehouse, subject, vector, played, asked);
    for (const [row, { read, item, archived: records }] of asked.entries()) {
      values += vector.values.length;
      const found = firstMismatch(item, read, sql[row] ?? [], recompute(subject.plan, read, records));
      const known = mismatches.get(item);
      if (found !== undefined && (known === undefined || known.read.step > read.step))
        mismatches.set(item, found);
    }
  }
  return { values, played, mismatches: [...mismatches.values()] };
}

function firstMismatch(played: Played, read: Read, sql: RowValues, replay: RowValues): Mismatch | undefined {
  for (let index = 0; index < read.vector.values.length; index += 1) {
    const online = read.values[index] ?? null;
    const values = { online, sql: sql[index] ?? null, replay: replay[index] ?? null };
    if (values.online === values.sql && values.online === values.replay) continue;
    const isSame = (other: number | null): boolean => isEqual(played, read.vector, index, online, other);
    if (!isSame(values.sql) || !isSame(values.replay)) return { played, read, index, ...values };
  }
  return undefined;
}

/** Whether two executors agree on a value. */
function isEqual(
  played: Played,
  vector: VectorPlan,
  index: number,
  left: number | null,
  right: number | null,
): boolean {
  if (left === right) return true;
  if (left === null || right === null) return false;
  const value = vector.values[index];
  if (value?.from !== 'group') return false;
  const group = vector.groups[value.group];
  if (group === undefined || !isRounded(group, value.index)) return false;
  const scale = Math.max(Math.abs(left), Math.abs(right), largestTerm(played, group));
  return Math.abs(left - right) <= TOLERANCE * scale;
}

/**
 * Whether the engines may round a feature differently: a sum or a mean of what is not whole, a spread, and expressions over
 * those. All else counts, or chooses a value, and is equal to the bit.
 */
function isRounded(group: GroupPlan, place: number): boolean {
  const plan = group.all[place];
  switch (plan?.feature.kind) {
    case 'variance':
    case 'std':
      return true;
    case 'sum':
    case 'mean':
      return !plan.whole;
    case 'expression': {
      const expression = group.expressions.find((item) => item.place === place);
      return expression?.places.some((part) => isRounded(group, part)) === true;
    }
    case 'count':
    case 'min':
    case 'max':
    case 'first':
    case 'last':
    case 'firstK':
    case 'lastK':
    case 'histogram':
    case 'distinct':
    case 'topK':
    case 'percentile':
    case undefined:
      return false;
  }
}

/** Where large terms cancel, what rounding leaves is small beside them, not beside the sum. */
function largestTerm(played: Played, group: GroupPlan): number {
  let largest = 0;
  for (const { event } of [...played.arrivals, ...played.reads]) {
    for (const evaluate of group.inputs) {
      const value = Math.abs(Number(evaluate(event.values)));
      if (value > largest) largest = value;
    }
  }
  return largest;
}
