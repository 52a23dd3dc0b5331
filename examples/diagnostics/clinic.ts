import { DAY_MS, RandomStream } from '@tandem-examples/driver';
import type { CaseFile, ClinicalCase } from './datasets/case-file.ts';

/*
 * A clinic that goes through a file of cases as if they came in one after the other. Nothing here knows the
 * product: it says what happens when, and the same options give the same events.
 */

/** The first day. */
const START_MS: number = Date.UTC(2026, 0, 5);
/** Cases come in batches: so many days each, the cases spread over them evenly. */
export const BATCH_MS: number = 4 * DAY_MS;
/** When a label is known after its case, as the apps say. */
export const MATURITY_MS: number = 4 * DAY_MS;
/** Pathology takes so long, in milliseconds: less than a label takes to mature. */
const FINDING_MS = { from: DAY_MS, to: 3 * DAY_MS } as const;
/** The clinician looks at the queue this often. */
const ROUND_MS: number = DAY_MS / 2;
/** What random numbers are for. */
const STREAM = { order: 1, findings: 2 } as const;

/** A case as it comes in. */
export interface ClinicCase {
  readonly id: string;
  readonly patient: string;
  readonly at: number;
  /** When pathology has its finding, where nobody else was asked. */
  readonly findingAt: number;
  readonly known: ClinicalCase;
}

/** What happens at an instant: a case comes in, pathology has found something, the clinician looks, a model is trained. */
export type ClinicEvent =
  | { readonly kind: 'case'; readonly sendAt: number; readonly case: ClinicCase }
  | { readonly kind: 'finding'; readonly sendAt: number; readonly case: ClinicCase }
  | { readonly kind: 'round'; readonly sendAt: number }
  | {
      readonly kind: 'training';
      readonly sendAt: number;
      /** The number of the batch whose labels have just matured, from 1. */
      readonly batch: number;
      /** Cases whose label is known. */
      readonly cases: number;
    };

export interface Clinic {
  readonly file: CaseFile;
  readonly startMs: number;
  /** Whether all cases of the file come in. */
  readonly isWhole: boolean;
  readonly cases: readonly ClinicCase[];
  /** In the order of time; of one instant: round, training, case, finding. */
  readonly events: readonly ClinicEvent[];
}

export interface ClinicOptions {
  /** Decides on the order of the cases and how long pathology takes. */
  readonly seed: number;
  /** Only so many batches; undefined: all. */
  readonly batches?: number | undefined;
}

/** Opens a clinic that sees the cases of a file. */
export function openClinic(file: CaseFile, options: ClinicOptions): Clinic {
  const count = Math.min(file.cases.length, (options.batches ?? Infinity) * file.batchCases);
  const order = new RandomStream(options.seed, STREAM.order).sample(file.cases.length, count);
  const pathology = new RandomStream(options.seed, STREAM.findings);
  const interval = BATCH_MS / file.batchCases;
  const cases = order.flatMap((place, index): ClinicCase[] => {
    const known = file.cases[place];
    if (known === undefined) return [];
    // In the middle of its share of the batch: none falls on the border between two.
    const at = START_MS + Math.floor((index + 0.5) * interval);
    const findingAt = at + Math.floor(pathology.between(FINDING_MS.from, FINDING_MS.to));
    const number = String(index + 1).padStart(4, '0');
    return [{ id: `c${number}`, patient: `p${number}`, at, findingAt, known }];
  });
  const isWhole = count === file.cases.length;
  return { file, startMs: START_MS, isWhole, cases, events: eventsOf(cases) };
}

/** The record of the source `cases`, in JSON. */
export function caseRecord({ id, patient, at, known }: ClinicCase): string {
  const values = Object.entries(known.values).filter(([, value]) => value !== null);
  return JSON.stringify({ caseId: id, at, patientId: patient, ...Object.fromEntries(values) });
}

/** What a case turned out to be, in the words of its data set. */
export function findingOf({ known }: ClinicCase, { findings }: CaseFile): string {
  return known.isPositive ? findings.positive : findings.negative;
}

/** The record of the source `findings` that pathology sends, in JSON. */
export function findingRecord(found: ClinicCase, file: CaseFile): string {
  return JSON.stringify({
    findingId: `f-${found.id}`,
    at: found.findingAt,
    caseId: found.id,
    finding: findingOf(found, file),
  });
}

const ORDER: readonly ClinicEvent['kind'][] = ['round', 'training', 'case', 'finding'];

function eventsOf(cases: readonly ClinicCase[]): ClinicEvent[] {
  const events: ClinicEvent[] = cases.flatMap((known) => [
    { kind: 'case', sendAt: known.at, case: known },
    { kind: 'finding', sendAt: known.findingAt, case: known },
  ]);
  const lastMs = cases.at(-1)?.at ?? START_MS;
  const batches = Math.ceil((lastMs - START_MS) / BATCH_MS);
  for (let batch = 1; batch <= batches; batch += 1) {
    const endMs = START_MS + batch * BATCH_MS;
    const matured = cases.filter(({ at }) => at < endMs).length;
    events.push({ kind: 'training', sendAt: endMs + MATURITY_MS, batch, cases: matured });
  }
  for (let at = START_MS + ROUND_MS; at <= lastMs + ROUND_MS; at += ROUND_MS)
    events.push({ kind: 'round', sendAt: at });
  return events.sort(
    (one, other) => one.sendAt - other.sendAt || ORDER.indexOf(one.kind) - ORDER.indexOf(other.kind),
  );
}
