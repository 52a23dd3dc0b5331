import { z } from 'zod';
import { SAMPLE_MAX, STATE_PARTITIONS } from '../../contract/index.ts';

/** Most threads: each has at least one of the state partitions. */
const THREADS_MAX = STATE_PARTITIONS;

/** A whole number; from the environment it comes as text. */
function whole(low: number, initial: number, description: string): z.ZodDefault<z.ZodCoercedNumber> {
  return z.coerce.number().int().min(low).default(initial).describe(description);
}

/** Configuration of the features service, set by `TANDEM_FEATURES_<OPTION>`; unknown names are errors. */
export const featuresOptions = z
  .object({
    clock: z
      .enum(['wall', 'event'])
      .default('wall')
      .describe('Instant of a read: wall clock, or event time for sources that are replayed or simulated'),
    readBehindMs: whole(
      0,
      172_800_000,
      'With clock=event, how far behind the newest event vectors can be read, in ms',
    ),
    snapshotRecords: whole(
      1,
      100_000,
      'The state is saved when so many records were applied since the last time',
    ),
    snapshotMs: whole(1_000, 300_000, 'Longest time between two snapshots while records arrive, in ms'),
    archiveMs: whole(100, 60_000, 'How often records go from the log to Parquet, in ms'),
    archiveRecordsMax: whole(1_000, 250_000, 'Most records in a file that one flush of the archive writes'),
    archiveFilesMax: whole(2, 24, 'So many small files of a source are merged into one'),
    logRetentionMs: whole(
      3_600_000,
      604_800_000,
      'How long the log keeps what is archived and in a snapshot, in ms',
    ),
    verifyMs: whole(
      0,
      0,
      'How often served vectors of as long a time are recomputed and compared, in ms; 0: only when asked',
    ),
    verifySample: whole(1, 1_000, 'Decisions that such a verification draws').pipe(
      z.number().max(SAMPLE_MAX),
    ),
    threads: whole(
      0,
      0,
      'Threads that keep the online state, beside the one that answers; 0: that one does it itself',
    ).pipe(z.number().max(THREADS_MAX)),
    applySliceMs: whole(1, 8, 'Longest stretch of applying records before other work gets its turn, in ms'),
  })
  .strict();

export type FeaturesOptions = z.infer<typeof featuresOptions>;
