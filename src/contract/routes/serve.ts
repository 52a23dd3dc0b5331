import { z } from 'zod';
import { REASONS_MAX } from '../../define/decision.ts';
import { recommendationRecord, replayedItems } from './recommendations.ts';
import { digest, name, record, route, rowPositions, time } from './shared.ts';

/** One input's part in a decision. */
export const decisionReason = z.object({
  /** Name of the input, as in the vector. */
  input: z.string(),
  /** Null: missing. */
  value: z.number().nullable(),
  /** What the value stands for, where the input is a category. */
  category: z.string().optional(),
  /** What it added to the margin. */
  contribution: z.number(),
});
export type DecisionReason = z.infer<typeof decisionReason>;

/**
 * What the contributions add up to: the log odds of the score, or those before the curve of a calibrated model, of which the score
 * is made.
 */
export const marginScale = z.enum(['log odds', 'log odds before calibration', 'prediction']);

export const decisionAnswer = z.object({
  decisionId: z.string(),
  decision: name,
  outcome: z.string(),
  /** Probability that the label is true. */
  score: z.number(),
  release: z.string(),
  asOf: time,
});
/** A decision that comes with its reasons: only where they were asked for, and the version can be explained. */
const explainedAnswer = decisionAnswer.extend({
  /** The strongest first; none that contributed nothing. */
  reasons: z.array(decisionReason).optional(),
  /** Margin of the model when nothing is known of an event; with all contributions it adds up to that of the score. */
  base: z.number().optional(),
  scale: marginScale.optional(),
});
export type DecisionAnswer = z.infer<typeof explainedAnswer>;

export const decide = route('serve', 'decide', 'POST /v1/decisions/{decision}', {
  summary: 'Decide on an event',
  roles: ['producer'],
  params: z.object({ decision: name }).strict(),
  query: z
    .object({
      /** How many reasons to give. Default: as the decision says. */
      explain: z.coerce.number().int().min(0).max(REASONS_MAX).optional(),
    })
    .strict(),
  body: record,
  result: explainedAnswer,
  timeoutMs: 5_000,
});

const ledgerEntry = decisionAnswer.extend({
  subject: z.string(),
  at: time,
  request: record,
  vector: name,
  vectorHash: digest,
  names: z.array(z.string()),
  values: z.array(z.number().nullable()),
  ...rowPositions.shape,
  /** The trace that it was made in, for `tandem trace`; `null` for decisions of before there were any. */
  traceId: z.string().nullable(),
  /**
   * Of a recommendation, whose id, name and user are the decision's id, name and subject here, and whose vector is the user's
   * history; the score is that of the first item. Absent for decisions.
   */
  recommendation: recommendationRecord.optional(),
});
export type LedgerEntry = z.infer<typeof ledgerEntry>;

export const ledgerParams = z.object({ decisionId: z.string().max(128) }).strict();

export const getLedgerEntry = route('serve', 'getLedgerEntry', 'GET /v1/ledger/{decisionId}', {
  summary: 'The record of a decision',
  roles: ['operator'],
  params: ledgerParams,
  result: ledgerEntry,
});

const replayedAnswer = z.object({
  values: z.array(z.number().nullable()),
  score: z.number(),
  outcome: z.string(),
  /** Of a recommendation. */
  items: replayedItems.optional(),
});

const decisionReplay = z.object({
  decisionId: z.string(),
  /** Whether vector and score, of a recommendation all items and their scores, came out equal bit for bit. */
  equal: z.boolean(),
  recorded: replayedAnswer,
  recomputed: replayedAnswer,
  /** Names of the values that differ. */
  differences: z.array(z.string()),
});
export type DecisionReplay = z.infer<typeof decisionReplay>;

export const replayDecision = route('serve', 'replayDecision', 'POST /v1/ledger/{decisionId}/replay', {
  summary: 'Recompute a decision from the log, the release and its receipt',
  roles: ['scientist', 'operator'],
  params: ledgerParams,
  result: decisionReplay,
  idempotent: true,
  timeoutMs: 60_000,
});

/** Most entries in one read of the ledger. */
export const LEDGER_READ_MAX = 200;

/** Internal: for verifications of features. */
export const sampleLedger = route('serve', 'sampleLedger', 'POST /v1/ledger/sample', {
  summary: 'Ids of decisions drawn by lot (internal to the platform)',
  roles: ['service'],
  body: z
    .object({
      since: time,
      until: time,
      seed: z.number().int(),
      sample: z.number().int().min(1).max(100_000),
    })
    .strict(),
  /** In the order of the decisions. */
  result: z.object({ decisions: z.number().int(), ids: z.array(z.string()) }),
  idempotent: true,
  timeoutMs: 300_000,
});

/** Internal: shows requests, and is for no person. */
export const readLedger = route('serve', 'readLedger', 'POST /v1/ledger/read', {
  summary: 'Records of decisions by their ids; those that are gone are left out (internal to the platform)',
  roles: ['service'],
  body: z.object({ ids: z.array(z.string().max(128)).min(1).max(LEDGER_READ_MAX) }).strict(),
  result: z.object({ entries: z.array(ledgerEntry) }),
  idempotent: true,
  timeoutMs: 60_000,
});
