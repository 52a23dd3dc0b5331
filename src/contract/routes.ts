import { z } from 'zod';
import type { Method, Route, ServiceName } from './route.ts';

/** Largest body of a route that says nothing else: 1 MiB, in bytes. */
export const BODY_BYTES_MAX: number = 1_048_576;
/** How long a call may take unless its route says otherwise, in milliseconds. */
export const TIMEOUT_MS = 10_000;

const nothing = z.object({}).strict();
type Nothing = z.infer<typeof nothing>;

interface RouteOptions<TParams, TQuery, TBody, TResult> {
  readonly summary: string;
  readonly params?: z.ZodType<TParams>;
  readonly query?: z.ZodType<TQuery>;
  readonly body?: z.ZodType<TBody>;
  readonly result: z.ZodType<TResult>;
  readonly idempotent?: boolean;
  readonly timeoutMs?: number;
  readonly bodyBytesMax?: number;
}

function route<TResult, TParams = Nothing, TQuery = Nothing, TBody = Nothing>(
  service: ServiceName,
  name: string,
  line: `${Method} /${string}`,
  options: RouteOptions<TParams, TQuery, TBody, TResult>,
): Route<TParams, TQuery, TBody, TResult> {
  const [method, path] = line.split(' ', 2) as [Method, string];
  return {
    service,
    name,
    method,
    path,
    summary: options.summary,
    params: options.params ?? (nothing as unknown as z.ZodType<TParams>),
    query: options.query ?? (nothing as unknown as z.ZodType<TQuery>),
    body: options.body ?? (nothing as unknown as z.ZodType<TBody>),
    result: options.result,
    idempotent: options.idempotent ?? method === 'GET',
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    bodyBytesMax: options.bodyBytesMax ?? BODY_BYTES_MAX,
  };
}

const name = z.string().min(1).max(63);
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const time = z.number().int();
/** Next offsets by source and partition: everything below them is meant. */
const positions = z.record(z.string(), z.array(z.number().int().nonnegative()));
const record = z.record(z.string(), z.unknown());
const page = z
  .object({
    after: z.string().max(128).optional(),
    limit: z.coerce.number().int().min(1).max(1_000).default(100),
  })
  .strict();

/** Positions of the log by source: next offset of each partition. */
export type Positions = z.infer<typeof positions>;

// ---------------------------------------------------------------------------------------------------------- ingest

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

