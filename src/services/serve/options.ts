import { z } from 'zod';
import { CANDIDATES_MAX } from '../../contract/index.ts';

/** Limits and times of the service. In the environment `batchMax` is `TANDEM_SERVE_BATCH_MAX`, and so on. */
export interface ServeOptions {
  /**
   * How often the registry is asked for new releases even if no signal came, in milliseconds. Default 500.
   */
  readonly pollMs: number;
  /** Decisions under way at once; beyond it a decision is refused with OVERLOADED. Default 2,048. */
  readonly inFlightMax: number;
  /** Decisions that wait for a vector read, for each vector; beyond it OVERLOADED. Default 1,024. */
  readonly queueMax: number;
  /** Candidates in one vector read. Default 256. */
  readonly batchMax: number;
  /**
   * Vector reads under way at once, for each vector. More hide the time on the network, fewer make larger
   * batches. Default 2.
   */
  readonly readsMax: number;
  /**
   * Durable entries in one insert into the ledger; buffered ones fill it up to twice as many. Default 500.
   */
  readonly ledgerBatchMax: number;
  /**
   * Buffered entries that a crash can lose; with as many waiting, decisions wait for room. Default 10,000.
   */
  readonly ledgerBufferMax: number;
  /**
   * How far the buffer may be behind while the database answers, in milliseconds; then decisions wait.
   * Default 1,000.
   */
  readonly ledgerLagMsMax: number;
  /** Days after which the ledger is dropped, a whole day at a time; 0 keeps it for ever. Default 400. */
  readonly ledgerDays: number;
  /** Models of earlier releases kept loaded for replays. Default 8. */
  readonly replayModelsMax: number;
  /** How long the readiness check waits for each other part, in milliseconds. Default 2,000. */
  readonly readyMs: number;
}

/** A whole number; from the environment it comes as text. */
function whole(low: number, high: number, initial: number): z.ZodType<number> {
  return z.coerce.number().int().min(low).max(high).default(initial);
}

/** Reads {@link ServeOptions}; unknown names are errors. */
export const serveOptions: z.ZodType<ServeOptions> = z
  .object({
    pollMs: whole(10, 60_000, 500),
    inFlightMax: whole(1, 1_000_000, 2_048),
    queueMax: whole(1, 1_000_000, 1_024),
    batchMax: whole(1, CANDIDATES_MAX, 256),
    readsMax: whole(1, 64, 2),
    ledgerBatchMax: whole(1, 10_000, 500),
    ledgerBufferMax: whole(1, 1_000_000, 10_000),
    ledgerLagMsMax: whole(1, 60_000, 1_000),
    ledgerDays: whole(0, 36_500, 400),
    replayModelsMax: whole(1, 1_000, 8),
    readyMs: whole(1, 60_000, 2_000),
  })
  .strict();
