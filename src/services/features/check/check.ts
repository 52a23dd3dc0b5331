import fc from 'fast-check';
import { PlatformError } from '../../../contract/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { compareStreams, failingStreams, type Mismatch } from './compare.ts';
import { minimise } from './minimise.ts';
import type { Played } from './play.ts';
import { type Stream, streamArbitrary, type StreamOptions } from './stream.ts';
import type { Subject } from './subject.ts';

/** How many streams share a statement; the seed of each batch follows from the first one and its number. */
const STREAMS_PER_BATCH = 256;

export interface CheckOptions {
  readonly warehouse: Warehouse;
  /** Streams to play. */
  readonly runs: number;
  readonly seed: number;
  /** Play this one alone: its number, from 0. */
  readonly run?: number;
  readonly streams?: StreamOptions;
  /** Says how far it is. */
  readonly onProgress?: (progress: CheckProgress) => void;
}

export interface CheckProgress {
  readonly runs: number;
  readonly values: number;
  readonly isMinimising: boolean;
}

/** What streams held that the rules are about. */
export interface Counts {
  readonly events: number;
  readonly reads: number;
  /** Records with the id of one before. */
  readonly duplicates: number;
  /** Events older than one that came before them. */
  readonly late: number;
  /** Events ahead of the clock that they came at. */
  readonly future: number;
  readonly quarantined: number;
  /** Records with a revision above 0, and those that delete; none where the group's source takes no corrections. */
  readonly corrections: number;
  readonly deletions: number;
  /** Events that the filter let through, and those that it did not. */
  readonly passed: number;
  readonly filtered: number;
}

export interface CheckFailure {
  readonly run: number;
  /** The stream as it was drawn had so many steps. */
  readonly stepsBefore: number;
  readonly mismatch: Mismatch;
}

export interface CheckResult {
  readonly runs: number;
  /** Values compared between the three executors. */
  readonly values: number;
  readonly counts: Counts;
  readonly failure?: CheckFailure;
}

/** Plays random streams until one fails or all have been played; a failure is made small. */
export async function checkSubject(subject: Subject, options: CheckOptions): Promise<CheckResult> {
  const totals: Totals = { runs: 0, values: 0, counts: NONE };
  const first = options.run ?? 0;
  const end = options.run === undefined ? options.runs : first + 1;
  for (let run = first; run < end;) {
    const drawn = drawStreams(subject, options, run, end);
    for (const streams of subject.isShared ? [drawn] : drawn.map((stream) => [stream])) {
      const compared = await compareStreams(subject, options.warehouse, streams);
      totals.runs += streams.length;
      totals.values += compared.values;
      totals.counts = compared.played.reduce(
        (sum, item) => added(sum, countsOf(subject, item)),
        totals.counts,
      );
      options.onProgress?.({ ...totals, isMinimising: false });
      const [found] = compared.mismatches;
      if (found === undefined) continue;
      const failing = run + drawn.indexOf(found.played.stream);
      const mismatch = await smallest(subject, options, found, totals);
      const stepsBefore = found.played.stream.steps.length;
      return { ...totals, failure: { run: failing, stepsBefore, mismatch } };
    }
    run += drawn.length;
  }
  return totals;
}

interface Totals {
  runs: number;
  values: number;
  counts: Counts;
}

async function smallest(
  subject: Subject,
  options: CheckOptions,
  found: Mismatch,
  totals: Totals,
): Promise<Mismatch> {
  const { warehouse } = options;
  const isOnline = found.online !== found.replay && found.online !== found.sql;
  const stream = await minimise(subject, found.played.stream, (candidates) => {
    options.onProgress?.({ ...totals, isMinimising: true });
    return failingStreams(subject, warehouse, candidates, isOnline);
  });
  const [mismatch] = (await compareStreams(subject, warehouse, [stream])).mismatches;
  return mismatch ?? found;
}

/** The streams from number `run` to the end of its batch, or to `end`. */
function drawStreams(subject: Subject, options: CheckOptions, run: number, end: number): Stream[] {
  const batch = Math.floor(run / STREAMS_PER_BATCH);
  const from = run % STREAMS_PER_BATCH;
  const to = Math.min(STREAMS_PER_BATCH, from + end - run);
  const seed = (options.seed + Math.imul(batch, 0x9e3779b1)) | 0;
  return fc.sample(streamArbitrary(subject, options.streams), { seed, numRuns: to }).slice(from);
}

const NONE: Counts = {
  events: 0,
  reads: 0,
  duplicates: 0,
  late: 0,
  future: 0,
  quarantined: 0,
  corrections: 0,
  deletions: 0,
  passed: 0,
  filtered: 0,
};

function countsOf(subject: Subject, played: Played): Counts {
  const counts = { ...NONE, reads: played.reads.length, quarantined: played.quarantined };
  const ids = new Set<string>();
  const latest = new Map<string, number>();
  for (const { source, partition, event, appendedAt } of played.arrivals) {
    counts.events += 1;
    const id = JSON.stringify([source, partition, event.id]);
    if (ids.has(id)) counts.duplicates += 1;
    ids.add(id);
    if (event.deleted === true) {
      counts.deletions += 1;
      continue;
    }
    if (event.revision !== undefined) counts.corrections += 1;
    const before = latest.get(source) ?? Number.NEGATIVE_INFINITY;
    if (event.time < before) counts.late += 1;
    latest.set(source, Math.max(before, event.time));
    if (event.time > appendedAt) counts.future += 1;
    for (const group of subject.plan.sources.get(source)?.groups ?? []) {
      const { labelName, passes } = group;
      const isThrough =
        labelName === undefined
          ? passes(event.values)
          : passes({ ...event.values, [labelName]: false }) || passes({ ...event.values, [labelName]: true });
      if (isThrough) counts.passed += 1;
      else counts.filtered += 1;
    }
  }
  return counts;
}

function added(left: Counts, right: Counts): Counts {
  const entries = (Object.keys(NONE) as (keyof Counts)[]).map((name) => [name, left[name] + right[name]]);
  return Object.fromEntries(entries) as unknown as Counts;
}

/** Throws CONFIGURATION unless the number of streams and the seed can be used. */
export function assertCheckNumbers(runs: number, seed: number): void {
  if (!Number.isSafeInteger(runs) || runs < 1 || runs > RUNS_MAX)
    throw new PlatformError(
      'CONFIGURATION',
      `--runs: expected a whole number from 1 to ${String(RUNS_MAX)}, got ${String(runs)}`,
    );
  if (!Number.isSafeInteger(seed) || Math.abs(seed) >= 2 ** 31)
    throw new PlatformError(
      'CONFIGURATION',
      `--seed: expected a whole number below 2^31, got ${String(seed)}`,
    );
}

/** Most streams of a group in one run. */
const RUNS_MAX = 1_000_000;
