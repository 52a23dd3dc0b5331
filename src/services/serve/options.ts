import { z } from 'zod';
import { CANDIDATES_MAX } from '../../contract/index.ts';

/** A whole number; from the environment it comes as text. */
function whole(
  low: number,
  high: number,
  initial: number,
  description: string,
): z.ZodDefault<z.ZodCoercedNumber> {
  return z.coerce.number().int().min(low).max(high).default(initial).describe(description);
}

/** Limits and times of the service, set by `TANDEM_SERVE_<OPTION>`; unknown names are errors. */
export const serveOptions = z
  .object({
    pollMs: whole(10, 60_000, 500, 'How often the registry is asked for releases besides signals, in ms'),
    inFlightMax: whole(
      1,
      1_000_000,
      2_048,
      'Decisions and recommendations at work at a time; beyond it OVERLOADED',
    ),
    queueMax: whole(
      1,
      1_000_000,
      1_024,
      'Decisions, or recommendations, that wait for a vector read, by vector; beyond it OVERLOADED',
    ),
    batchMax: whole(
      1,
      CANDIDATES_MAX,
      256,
      'Candidates in one vector read; those of one recommendation are never split',
    ),
    readsMax: whole(
      1,
      64,
      2,
      'Vector reads at a time, by vector: more hide the network, fewer make larger batches',
    ),
    ledgerBatchMax: whole(
      1,
      10_000,
      500,
      'Durable entries in one insert; buffered ones fill it up to twice as many',
    ),
    ledgerBufferMax: whole(
      1,
      1_000_000,
      10_000,
      'Buffered entries that a crash can lose; then decisions wait',
    ),
    ledgerLagMsMax: whole(
      1,
      60_000,
      1_000,
      'How far the buffer may be behind while the database answers, in ms',
    ),
    ledgerDays: whole(0, 36_500, 400, 'Days after which a day of the ledger is dropped; 0 keeps it for ever'),
    reviewsMax: whole(
      1,
      10_000_000,
      100_000,
      'Decisions that wait for a person; beyond it the oldest leave the queue (not the ledger)',
    ),
    reviewUpkeepMs: whole(
      100,
      3_600_000,
      10_000,
      'How often the queue of reviews is counted and held to its bound, and outcomes that were not sent are sent, in ms',
    ),
    replayModelsMax: whole(
      1,
      1_000,
      8,
      'Models of earlier releases kept loaded for replays and explanations',
    ),
    replayItemModelsMax: whole(
      1,
      100,
      2,
      'Recommenders of earlier releases kept loaded for replays; one of 5,000 items takes 100 MB',
    ),
    readyMs: whole(1, 60_000, 2_000, 'How long readiness waits for each other part, in ms'),
  })
  .strict();

export type ServeOptions = z.infer<typeof serveOptions>;
