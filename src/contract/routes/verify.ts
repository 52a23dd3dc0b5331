import { z } from 'zod';
import { READERS, digest, name, page, route, time } from './shared.ts';

/** Most decisions in one verification of features. */
export const SAMPLE_MAX = 100_000;
/** Differing rows that a verification shows. */
export const DIFFERENCES_MAX = 20;

/** Why served values could not be recomputed: such rows are counted apart and never as equal. */
const notRecomputable = z.enum([
  /** The app defines this vector no more, or defines it in another way. */
  'definition-changed',
  /** A file of the archive is gone from the object store. */
  'archive-missing',
  /** The row was read at positions that the log has not, or not any more, and the archive neither. */
  'log-missing',
  /** The candidate is no event under the present contract of its source. */
  'contract-changed',
]);
export type NotRecomputable = z.infer<typeof notRecomputable>;

const verificationRequest = z
  .object({
    /** How many decisions are drawn by lot; all of them when there are fewer. */
    sample: z.number().int().min(1).max(SAMPLE_MAX).default(1_000),
    /** Decisions made in [since, until), in milliseconds UTC. Default: the 24 hours before the request. */
    since: time.optional(),
    until: time.optional(),
    /** A repeated call with the same key answers with the same verification. */
    idempotencyKey: z.string().min(1).max(128).optional(),
  })
  .strict();
export type VerificationRequest = z.infer<typeof verificationRequest>;

const counts = {
  /** Values that were recomputed and compared. */
  values: z.number().int(),
  /** Those that came out different from what was served, bit for bit. */
  mismatches: z.number().int(),
};

const difference = z.object({
  decisionId: z.string(),
  at: time,
  vector: name,
  feature: z.string(),
  served: z.number().nullable(),
  recomputed: z.number().nullable(),
});
export type Difference = z.infer<typeof difference>;

const verificationSummary = z.object({
  id: z.string(),
  state: z.enum(['queued', 'running', 'done', 'failed']),
  createdAt: time,
  endedAt: time.nullable(),
  since: time,
  until: time,
  sample: z.number().int(),
  /** Decisions of the ledger in [since, until). */
  decisions: z.number().int(),
  /** Decisions whose values were compared. */
  rows: z.number().int(),
  ...counts,
  /** Decisions that nothing can be said about. */
  notRecomputable: z.number().int(),
  /** Why it failed. */
  error: z.string().nullable(),
});
export type VerificationSummary = z.infer<typeof verificationSummary>;

/** A verification: logged decisions whose vectors were recomputed from log and archive, and what came of it. */
export const verification = verificationSummary.extend({
  /** Decisions are drawn in the order of a hash of their ids with this seed. */
  seed: z.number().int(),
  /** By feature, the worst first. */
  features: z.array(z.object({ vector: name, vectorHash: digest, feature: z.string(), ...counts })),
  reasons: z.array(z.object({ reason: notRecomputable, rows: z.number().int() })),
  /** The first differences, in the order of their decisions. */
  differences: z.array(difference),
});
export type Verification = z.infer<typeof verification>;

export const startVerification = route('features', 'startVerification', 'POST /v1/features/verify', {
  summary: 'Recompute served vectors of logged decisions and count what differs, as a job',
  roles: ['scientist', 'operator'],
  body: verificationRequest,
  result: verification,
});

export const listVerifications = route('features', 'listVerifications', 'GET /v1/features/verifications', {
  summary: 'Verifications of served vectors, newest first',
  roles: [...READERS, 'service'],
  query: page.extend({
    /** Only those that are done and compared at least so many values. */
    valuesMin: z.coerce.number().int().min(0).optional(),
  }),
  result: z.object({ verifications: z.array(verificationSummary), next: z.string().nullable() }),
});

export const getVerification = route('features', 'getVerification', 'GET /v1/features/verifications/{id}', {
  summary: 'One verification with the features and decisions that differ',
  roles: ['scientist', 'operator'],
  params: z.object({ id: z.string().max(128) }).strict(),
  result: verification,
});