const ingestEvents = route('ingest', 'ingestEvents', 'POST /v1/sources/{source}/events', {
  summary:
    'Make records durable: JSON object or array, NDJSON or CSV. Bad ones go to quarantine, good ones count',
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

const describeSource = route('ingest', 'describeSource', 'GET /v1/sources/{source}', {
  summary: "A source's contract, counts and lag",
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

const listQuarantine = route('ingest', 'listQuarantine', 'GET /v1/sources/{source}/quarantine', {
  summary: 'Rejected records with reason and original bytes, oldest first',
  params: sourceParams,
  query: page,
  result: z.object({ records: z.array(quarantinedRecord), next: z.string().nullable() }),
});

const replayQuarantine = route('ingest', 'replayQuarantine', 'POST /v1/sources/{source}/quarantine/replay', {
  summary: 'Put records back, corrected or as they were; those that pass leave the quarantine',
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
});

// -------------------------------------------------------------------------------------------------------- features

/** Most candidates in one read or replay of vectors. */
export const CANDIDATES_MAX = 5_000;

const vectorParams = z.object({ vector: name }).strict();

const vectorRow = z.object({
  /** The instant of the values, issued by the service. */
  asOf: time,
  /** In the vector's order; null = missing. */
  values: z.array(z.number().nullable()),
});
export type VectorRow = z.infer<typeof vectorRow>;

const vectorRead = z.object({
  vector: name,
  /** The vector's version. */
  hash: digest,
  names: z.array(z.string()),
  /** What the online state had applied when the rows were read. With asOf it makes each row recomputable. */
  positions,
  rows: z.array(vectorRow),
});
export type VectorRead = z.infer<typeof vectorRead>;

const readVector = route('features', 'readVector', 'POST /v1/vectors/{vector}/read', {
  summary: 'Online vectors for events to decide on, with what makes them recomputable',
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

const replayVector = route('features', 'replayVector', 'POST /v1/vectors/{vector}/replay', {
  summary: 'Recompute vectors from the log as they were at the given instants and positions',
  params: vectorParams,
  body: z
    .object({
      hash: digest,
      receipts: z
        .array(z.object({ candidate: record, asOf: time, positions }).strict())
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
  names: z.array(z.string()),
  keys: z.array(z.string()),
  rows: z.number().int(),
  /** Rows left out because their label had not matured at asOf. */
  censored: z.number().int(),
  positives: z.number().int(),
  file: z.object({ digest, bytes: z.number().int() }),
});
export type Dataset = z.infer<typeof dataset>;

const buildDataset = route('features', 'buildDataset', 'POST /v1/datasets', {
  summary: 'Build an immutable training table, point in time correct',
  body: datasetRequest,
  result: dataset,
  idempotent: true,
  timeoutMs: 600_000,
});

const getDataset = route('features', 'getDataset', 'GET /v1/datasets/{id}', {
  summary: 'Describe a dataset',
  params: z.object({ id: digest }).strict(),
  result: dataset,
});

const sourceStatus = z.object({
  source: name,
  /** Next offsets applied to the online state. */
  applied: z.array(z.number().int()),
  /** Next offsets of the log. */
  heads: z.array(z.number().int()),
  /** Next offsets archived to Parquet. */
  archived: z.array(z.number().int()),
  duplicates: z.number().int(),
});

const featuresStatus = z.object({
  /** The clock of the state: wall-clock time, or the latest event time seen when sources are replayed. */
  clock: time,
  sources: z.array(sourceStatus),
  groups: z.array(
    z.object({ group: name, keys: z.number().int(), events: z.number().int(), bytes: z.number().int() }),
  ),
});
export type FeaturesStatus = z.infer<typeof featuresStatus>;

const getFeaturesStatus = route('features', 'getFeaturesStatus', 'GET /v1/features', {
  summary: 'Positions, lag and size of the online state',
  result: featuresStatus,
});

// ----------------------------------------------------------------------------------------------------------- train

const modelParams = z.object({ model: name }).strict();

const stepStatus = z.object({
  name: z.enum(['dataset', 'split', 'fit', 'evaluate', 'gate', 'bundle']),
  state: z.enum(['waiting', 'running', 'done', 'reused', 'failed']),
  /** Content address of the step: hash of its code version and inputs. */
  key: z.string().nullable(),
  seconds: z.number().nullable(),
  /** Share done, 0 to 1. */
  progress: z.number().min(0).max(1),
  note: z.string().nullable(),
});

const gateVerdict = z.object({
  metric: z.string(),
  direction: z.enum(['atLeast', 'atMost']),
  bound: z.number(),
  value: z.number(),
  passed: z.boolean(),
});

/** A run: one execution of a training pipeline. */
export const run = z.object({
  id: z.string(),
  model: name,
  state: z.enum(['queued', 'running', 'done', 'failed', 'cancelled']),
  asOf: time.nullable(),
  createdAt: time,
  finishedAt: time.nullable(),
  steps: z.array(stepStatus),
  metrics: z.record(z.string(), z.number()),
  gates: z.array(gateVerdict),
  /** Version number that the run registered. */
  version: z.number().int().nullable(),
  error: z.string().nullable(),
});
export type Run = z.infer<typeof run>;
export type GateVerdict = z.infer<typeof gateVerdict>;

const startRun = route('train', 'startRun', 'POST /v1/models/{model}/runs', {
  summary: 'Train now',
  params: modelParams,
  body: z
    .object({
      /** Train with what was matured at this instant, in milliseconds UTC. Default: now. */
      asOf: time.optional(),
      /** A repeated call with the same key answers with the same run. */
      idempotencyKey: z.string().min(1).max(128).optional(),
    })
    .strict(),
  result: run,
});

const getRun = route('train', 'getRun', 'GET /v1/runs/{id}', {
  summary: 'Progress, steps and metrics of a run',
  params: z.object({ id: z.string().max(128) }).strict(),
  result: run,
});

const listRuns = route('train', 'listRuns', 'GET /v1/models/{model}/runs', {
  summary: 'Runs of a model, newest first',
  params: modelParams,
  query: page,
  result: z.object({ runs: z.array(run), next: z.string().nullable() }),
});

const cancelRun = route('train', 'cancelRun', 'POST /v1/runs/{id}/cancel', {
  summary: 'Stop a run',
  params: z.object({ id: z.string().max(128) }).strict(),
  result: run,
  idempotent: true,
});

// -------------------------------------------------------------------------------------------------------- registry

/** Where a model version came from. */
const lineage = z.object({
  run: z.string(),
  dataset: digest,
  vectorHash: digest,
  labelHash: digest,
  modelHash: digest,
  appHash: digest,
  /** Version of the training code. */
  codeVersion: z.string(),
  trainer: z.record(z.string(), z.unknown()),
  seed: z.number().int(),
  asOf: time,
});

const versionInput = z
  .object({
    /** The ONNX file by digest; it lies in the object store already. */
    onnx: z.object({ digest, bytes: z.number().int() }).strict(),
    signature: z
      .object({
        inputs: z.array(z.object({ name: z.string(), type: z.literal('float32'), nullable: z.boolean() })),
        outputs: z.array(z.object({ name: z.string(), type: z.literal('float32') })),
      })
      .strict(),
    metrics: z.record(z.string(), z.number()),
    gates: z.array(gateVerdict),
    lineage,
    /** A repeated call with the same key answers with the same version. */
    idempotencyKey: z.string().min(1).max(128),
  })
  .strict();

/** A model version: an immutable bundle. */
export const modelVersion = versionInput.omit({ idempotencyKey: true }).extend({
  model: name,
  version: z.number().int().positive(),
  createdAt: time,
  /** Whether every gate passed: only then can it be released. */
  passed: z.boolean(),
});
export type ModelVersion = z.infer<typeof modelVersion>;
export type ModelVersionInput = z.infer<typeof versionInput>;

const registerVersion = route('registry', 'registerVersion', 'POST /v1/models/{model}/versions', {
  summary: 'Register an immutable version',
  params: modelParams,
  body: versionInput,
  result: modelVersion,
  idempotent: true,
});

const listVersions = route('registry', 'listVersions', 'GET /v1/models/{model}/versions', {
  summary: 'Versions of a model, newest first',
  params: modelParams,
  query: page,
  result: z.object({ versions: z.array(modelVersion), next: z.string().nullable() }),
});

const getVersion = route('registry', 'getVersion', 'GET /v1/models/{model}/versions/{version}', {
  summary: 'One version with its lineage',
  params: z.object({ model: name, version: z.coerce.number().int().positive() }).strict(),
  result: modelVersion,
});

const listModels = route('registry', 'listModels', 'GET /v1/models', {
  summary: 'The models of the app with their newest version',
  result: z.object({ models: z.array(z.object({ model: name, newest: modelVersion.nullable() })) }),
});

/** What answers a decision: vector, model version and threshold, switched as one. */
export const release = z.object({
  /** `<decision>-<number>`. */
  id: z.string(),
  decision: name,
  number: z.number().int().positive(),
  model: name,
  version: z.number().int().positive(),
  onnx: z.object({ digest, bytes: z.number().int() }),
  vector: name,
  vectorHash: digest,
  threshold: z.number(),
  outcomes: z.tuple([z.string(), z.string()]),
  createdAt: time,
  reason: z.string().nullable(),
});
export type Release = z.infer<typeof release>;

const createRelease = route('registry', 'createRelease', 'POST /v1/releases', {
  summary: 'Put a model version in charge of a decision; refused unless its gates passed',
  body: z
    .object({
      decision: name,
      version: z.number().int().positive(),
      threshold: z.number().min(0).max(1).optional(),
      reason: z.string().max(1_000).optional(),
      /** The release that is expected to be in charge now; CONFLICT when it is another. Null: none. */
      expected: z.string().nullable().optional(),
      idempotencyKey: z.string().min(1).max(128).optional(),
    })
    .strict(),
  result: release,
});

const listReleases = route('registry', 'listReleases', 'GET /v1/releases', {
  summary: 'Releases, newest first',
  query: page.extend({ decision: name.optional() }),
  result: z.object({ releases: z.array(release), next: z.string().nullable() }),
});

const getRelease = route('registry', 'getRelease', 'GET /v1/releases/{id}', {
  summary: 'One release',
  params: z.object({ id: z.string().max(128) }).strict(),
  result: release,
});

const getCurrentReleases = route('registry', 'getCurrentReleases', 'GET /v1/current-releases', {
  summary: 'The release in charge of each decision, and the revision of this answer',
  result: z.object({ revision: z.number().int(), releases: z.array(release) }),
});

/** The channel on which the registry signals that a release changed. */
export const RELEASE_SIGNAL = 'tandem_release';

// ----------------------------------------------------------------------------------------------------------- serve

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

const decide = route('serve', 'decide', 'POST /v1/decisions/{decision}', {
  summary: 'Decide on an event',
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
  positions,
});
export type LedgerEntry = z.infer<typeof ledgerEntry>;

const ledgerParams = z.object({ decisionId: z.string().max(128) }).strict();

const getLedgerEntry = route('serve', 'getLedgerEntry', 'GET /v1/ledger/{decisionId}', {
  summary: 'The record of a decision',
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

const replayDecision = route('serve', 'replayDecision', 'POST /v1/ledger/{decisionId}/replay', {
  summary: 'Recompute a decision from the log, the release and its receipt',
  params: ledgerParams,
  result: decisionReplay,
  idempotent: true,
  timeoutMs: 60_000,
});

/** Every route of every service. */
export const routes = {
  ingestEvents,
  describeSource,
  listQuarantine,
  replayQuarantine,
  readVector,
  replayVector,
  buildDataset,
  getDataset,
  getFeaturesStatus,
  startRun,
  getRun,
  listRuns,
  cancelRun,
  registerVersion,
  listVersions,
  getVersion,
  listModels,
  createRelease,
  listReleases,
  getRelease,
  getCurrentReleases,
  decide,
  getLedgerEntry,
  replayDecision,
} as const;
