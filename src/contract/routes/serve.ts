import { z } from 'zod';
import { digest, name, record, route, rowPositions, time } from './shared.ts';

const decisionAnswer = z.object({
  decisionId: z.string(),
  decision: name,
  outcome: z.string(),
  /** Probability that the label is true. */
  score: z.number(),
  release: z.string(),
  asOf: time,
});
export type DecisionAnswer = z.infer<typeof decisionAnswer>;

export const decide = route('serve', 'decide', 'POST /v1/decisions/{decision}', {
  summary: 'Decide on an event',
  roles: ['producer'],
  params: z.object({ decision: name }).strict(),
  body: record,
  result: decisionAnswer,
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
});
export type LedgerEntry = z.infer<typeof ledgerEntry>;

const ledgerParams = z.object({ decisionId: z.string().max(128) }).strict();

export const getLedgerEntry = route('serve', 'getLedgerEntry', 'GET /v1/ledger/{decisionId}', {
  summary: 'The record of a decision',
  roles: ['operator'],
  params: ledgerParams,
  result: ledgerEntry,
});

const decisionReplay = z.object({
  decisionId: z.string(),
  /** Whether vector and score came out equal bit for bit. */
  equal: z.boolean(),
  recorded: z.object({ values: z.array(z.number().nullable()), score: z.number(), outcome: z.string() }),
  recomputed: z.object({ values: z.array(z.number().nullable()), score: z.number(), outcome: z.string() }),
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
