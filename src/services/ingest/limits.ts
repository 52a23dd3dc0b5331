import { z } from 'zod';

const KIB = 1_024;
const MIB = 1_048_576;
const GIB = 1_073_741_824;
const DAY_MS = 86_400_000;

/** A whole number within bounds that is `standard` unless it is set. */
function limit(
  description: string,
  standard: number,
  least: number,
  most: number,
): z.ZodDefault<z.ZodNumber> {
  return z.number().int().min(least).max(most).default(standard).describe(description);
}

/**
 * Every limit of ingest, with its unit last in its name. Set them by `TANDEM_INGEST_<NAME>`, for example
 * `TANDEM_INGEST_STREAM_BYTES_MAX`.
 */
export interface IngestOptions {
  /** Largest NDJSON body, in bytes after decompression. Default 1 GiB. */
  readonly streamBytesMax: number;
  /** Largest record, in bytes; the event log may set a lower one. Default 1 MiB. */
  readonly recordBytesMax: number;
  /** Deepest nesting of a record: `{"a":[1]}` is 2 deep. Default 32. */
  readonly jsonDepthMax: number;
  /** Most columns of a CSV body. Default 1,000. */
  readonly csvColumnsMax: number;
  /** Most records that are stored at a time; a request holds twice as many. Default 4,096. */
  readonly batchRecordsMax: number;
  /** Most bytes that are stored at a time; one record more may be added. Default 4 MiB. */
  readonly batchBytesMax: number;
  /** Most records of one request that may go to quarantine before the request is refused. Default 10,000. */
  readonly quarantinedMax: number;
  /** Most accepted records of one request that the answer lists one by one. Default 100,000. */
  readonly resultsMax: number;
  /** Most bytes of bodies that all requests together hold in memory; beyond it OVERLOADED. Default 256 MiB. */
  readonly heldBytesMax: number;
  /** Most requests at work at a time; beyond it OVERLOADED. Default 5,000. */
  readonly requestsMax: number;
  /** Most bytes of original records in one page of the quarantine, but at least one record. Default 8 MiB. */
  readonly pageBytesMax: number;
  /** Largest Parquet body, in bytes; it waits on disk while it is read. Default 1 GiB. */
  readonly parquetBytesMax: number;
  /** How long a record may stay in quarantine, in milliseconds; then it is dropped. Default 90 days. */
  readonly quarantineAgeMsMax: number;
  /** Most bytes of original records of one source in quarantine; beyond it the oldest are dropped. Default 1 GiB. */
  readonly quarantineBytesMax: number;
  /** How often the quarantine is looked through for what is beyond its limits, in milliseconds. Default 600,000. */
  readonly quarantineSweepMs: number;
  /** Most rows of a polled table that are read at a time. Default 1,000. */
  readonly pollRowsMax: number;
  /** How long a replica polls a table alone before it must say that it lives, in milliseconds. Default 15,000. */
  readonly pollLeaseMs: number;
  /** Most rows of the overlap that are remembered as seen; more are read into the log again. Default 200,000. */
  readonly pollSeenMax: number;
  /** How long a description waits for the features service, in milliseconds. Default 1,000. */
  readonly featuresTimeoutMs: number;
  /** How long readiness waits for the event log, in milliseconds. Default 2,000. */
  readonly readyTimeoutMs: number;
  /** For how long an answer about readiness is good, in milliseconds. Default 1,000. */
  readonly readyCacheMs: number;
}

/** Reads {@link IngestOptions}; unknown names are errors. */
export const ingestOptions: z.ZodType<IngestOptions> = z
  .object({
    streamBytesMax: limit('Largest NDJSON body, in bytes after decompression', GIB, KIB, 1_024 * GIB),
    recordBytesMax: limit('Largest record, in bytes', MIB, KIB, 16 * MIB),
    jsonDepthMax: limit('Deepest nesting of a record', 32, 1, 500),
    csvColumnsMax: limit('Most columns of a CSV body', 1_000, 1, 10_000),
    batchRecordsMax: limit('Most records that are stored at a time', 4_096, 1, 100_000),
    batchBytesMax: limit('Most bytes that are stored at a time', 4 * MIB, KIB, 64 * MIB),
    quarantinedMax: limit('Most records of one request that may go to quarantine', 10_000, 0, 1_000_000),
    resultsMax: limit('Most accepted records that an answer lists one by one', 100_000, 0, 1_000_000),
    heldBytesMax: limit('Most bytes of bodies that all requests hold in memory', 256 * MIB, MIB, 64 * GIB),
    requestsMax: limit('Most requests at work at a time', 5_000, 1, 100_000),
    pageBytesMax: limit(
      'Most bytes of original records in a page of the quarantine',
      8 * MIB,
      KIB,
      256 * MIB,
    ),
    parquetBytesMax: limit('Largest Parquet body, in bytes', GIB, KIB, 1_024 * GIB),
    quarantineAgeMsMax: limit(
      'How long a record may stay in quarantine, in ms',
      90 * DAY_MS,
      60_000,
      3_650 * DAY_MS,
    ),
    quarantineBytesMax: limit('Most bytes of one source in quarantine', GIB, MIB, 1_024 * GIB),
    quarantineSweepMs: limit('How often the quarantine is looked through, in ms', 600_000, 100, DAY_MS),
    pollRowsMax: limit('Most rows of a polled table that are read at a time', 1_000, 1, 10_000),
    pollLeaseMs: limit('How long a replica polls a table alone, in ms', 15_000, 1_000, 600_000),
    pollSeenMax: limit('Most rows of the overlap that are remembered', 200_000, 0, 10_000_000),
    featuresTimeoutMs: limit(
      'How long a description waits for the features service, in ms',
      1_000,
      1,
      60_000,
    ),
    readyTimeoutMs: limit('How long readiness waits for the event log, in ms', 2_000, 1, 60_000),
    readyCacheMs: limit('For how long an answer about readiness is good, in ms', 1_000, 0, 60_000),
  })
  .strict();

/** Pieces of a body that are smaller than this are put together before they are looked at, in bytes: 32 KiB. */
export const PIECE_BYTES_MIN: number = 32 * KIB;
