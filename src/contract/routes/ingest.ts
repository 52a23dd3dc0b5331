import { z } from 'zod';
import { ANYBODY, digest, name, page, positions, record, route, time } from './shared.ts';

const sourceParams = z.object({ source: name }).strict();

const recordResult = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('accepted'),
    index: z.number().int(),
    partition: z.number().int(),
    offset: z.number().int(),
  }),
  z.object({
    status: z.literal('quarantined'),
    index: z.number().int(),
    quarantineId: z.string(),
    code: z.string(),
    field: z.string().optional(),
    reason: z.string(),
  }),
]);

/** What became of each record of a request. */
export const ingestResult = z.object({
  accepted: z.number().int(),
  quarantined: z.number().int(),
  /** Next offsets that include every accepted record; pass them as `after` to read your own writes. */
  positions,
  /** One entry for each record in order, or only for the quarantined ones with `?results=quarantined`. */
  results: z.array(recordResult),
});
export type IngestResult = z.infer<typeof ingestResult>;
export type RecordResult = z.infer<typeof recordResult>;

export const ingestEvents = route('ingest', 'ingestEvents', 'POST /v1/sources/{source}/events', {
  summary:
    'Make records durable: JSON object or array, NDJSON, CSV or Parquet. Bad ones go to quarantine, good ones count',
  roles: ['producer', 'operator', 'service'],
  params: sourceParams,
  query: z.object({ results: z.enum(['all', 'quarantined']).default('all') }).strict(),
  body: z.unknown(),
  result: ingestResult,
  idempotent: true,
  timeoutMs: 120_000,
  bodyBytesMax: 10 * 1_048_576,
});

const pollStatus = z.object({
  table: z.string(),
  everyMs: z.number().int(),
  /** Rows made durable or put into quarantine so far. */
  accepted: z.number().int(),
  quarantined: z.number().int(),
  /** Where reading is: everything before it was read. Null before the first row. */
  cursor: z.object({ updatedAt: z.string(), id: z.string() }).nullable(),
  /** When the table was last read to its end; null: not yet. */
  caughtUpAt: time.nullable(),
  /** How old the newest state of the table is that was read, in milliseconds; null before the first page. */
  lagMs: z.number().nullable(),
  /** What went wrong last, if nothing has gone well since. */
  error: z.object({ code: z.string(), reason: z.string(), at: time }).nullable(),
});
export type PollStatus = z.infer<typeof pollStatus>;

const sourceDescription = z.object({
  name,
  contract: z.object({
    hash: digest,
    id: z.string(),
    time: z.string(),
    key: z.string(),
    fields: z.record(z.string(), z.unknown()),
    /** Whether records may correct and delete events; servers of before say nothing of it. */
    corrections: z.boolean().optional(),
  }),
  partitions: z.number().int(),
  /** Records in the log, duplicates included. */
  accepted: z.number().int(),
  /** Records waiting in quarantine. */
  quarantined: z.number().int(),
  /** Records dropped where state is kept because their id was known; null while the features service cannot be asked. */
  duplicates: z.number().int().nullable(),
  /** Records not yet applied to online features; null likewise. */
  lag: z.number().int().nullable(),
  /** How the polling of its table stands; null when it has none. */
  poll: pollStatus.nullable(),
});
export type SourceDescription = z.infer<typeof sourceDescription>;

export const describeSource = route('ingest', 'describeSource', 'GET /v1/sources/{source}', {
  summary: "A source's contract, counts and lag",
  roles: ANYBODY,
  params: sourceParams,
  result: sourceDescription,
});

const quarantinedRecord = z.object({
  id: z.string(),
  at: time,
  code: z.string(),
  field: z.string().nullable(),
  reason: z.string(),
  contract: digest,
  /** The original bytes, base64. */
  bytes: z.string(),
  /** The original bytes as text when they are valid UTF-8. */
  text: z.string().nullable(),
  state: z.enum(['waiting', 'dismissed']),
  /** The record that a replay puts in instead of the original. */
  correction: z.object({ record, by: z.string(), at: time }).nullable(),
  dismissal: z.object({ reason: z.string(), by: z.string(), at: time }).nullable(),
});
export type QuarantinedRecord = z.infer<typeof quarantinedRecord>;

/** Largest number of records that one request may name. */
const QUARANTINE_IDS_MAX = 1_000;

const recordParams = z.object({ source: name, id: z.string().max(128) }).strict();

export const listQuarantine = route('ingest', 'listQuarantine', 'GET /v1/sources/{source}/quarantine', {
  summary: 'Rejected records with reason and original bytes, oldest first; by reason, field, time and state',
  roles: ['operator'],
  params: sourceParams,
  query: page
    .extend({
      code: z.string().max(64).optional(),
      field: z.string().max(128).optional(),
      /** Only records that came at this time or later, in milliseconds since 1970. */
      from: z.coerce.number().int().optional(),
      /** Only records that came before this time, likewise. */
      until: z.coerce.number().int().optional(),
      state: z.enum(['waiting', 'dismissed']).default('waiting'),
    })
    .strict(),
  result: z.object({ records: z.array(quarantinedRecord), next: z.string().nullable() }),
});

export const getQuarantined = route('ingest', 'getQuarantined', 'GET /v1/sources/{source}/quarantine/{id}', {
  summary: 'One rejected record, with its correction or the reason why it was dismissed',
  roles: ['operator'],
  params: recordParams,
  result: quarantinedRecord,
});

export const correctQuarantined = route(
  'ingest',
  'correctQuarantined',
  'POST /v1/sources/{source}/quarantine/{id}/correct',
  {
    summary:
      'Keep a corrected record beside the original, for its replay; one that breaks the contract is refused',
    roles: ['operator'],
    params: recordParams,
    body: z.object({ record }).strict(),
    result: quarantinedRecord,
    idempotent: true,
  },
);

export const dismissQuarantined = route(
  'ingest',
  'dismissQuarantined',
  'POST /v1/sources/{source}/quarantine/dismiss',
  {
    summary: 'Say that records will not be replayed, and why; they stay until their time is over',
    roles: ['operator'],
    params: sourceParams,
    body: z
      .object({
        ids: z.array(z.string().max(128)).min(1).max(QUARANTINE_IDS_MAX),
        reason: z.string().trim().min(1).max(500),
      })
      .strict(),
    result: z.object({ dismissed: z.number().int() }),
    idempotent: true,
  },
);

export const replayQuarantine = route(
  'ingest',
  'replayQuarantine',
  'POST /v1/sources/{source}/quarantine/replay',
  {
    summary: 'Put records back, corrected or as they were; those that pass leave the quarantine',
    roles: ['operator'],
    params: sourceParams,
    body: z
      .object({
        records: z
          .array(z.object({ id: z.string(), record: record.optional() }).strict())
          .min(1)
          .max(QUARANTINE_IDS_MAX),
      })
      .strict(),
    result: ingestResult,
    idempotent: true,
    timeoutMs: 60_000,
  },
);
