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
    'Make records durable: JSON object or array, NDJSON or CSV. Bad ones go to quarantine, good ones count',
  roles: ['producer', 'operator'],
  params: sourceParams,
  query: z.object({ results: z.enum(['all', 'quarantined']).default('all') }).strict(),
  body: z.unknown(),
  result: ingestResult,
  idempotent: true,
  timeoutMs: 120_000,
  bodyBytesMax: 10 * 1_048_576,
});

const sourceDescription = z.object({
  name,
  contract: z.object({
    hash: digest,
    id: z.string(),
    time: z.string(),
    key: z.string(),
    fields: z.record(z.string(), z.unknown()),
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
});
export type QuarantinedRecord = z.infer<typeof quarantinedRecord>;

export const listQuarantine = route('ingest', 'listQuarantine', 'GET /v1/sources/{source}/quarantine', {
  summary: 'Rejected records with reason and original bytes, oldest first',
  roles: ['operator'],
  params: sourceParams,
  query: page,
  result: z.object({ records: z.array(quarantinedRecord), next: z.string().nullable() }),
});

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
          .max(1_000),
      })
      .strict(),
    result: ingestResult,
    idempotent: true,
    timeoutMs: 60_000,
  },
);
