import { z } from 'zod';
import { READERS, digest, name, page, positions, record, route, rowPositions, time } from './shared.ts';

/** Most candidates in one read or replay of vectors. */
export const CANDIDATES_MAX = 5_000;

const vectorParams = z.object({ vector: name }).strict();

const vectorRow = z.object({
  /** The instant of the values, issued by the service. */
  asOf: time,
  /** In the vector's order; null = missing. */
  values: z.array(z.number().nullable()),
  /** Which positions each group of the vector was read at: 0 is `positions` of the read, n is `others[n - 1]`. Absent: all 0. */
  groups: z.array(z.number().int().nonnegative()).optional(),
});
export type VectorRow = z.infer<typeof vectorRow>;

const vectorRead = z.object({
  vector: name,
  /** The vector's version. */
  hash: digest,
  names: z.array(z.string()),
  /** What the online state had applied when the rows were read. With asOf it makes each row recomputable. */
  positions,
  /** Further positions, when replicas that stood elsewhere took part. */
  others: z.array(positions).optional(),
  rows: z.array(vectorRow),
});
export type VectorRead = z.infer<typeof vectorRead>;

export const readVector = route('features', 'readVector', 'POST /v1/vectors/{vector}/read', {
  summary: 'Online vectors for events to decide on, with what makes them recomputable',
  roles: ['scientist', 'service'],
  params: vectorParams,
  body: z
    .object({
      candidates: z.array(record).min(1).max(CANDIDATES_MAX),
      /** Wait until the state has applied at least this, for `waitMs` at most. */
      after: positions.optional(),
      waitMs: z.number().int().min(0).max(60_000).default(10_000),
      /** Read at the clock of the service, whatever times the candidates have: for rehearsals of a decision. */
      atClock: z.boolean().default(false),
      /** Keep a durable receipt of each row, so that an as-served dataset can be built from it. */
      record: z.boolean().default(false),
    })
    .strict(),
  result: vectorRead,
  idempotent: true,
  timeoutMs: 70_000,
  bodyBytesMax: 10 * 1_048_576,
});

/** What an owner of state partitions answers for its groups of a vector. */
const vectorParts = z.object({
  positions,
  /** The earliest instant that can still be read, if it is later than one that was asked for; then there are no rows. */
  later: time.nullable(),
  /** For each candidate the values of the groups that were asked for, in their order. */
  rows: z.array(z.array(z.array(z.number().nullable()))),
});
export type VectorParts = z.infer<typeof vectorParts>;

/** Internal: between features replicas only. */
export const readVectorParts = route('features', 'readVectorParts', 'POST /v1/vectors/{vector}/read-parts', {
  summary: 'Groups of vectors whose state this replica owns (internal to the features service)',
  roles: ['service'],
  params: vectorParams,
  body: z
    .object({
      hash: digest,
      candidates: z.array(record).min(1).max(CANDIDATES_MAX),
      /** For each candidate its instant, and which groups of the vector are wanted. */
      asOf: z.array(time).max(CANDIDATES_MAX),
      groups: z.array(z.array(z.number().int().nonnegative())).max(CANDIDATES_MAX),
      after: positions.optional(),
      waitMs: z.number().int().min(0).max(60_000),
    })
    .strict(),
  result: vectorParts,
  idempotent: true,
  timeoutMs: 70_000,
  bodyBytesMax: 10 * 1_048_576,
});

export const replayVector = route('features', 'replayVector', 'POST /v1/vectors/{vector}/replay', {
  summary: 'Recompute vectors from the log as they were at the given instants and positions',
  roles: ['scientist', 'service'],
  params: vectorParams,
  body: z
    .object({
      hash: digest,
      receipts: z
        .array(rowPositions.extend({ candidate: record, asOf: time }).strict())
        .min(1)
        .max(CANDIDATES_MAX),
    })
    .strict(),
  result: z.object({ rows: z.array(vectorRow) }),
  idempotent: true,
  timeoutMs: 60_000,
});

export const datasetRequest = z
  .object({
    vector: name,
    /** Without a label the rows have none and nothing is censored. */
    label: name.optional(),
    /** Candidates with an event time in [from, to), in milliseconds UTC. */
    from: time,
    to: time,
    /** `latest`: all that is known by now. `as-served`: one row per recorded receipt, as known at its positions. */
    knowledge: z.enum(['latest', 'as-served']),
    /** The instant by which labels must have matured. Default: the clock of the features service. */
    asOf: time.optional(),
  })
  .strict();
export type DatasetRequest = z.infer<typeof datasetRequest>;

/**
 * A dataset: its Parquet file has the columns `id` (string), `time` (int64, ms), `partition`, `position` (int64, offset
 * of the candidate or null), `key_<field>` (string) for each id and key field of the candidate but its id, `label`
 * (boolean, only with a label), then one float64 column for each value of the vector, by its name; as-served ones also
 * `served_<name>`, what the receipt recorded. Rows are ordered by (time, partition, position).
 */
