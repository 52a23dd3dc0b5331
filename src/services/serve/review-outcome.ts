import { compileEventReader, type Event, PlatformError, type Review } from '../../contract/index.ts';
import { compileExpression, type LabelDefinition } from '../../define/index.ts';

/** Before the id of a decision: the id of the outcome that its answer becomes. The same answer is the same event. */
const ID_PREFIX = 'review-';

/** An answer, and what it is about. */
export interface AnsweredEvent {
  readonly label: LabelDefinition;
  readonly decisionId: string;
  /** The event that was decided on. */
  readonly event: Event;
  readonly positive: boolean;
  readonly fields: Readonly<Record<string, unknown>>;
  /** The instant of the answer by the clock of the features, which is event time where sources are replayed. */
  readonly now: number;
}

/** An outcome event. */
export interface Outcome {
  readonly id: string;
  readonly record: Readonly<Record<string, unknown>>;
  /** Whether it comes when the event has matured, and counts no more. */
  readonly late: boolean;
}

/**
 * The record of the label's source of outcomes that an answer becomes; `undefined` when an event without one is negative, and
 * that is the answer. A label with a condition gets a record whichever the answer, and the record must say the same.
 *
 * Throws BAD_REQUEST that names the field that is missing, unknown, filled in by the platform, or not as the source takes it.
 */
export function outcomeOfAnswer(answered: AnsweredEvent): Outcome | undefined {
  const { label, event, positive, fields } = answered;
  const { from } = label;
  for (const name of Object.keys(fields)) assertAsked(label, name);
  if (!positive && label.where === undefined) return undefined;
  const missing = askedFields(label).find(({ name, optional }) => !optional && fields[name] == null);
  if (missing !== undefined) {
    throw refused(label, missing.name, `an outcome in '${from.name}' needs the field '${missing.name}'`);
  }
  // An outcome is not known before what it is the outcome of.
  const time = Math.max(answered.now, event.time);
  const id = label.on === from.id ? event.id : `${ID_PREFIX}${answered.decisionId}`;
  const record = { ...fields, [label.on]: event.id, [from.id]: id, [from.time]: time };
  assertAgrees(label, record, positive);
  return { id, record, late: time >= maturityOf(label, event) };
}

/** When the event matures: outcomes from then on do not count. */
export function maturityOf(label: LabelDefinition, event: Event): number {
  return event.time + label.maturesAfterMs;
}

/** The fields of an outcome that are not filled in here. */
export function askedFields({ from, on }: LabelDefinition): Review['label']['fields'] {
  const filled = new Set([from.id, from.time, on]);
  return Object.entries(from.fields)
    .filter(([name]) => !filled.has(name))
    .map(([name, { kind, optional }]) => ({ name, kind, optional }));
}

function assertAsked(label: LabelDefinition, name: string): void {
  const asked = askedFields(label).map((field) => field.name);
  if (asked.includes(name)) return;
  const known = Object.hasOwn(label.from.fields, name);
  const shown = name.slice(0, 63);
  throw refused(
    label,
    shown,
    known
      ? `the field '${shown}' of an outcome in '${label.from.name}' is filled in here`
      : `an outcome in '${label.from.name}' has no field '${shown}'; it has ${asked.join(', ') || 'none to give'}`,
  );
}

function assertAgrees(label: LabelDefinition, record: unknown, positive: boolean): void {
  const result = compileEventReader(label.from)(record);
  if (!('event' in result)) {
    const { field, reason } = result.rejection;
    throw refused(label, field ?? label.from.id, reason);
  }
  if (label.where === undefined) return;
  const says = compileExpression(label.where)(result.event.values) === true;
  if (says === positive) return;
  throw refused(
    label,
    'positive',
    `the answer is that '${label.name}' is ${String(positive)}, but by its fields the outcome makes it ${String(says)}`,
  );
}

function refused(label: LabelDefinition, field: string, reason: string): PlatformError {
  return new PlatformError('BAD_REQUEST', reason, {
    details: { field, label: label.name, source: label.from.name, fields: askedFields(label) },
  });
}
