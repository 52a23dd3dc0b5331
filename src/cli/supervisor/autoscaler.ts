import type { ReplicaRange } from '../../define/index.ts';

/** How quickly numbers of processes follow their signals. */
export const AUTOSCALER = {
  /** Up to this share above the target nothing is done: a signal wavers. */
  tolerance: 0.1,
  /** From this share above the target on one look is enough; below it all looks of {@link sureAfterMs} must ask for more. */
  urgent: 0.5,
  /** In milliseconds. */
  sureAfterMs: 1_000,
  /** One step up is at most to so many times the number of processes, or that many more, whichever is more. */
  stepFactor: 2,
  stepMore: 4,
  /** Between two steps down, each of one process, in milliseconds. */
  downPauseMs: 5_000,
} as const;

/** One signal of a service, over all its processes that answered. */
export interface SignalReading {
  readonly name: string;
  /** Of processes: the average of them. Of the service: what all have together. */
  readonly value: number;
  /** What one process should have. */
  readonly target: number;
  readonly of: 'process' | 'service';
}

/** What a look at a service found. */
export interface Observation {
  /** Processes that are ready; the averages are over them. */
  readonly ready: number;
  readonly signals: readonly SignalReading[];
  /** Whether a call found no process of the service, or somebody wants one. */
  readonly isNeeded: boolean;
}

/** What an earlier look asked for. */
export interface Recommendation {
  readonly atMs: number;
  readonly replicas: number;
}

export interface AutoscalerInput {
  /** Only what no look asked for in this long goes down, in milliseconds. */
  readonly downAfterMs: number;
  /** By a clock that never goes back. */
  readonly nowMs: number;
  readonly range: ReplicaRange;
  /** Processes that are wanted so far. */
  readonly replicas: number;
  /** `undefined`: not every process answered, so nothing is known. */
  readonly observed: Observation | undefined;
  /** Earlier recommendations, oldest first, as the last decision left them. */
  readonly history: readonly Recommendation[];
  /** When the number last went down; `undefined` when it never did. */
  readonly wentDownMs: number | undefined;
}

export interface Decision {
  readonly replicas: number;
  /** Why the number changes, in words; `undefined` when it stays. */
  readonly reason: string | undefined;
  /** The signal that asks for most. */
  readonly signal: SignalReading | undefined;
  readonly history: readonly Recommendation[];
}

/** How many processes a service should have. Up at once, down slowly and only when nothing asked for more for a while. */
export function decide(input: AutoscalerInput): Decision {
  const { nowMs, range, replicas, observed, downAfterMs } = input;
  const asked = observed === undefined ? { replicas } : recommend(observed, replicas);
  // The last one before that time counts too: it held until the next.
  const first = input.history.findLastIndex(({ atMs }) => nowMs - atMs >= downAfterMs);
  const kept = input.history.slice(Math.max(first, 0));
  const history = [...kept, { atMs: nowMs, replicas: asked.replicas }];
  const { signal } = asked;
  const within = clamp(replicas, range);
  if (within !== replicas) {
    return { replicas: within, reason: `${rangeText(range)} may run`, signal, history };
  }
  const wanted = clamp(asked.replicas, range);
  if (wanted > replicas) {
    const next = clamp(Math.min(wanted, stepUp(replicas)), range);
    const isSure = replicas === 0 || isUrgent(signal, replicas) || hasAskedForMore(history, replicas);
    if (isSure) return { replicas: next, reason: upReason(observed, signal, wanted), signal, history };
  }
  if (wanted < replicas && mayGoDown(input, history)) {
    return { replicas: replicas - 1, reason: downReason(history, input), signal, history };
  }
  return { replicas, reason: undefined, signal, history };
}

interface Asked {
  readonly replicas: number;
  readonly signal?: SignalReading | undefined;
}

/** The largest number that a signal asks for; without any the number stays. */
function recommend(observed: Observation, replicas: number): Asked {
  const { ready, signals, isNeeded } = observed;
  const least = isNeeded ? 1 : 0;
  let most: Asked | undefined;
  let highest = 0;
  for (const signal of signals) {
    const load = loadOf(signal, ready);
    if (most !== undefined && load <= highest) continue;
    highest = load;
    most = { replicas: replicasFor(load, replicas), signal };
  }
  if (most === undefined) return { replicas: Math.max(replicas, least) };
  return { ...most, replicas: Math.max(most.replicas, least) };
}

/** The work in processes' worth of it. */
function loadOf({ value, target, of }: SignalReading, ready: number): number {
  return (value / target) * (of === 'service' ? 1 : ready);
}

function replicasFor(load: number, replicas: number): number {
  const isBearable = load > replicas && load <= replicas * (1 + AUTOSCALER.tolerance);
  return isBearable ? replicas : Math.ceil(load);
}

function stepUp(replicas: number): number {
  return Math.max(replicas * AUTOSCALER.stepFactor, replicas + AUTOSCALER.stepMore);
}

function isUrgent(signal: SignalReading | undefined, replicas: number): boolean {
  if (signal === undefined) return true;
  const { value, target, of } = signal;
  return value / target / (of === 'service' ? replicas : 1) >= 1 + AUTOSCALER.urgent;
}

/** Whether every look asked for more than that, for as long as it takes to be sure. */
function hasAskedForMore(history: readonly Recommendation[], replicas: number): boolean {
  const nowMs = history.at(-1)?.atMs ?? 0;
  // The one that held when that time began counts too.
  const first = history.findLastIndex(({ atMs }) => nowMs - atMs >= AUTOSCALER.sureAfterMs);
  return first !== -1 && history.slice(first).every((past) => past.replicas > replicas);
}

function mayGoDown(
  { nowMs, replicas, wentDownMs, downAfterMs }: AutoscalerInput,
  history: readonly Recommendation[],
): boolean {
  const [oldest] = history;
  // Right after a start there is no past to go by.
  if (oldest === undefined || nowMs - oldest.atMs < downAfterMs) return false;
  if (wentDownMs !== undefined && nowMs - wentDownMs < AUTOSCALER.downPauseMs) return false;
  return highest(history) < replicas;
}

function highest(history: readonly Recommendation[]): number {
  return history.reduce((most, { replicas }) => Math.max(most, replicas), 0);
}

function clamp(replicas: number, { min, max }: ReplicaRange): number {
  return Math.min(Math.max(replicas, min), max);
}

function rangeText({ min, max }: ReplicaRange): string {
  return min === max ? String(min) : `${String(min)} to ${String(max)}`;
}

function upReason(
  observed: Observation | undefined,
  signal: SignalReading | undefined,
  wanted: number,
): string {
  if (signal === undefined || signal.value === 0) {
    return observed?.isNeeded === true ? 'a call waits for it' : `${String(wanted)} are needed`;
  }
  return `${signalText(signal)}: ${String(wanted)} wanted`;
}

function downReason(history: readonly Recommendation[], { range, downAfterMs }: AutoscalerInput): string {
  const seconds = downAfterMs / 1_000;
  const most = Math.max(highest(history), range.min);
  return most === 0
    ? `nothing to do for ${String(seconds)} s`
    : `no more than ${String(most)} wanted for ${String(seconds)} s`;
}

/** A reading in words: `requests in flight 21.4 of each process, target 8`. */
export function signalText({ name, value, target, of }: SignalReading): string {
  const number = value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
  const whose = of === 'process' ? ' of each process' : '';
  return `${name.replaceAll('_', ' ')} ${number}${whose}, target ${String(target)}`;
}
