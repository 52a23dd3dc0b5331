import fc from 'fast-check';
import type { Aims } from './aims.ts';
import { recordArbitrary, type RecordValues } from './records.ts';
import type { Subject } from './subject.ts';

/** Replicas and partitions that streams are played on. */
export const PARTITIONS = 3;
export const STATE_PARTITIONS = 4;
export const REPLICAS = 3;

/**
 * What happens: a record arrives (`event`), one comes again (`again`), one is corrected or deleted (`correct`), a vector is read for a new event or for one that is
 * stored, a replica gets on with the log, state is saved, handed over, lost and restored.
 */
export type StepKind =
  | 'event'
  | 'again'
  | 'correct'
  | 'read'
  | 'readStored'
  | 'deliver'
  | 'save'
  | 'prepare'
  | 'finish'
  | 'restart';

/** One thing that happens. What a kind does not use is at rest: see {@link restingStep}. */
export interface Step {
  readonly what: StepKind;
  /** Time since the step before, in milliseconds. */
  readonly wait: number;
  /** Whether it then goes on to the next instant of the grid. */
  readonly isOnGrid: boolean;
  /** Which grid, by index of {@link Aims.gridsMs}. */
  readonly grid: number;
  /** How far the event's time lies behind its arrival, in milliseconds; negative for a fast clock. */
  readonly late: number;
  /** Whether the event's time is rounded down to the grid. */
  readonly isAligned: boolean;
  /** How far the clock of the reader is behind, in milliseconds. */
  readonly back: number;
  /** Source of the event or of the candidate. */
  readonly source: string;
  readonly record: RecordValues;
  /** Chooses a stored event, a replica, a state partition, a snapshot. */
  readonly pick: number;
  /** Varies what the kind does. */
  readonly flag: boolean;
}

/** A stream: what happens to a log and its readers from an empty start. */
export interface Stream {
  /** Part of ids and keys, so that those of different streams lie in different partitions. */
  readonly salt: number;
  readonly clock: 'wall' | 'event';
  readonly steps: readonly Step[];
}

/** A step of which nothing stands out. */
export function restingStep(what: StepKind): Step {
  return {
    what,
    wait: 0,
    isOnGrid: false,
    grid: 0,
    late: 0,
    isAligned: false,
    back: 0,
    source: '',
    record: {},
    pick: 0,
    flag: false,
  };
}

export interface StreamOptions {
  /** Default 1. */
  readonly stepsMin?: number;
  /** Default 80. */
  readonly stepsMax?: number;
  /** Whether replicas hand state over and lag. Default `true`. */
  readonly hasMoves?: boolean;
}

const SALT_MAX = 99;
const PICK_MAX = 1_000;

/** Streams for the subject's sources. */
export function streamArbitrary(subject: Subject, options: StreamOptions = {}): fc.Arbitrary<Stream> {
  const { stepsMin = 1, stepsMax = 80, hasMoves = true } = options;
  return fc.record({
    salt: fc.integer({ min: 0, max: SALT_MAX }),
    clock: fc.oneof(
      { weight: 4, arbitrary: fc.constant<'wall'>('wall') },
      { weight: 1, arbitrary: fc.constant<'event'>('event') },
    ),
    steps: fc.array(stepArbitrary(subject, hasMoves), {
      minLength: stepsMin,
      maxLength: stepsMax,
      // Else most streams would have a handful of steps.
      size: 'max',
    }),
  });
}

interface WeightedStep {
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<Step>;
}

function stepArbitrary(subject: Subject, hasMoves: boolean): fc.Arbitrary<Step> {
  const { aims } = subject;
  const kinds: WeightedStep[] = [];
  const add = (
    weight: number,
    what: StepKind,
    parts: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  ): void => {
    const arbitrary = fc.record(parts).map((drawn): Step => ({ ...restingStep(what), ...drawn }));
    kinds.push({ weight, arbitrary });
  };
  const timing = timingArbitraries(aims);
  const pick = fc.integer({ min: 0, max: PICK_MAX });
  const flag = fc.boolean();
  const back = backArbitrary(aims);
  for (const { source, groups, outcomes } of subject.plan.sources.values()) {
    const event = {
      ...timing,
      late: latenessArbitrary(aims, source.maxSkewMs),
      isAligned: flag,
      source: fc.constant(source.name),
      record: recordArbitrary(subject, source),
      pick,
      flag,
    };
    if (groups.length > 0) add(8, 'event', event);
    else if (outcomes.length > 0) add(3, 'event', event);
    // A source that only asks has a few events: a candidate may be stored all the same.
    else add(1, 'event', event);
    const isCandidate = [...subject.plan.vectors.values()].some(
      ({ candidate }) => candidate.source.name === source.name,
    );
    if (isCandidate) {
      add(6, 'read', { ...event, back });
      add(4, 'readStored', { ...timing, source: fc.constant(source.name), pick, back });
    }
    if (groups.length > 0 || isCandidate) add(2, 'again', event);
    if (source.corrections === true) add(6, 'correct', event);
  }
  const isCorrected = [...subject.plan.sources.values()].some(({ source }) => source.corrections === true);
  const moves: [number, StepKind][] = [
    [isCorrected ? 3 : 1, 'restart'],
    ...(hasMoves
      ? ([
          [3, 'deliver'],
          [1, 'save'],
          [1, 'prepare'],
          [1, 'finish'],
        ] as [number, StepKind][])
      : []),
  ];
  for (const [weight, what] of moves) add(weight, what, { ...timing, pick, flag, isAligned: flag });
  return fc.oneof(...kinds);
}

function timingArbitraries(aims: Aims): Readonly<Record<string, fc.Arbitrary<unknown>>> {
  const { edgesMs, shortestMs, longestMs, gridsMs } = aims;
  const short = Math.max(2, Math.ceil(shortestMs / 30));
  return {
    wait: fc.oneof(
      { weight: 6, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.constant(1) },
      { weight: 6, arbitrary: fc.integer({ min: 0, max: short }) },
      { weight: 2, arbitrary: fc.constantFrom(...edgesMs) },
      { weight: 2, arbitrary: fc.integer({ min: 0, max: 2 * shortestMs }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: longestMs }) },
    ),
    isOnGrid: fc.boolean(),
    grid: fc.integer({ min: 0, max: gridsMs.length - 1 }),
  };
}

/** How many times the longest window the latest events lie back. */
const LATE_WINDOWS = 1.7;
const SKEW_MS = 90_000;

function latenessArbitrary(aims: Aims, maxSkewMs: number): fc.Arbitrary<number> {
  const { edgesMs, shortestMs, longestMs } = aims;
  return fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 5_000 }) },
    { weight: 3, arbitrary: fc.constantFrom(...edgesMs) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: shortestMs }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: Math.ceil(longestMs * LATE_WINDOWS) }) },
    { weight: 2, arbitrary: fc.integer({ min: -Math.min(SKEW_MS, maxSkewMs), max: 0 }) },
    // As far ahead as is allowed, and one millisecond more.
    { weight: 1, arbitrary: fc.constantFrom(-maxSkewMs, -maxSkewMs - 1) },
  );
}

function backArbitrary(aims: Aims): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 5_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(...aims.edgesMs) },
  );
}
