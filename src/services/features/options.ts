import { z } from 'zod';

/** Configuration of the features service, set by `TANDEM_FEATURES_<OPTION>`. */
export const featuresOptions = z
  .object({
    /**
     * What issues the instant of a read. `wall`: wall-clock time. `event`: the event time of the event decided on, for
     * sources that are replayed, backfilled or simulated.
     */
    clock: z.enum(['wall', 'event']).default('wall'),
    /** With `clock: event`, how far behind the newest event time a vector may be read, in milliseconds. Default 2 days. */
    readBehindMs: z.coerce.number().int().min(0).default(172_800_000),
    /** The state is saved when this many records were applied since the last time, or at the latest after `snapshotMs`. */
    snapshotRecords: z.coerce.number().int().min(1).default(100_000),
    /** Longest time between two snapshots while records arrive, in milliseconds. */
    snapshotMs: z.coerce.number().int().min(1_000).default(300_000),
    /** Records go from the log to the Parquet archive at the latest after this, in milliseconds. */
    archiveMs: z.coerce.number().int().min(100).default(60_000),
    /** Most records in one file that a flush of the archive writes. */
    archiveRecordsMax: z.coerce.number().int().min(1_000).default(250_000),
    /** So many small files of a source are merged into one. */
    archiveFilesMax: z.coerce.number().int().min(2).default(24),
    /** How long the log keeps records that are archived and in a snapshot, in milliseconds. Default 7 days. */
    logRetentionMs: z.coerce.number().int().min(3_600_000).default(604_800_000),
    /** Longest stretch of applying records before other work gets its turn, in milliseconds. */
    applySliceMs: z.coerce.number().min(1).default(8),
  })
  .strict();

export type FeaturesOptions = z.infer<typeof featuresOptions>;