export const dataset = z.object({
  /** Digest of everything below: the same inputs give the same id and the same bytes. */
  id: digest,
  vector: name,
  vectorHash: digest,
  label: name.nullable(),
  labelHash: digest.nullable(),
  from: time,
  to: time,
  knowledge: z.enum(['latest', 'as-served']),
  asOf: time,
  /** What was known: log positions at the build. */
  positions,
  /** As-served: receipts below this position of their topic are its rows. Datasets of before do not have it. */
  receipts: z.number().int().optional(),
  names: z.array(z.string()),
  keys: z.array(z.string()),
  rows: z.number().int(),
  /** Rows left out because their label had not matured at asOf. */
  censored: z.number().int(),
  /** Of a label with `confirmed`: rows left out because nobody had said by maturity what they are. Others do not have it. */
  unconfirmed: z.number().int().optional(),
  positives: z.number().int(),
  file: z.object({ digest, bytes: z.number().int() }),
});
export type Dataset = z.infer<typeof dataset>;

export const buildDataset = route('features', 'buildDataset', 'POST /v1/datasets', {
  summary: 'Build an immutable training table, point in time correct',
  roles: ['scientist', 'service'],
  body: datasetRequest,
  result: dataset,
  idempotent: true,
  timeoutMs: 600_000,
});

/** What came of building a dataset once more from its manifest. */
const datasetRebuild = z.object({
  id: digest,
  /** Whether the bytes are the same, by their sha256. */
  equal: z.boolean(),
  recorded: z.object({ digest, bytes: z.number().int() }),
  rebuilt: z.object({ digest, bytes: z.number().int() }),
  /** Whether the file was in the object store before. */
  wasStored: z.boolean(),
  /** Whether it is there now. */
  isStored: z.boolean(),
});
export type DatasetRebuild = z.infer<typeof datasetRebuild>;

export const rebuildDataset = route('features', 'rebuildDataset', 'POST /v1/datasets/{id}/rebuild', {
  summary:
    'Build a dataset once more from its manifest and compare its bytes; what is the same can be stored again',
  roles: ['scientist', 'service'],
  params: z.object({ id: digest }).strict(),
  body: z
    .object({
      /** Whether a file that is gone and comes out the same is stored. */
      store: z.boolean().default(true),
    })
    .strict(),
  result: datasetRebuild,
  idempotent: true,
  timeoutMs: 600_000,
});

export const listDatasets = route('features', 'listDatasets', 'GET /v1/datasets', {
  summary: 'Manifests of datasets, newest first',
  roles: [...READERS, 'service'],
  query: page,
  result: z.object({
    datasets: z.array(dataset.extend({ builtAt: time })),
    next: z.string().nullable(),
  }),
});

export const getDataset = route('features', 'getDataset', 'GET /v1/datasets/{id}', {
  summary: 'Describe a dataset',
  roles: [...READERS, 'service'],
  params: z.object({ id: digest }).strict(),
  result: dataset,
});

const sourceStatus = z.object({
  source: name,
  /** Next offsets that every replica has applied to its online state. */
  applied: z.array(z.number().int()),
  /** Next offsets of the log. */
  heads: z.array(z.number().int()),
  /** Next offsets archived to Parquet. */
  archived: z.array(z.number().int()),
  duplicates: z.number().int(),
  /** Ids that the replica which answers remembers, so that the first event with an id wins, and the bytes they take. */
  ids: z.number().int(),
  idBytes: z.number().int(),
});

const statePartition = z.object({
  partition: z.number().int(),
  /** `moving`: it is answered by its owner while another replica gets ready to take it. */
  state: z.enum(['owned', 'moving', 'free']),
  /** Name of the replica that owns it; null when it is free. */
  replica: z.string().nullable(),
  /** Rises with each change of owner. */
  epoch: z.number().int(),
});

const featuresReplica = z.object({
  replica: z.string(),
  /** Of the start of its process. */
  instance: z.string(),
  /** State partitions that it owns. */
  partitions: z.number().int(),
  /** Records of the log that it has not applied. */
  lag: z.number().int(),
});

const featuresStatus = z.object({
  /** The clock of the state: wall-clock time, or the latest event time seen when sources are replayed. */
  clock: time,
  sources: z.array(sourceStatus),
  /** Replicas with the same definitions as the one that answers. */
  replicas: z.array(featuresReplica),
  statePartitions: z.array(statePartition),
  groups: z.array(
    z.object({
      group: name,
      /** Keys that a window can still see something of. */
      keys: z.number().int(),
      /** Events of exact groups, tiles of the others. */
      events: z.number().int(),
      bytes: z.number().int(),
      /** `null` when there are no keys. */
      bytesPerKey: z.number().nullable(),
    }),
  ),
});
export type FeaturesStatus = z.infer<typeof featuresStatus>;

export const getFeaturesStatus = route('features', 'getFeaturesStatus', 'GET /v1/features', {
  summary: 'Positions, lag and size of the online state',
  roles: [...READERS, 'service'],
  result: featuresStatus,
});
