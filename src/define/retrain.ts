import { type Duration, durationMs } from './duration.ts';

/** Train at instants that are known for all time: every `everyMs` since 1970-01-01 UTC, `atMs` after its beginning. */
export interface EveryRule {
  readonly kind: 'every';
  readonly everyMs: number;
  readonly atMs: number;
}

/** Train when so many outcomes have come that the model has not seen. */
export interface NewLabelsRule {
  readonly kind: 'onNewLabels';
  readonly labels: number;
}

/** Train a recommender when so many interactions have come that it has not seen. */
export interface NewEventsRule {
  readonly kind: 'onNewEvents';
  readonly events: number;
}

export type RetrainRule = EveryRule | NewLabelsRule | NewEventsRule;

export interface EveryOptions {
  /** Time of day in UTC, as `'03:00'`; only for whole days and weeks. Default `'00:00'`. */
  readonly at?: string;
}

/** Bounds of rules. */
export const RETRAIN_LIMITS = {
  /** Shortest time between two due instants, in milliseconds. */
  everyMsMin: 1_000,
  /** Most labels, and most events, that a rule can wait for. */
  labelsMax: 1_000_000_000,
} as const;

const DAY_MS = 86_400_000;

/**
 * A rule that trains a model again and again. Due are the whole multiples of the duration since 1970-01-01 UTC, which was a
 * Thursday: `'1h'` is due at each full hour, `'7d'` at Thursdays.
 *
 * Throws a TypeError for less than a second, and for an `at` that is no time of day or with a duration of other than days.
 *
 * @example
 * defineModel('fraud', { ..., retrain: every('7d', { at: '03:00' }) });
 */
export function every(duration: Duration, options: EveryOptions = {}): EveryRule {
  const everyMs = durationMs(duration);
  if (everyMs < RETRAIN_LIMITS.everyMsMin) {
    throw new TypeError(`every(): the duration is '1s' at least; got '${duration}'`);
  }
  return { kind: 'every', everyMs, atMs: options.at === undefined ? 0 : timeOfDayMs(options.at, everyMs) };
}

function timeOfDayMs(at: string, everyMs: number): number {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(at) ?? [];
  if (hours === undefined || minutes === undefined) {
    throw new TypeError(`every(): 'at' is a time of day in UTC like '03:00'; got '${at}'`);
  }
  if (everyMs % DAY_MS !== 0) {
    throw new TypeError(
      `every(): 'at' needs a duration of whole days; got ${ruleText({ everyMs, atMs: 0 })}`,
    );
  }
  return Number(hours) * 3_600_000 + Number(minutes) * 60_000;
}

/**
 * A rule that trains a model when `labels` more outcomes have come than its last run knew: events of the source that its label
 * is `from`, those alone that meet its `where` unless it has to be `confirmed`. An event without one has a label too once it matures, a
 * negative one; it does not count.
 *
 * Throws a TypeError unless it is a whole number above 0.
 */
export function onNewLabels(labels: number): NewLabelsRule {
  assertCount('onNewLabels', labels);
  return { kind: 'onNewLabels', labels };
}

/**
 * A rule that trains a recommender when `events` more interactions have come than its last run knew.
 *
 * Throws a TypeError unless it is a whole number above 0.
 */
export function onNewEvents(events: number): NewEventsRule {
  assertCount('onNewEvents', events);
  return { kind: 'onNewEvents', events };
}

function assertCount(what: string, count: number): void {
  if (Number.isSafeInteger(count) && count >= 1 && count <= RETRAIN_LIMITS.labelsMax) return;
  throw new TypeError(
    `${what}(): expected a whole number from 1 to ${String(RETRAIN_LIMITS.labelsMax)}; got ${String(count)}`,
  );
}

/** The latest due instant that is not after `now`, in milliseconds UTC. */
export function lastDueAt({ everyMs, atMs }: EveryRule, now: number): number {
  return Math.floor((now - atMs) / everyMs) * everyMs + atMs;
}

/** The earliest due instant after `now`, in milliseconds UTC. */
export function nextDueAt(rule: EveryRule, now: number): number {
  return lastDueAt(rule, now) + rule.everyMs;
}

/** The rule in words, the same for equal rules: `every 7d at 03:00`, `500 new labels`, `500 new events`. */
export function retrainText(rule: RetrainRule): string {
  switch (rule.kind) {
    case 'every':
      return ruleText(rule);
    case 'onNewLabels':
      return `${String(rule.labels)} new labels`;
    case 'onNewEvents':
      return `${String(rule.events)} new events`;
  }
}

const UNITS = [
  ['d', DAY_MS],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

function ruleText({ everyMs, atMs }: Pick<EveryRule, 'everyMs' | 'atMs'>): string {
  const [unit, ms] = UNITS.find(([, size]) => everyMs % size === 0) ?? ['ms', 1];
  const time = new Date(atMs).toISOString().slice(11, 16);
  return `every ${String(everyMs / ms)}${unit}${atMs === 0 ? '' : ` at ${time}`}`;
}

/** Rules as a model has them. Throws a TypeError when there are two of a kind. */
export function retrainRules(
  model: string,
  given: RetrainRule | readonly RetrainRule[] | undefined,
): readonly RetrainRule[] {
  const rules = given === undefined ? [] : [given].flat();
  if (new Set(rules.map(({ kind }) => kind)).size < rules.length) {
    throw new TypeError(
      `Model '${model}': retrain takes one rule of each kind; got ${rules.map(retrainText).join(', ')}`,
    );
  }
  return rules;
}
