import { z } from 'zod';
import { ABSTENTION_OUTCOME_LENGTH_MAX } from '../../define/abstention.ts';
import { definitionHash } from '../../define/index.ts';
import { gateVerdict, modelParams } from './train.ts';
import { READERS, digest, name, page, route, time } from './shared.ts';

/** Stands for the hash of a label where there is none: a recommender learns from interactions, which have no outcome. */
export const NO_LABEL_HASH: string = definitionHash({ label: null });

/** Where a model version came from. */
const lineage = z.object({
  run: z.string(),
  dataset: digest,
  /** Of a recommender: the vector of its interactions. */
  vectorHash: digest,
  /** Of a recommender: {@link NO_LABEL_HASH}. */
  labelHash: digest,
  modelHash: digest,
  appHash: digest,
  /** Version of the training code. */
  codeVersion: z.string(),
  trainer: z.record(z.string(), z.unknown()),
  seed: z.number().int(),
  asOf: time,
});

/** An object by digest; it lies in the object store already. */
const stored = z.object({ digest, bytes: z.number().int() }).strict();

const versionInput = z
  .object({
    /** The ONNX file. */
    onnx: stored,
    signature: z
      .object({
        inputs: z.array(
          z.object({
            name: z.string(),
            type: z.literal('float32'),
            nullable: z.boolean(),
            /** What the values 0, 1 ... of a categorical input stand for. */
            categories: z.array(z.string()).optional(),
          }),
        ),
        outputs: z.array(z.object({ name: z.string(), type: z.literal('float32') })),
      })
      .strict(),
    metrics: z.record(z.string(), z.number()),
    gates: z.array(gateVerdict),
    /** What was measured besides the metrics, as JSON. Versions of before there were reports have none. */
    report: stored.optional(),
    /** The model card, in two forms. */
    card: z.object({ markdown: stored, html: stored }).strict().optional(),
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

export const registerVersion = route('registry', 'registerVersion', 'POST /v1/models/{model}/versions', {
  summary: 'Register an immutable version',
  roles: ['service'],
  params: modelParams,
  body: versionInput,
  result: modelVersion,
  idempotent: true,
});

export const listVersions = route('registry', 'listVersions', 'GET /v1/models/{model}/versions', {
  summary: 'Versions of a model, newest first',
  roles: READERS,
  params: modelParams,
  query: page,
  result: z.object({ versions: z.array(modelVersion), next: z.string().nullable() }),
});

export const getVersion = route('registry', 'getVersion', 'GET /v1/models/{model}/versions/{version}', {
  summary: 'One version with its lineage',
  roles: READERS,
  params: z.object({ model: name, version: z.coerce.number().int().positive() }).strict(),
  result: modelVersion,
});

/** Forms of a model card; `report` is what it was made of, as JSON. */
const cardForm = z.enum(['markdown', 'html', 'report']);
export type CardForm = z.infer<typeof cardForm>;

export const getCard = route('registry', 'getCard', 'GET /v1/models/{model}/versions/{version}/card', {
  summary: 'The model card of a version',
  roles: [...READERS, 'service'],
  params: z.object({ model: name, version: z.coerce.number().int().positive() }).strict(),
  query: z.object({ form: cardForm.default('markdown') }).strict(),
  result: z.object({ model: name, version: z.number().int(), form: cardForm, text: z.string() }),
});

export const listModels = route('registry', 'listModels', 'GET /v1/models', {
  summary: 'The models of the app with their newest version',
  roles: READERS,
  result: z.object({ models: z.array(z.object({ model: name, newest: modelVersion.nullable() })) }),
});

/** Scores in [from, to) are answered with this outcome, and wait for a person. */
export const abstention = z.object({ from: z.number(), to: z.number(), outcome: z.string() });

/** The version that ranks the candidates of a recommendation. */
const ranker = z.object({
  model: name,
  version: z.number().int().positive(),
  onnx: z.object({ digest, bytes: z.number().int() }),
  vector: name,
  vectorHash: digest,
});
export type ReleasedRanker = z.infer<typeof ranker>;

/**
 * What answers a decision: vector, model version and threshold, switched as one. What answers a recommendation is of the same form:
 * `decision` is its name, `model` and `version` are its recommender's, `vector` is the user's history; its threshold is 0 and says
 * nothing.
 */
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
  /** Absent: every score is answered. */
  abstain: abstention.optional(),
  createdAt: time,
  reason: z.string().nullable(),
  /** Of a recommendation; `null` where candidates are answered in their own order. Releases of before there were any have none. */
  ranker: ranker.nullable().optional(),
});
export type Release = z.infer<typeof release>;

export const createRelease = route('registry', 'createRelease', 'POST /v1/releases', {
  summary: 'Put a model version in charge of a decision or a recommendation; refused unless its gates passed',
  roles: ['operator'],
  body: z
    .object({
      /** A decision or a recommendation. */
      decision: name,
      /** Only of a recommendation it may be absent: then its recommender stays that of the release in charge. */
      version: z.number().int().positive().optional(),
      /** Version of a recommendation's ranker. Absent: that of the release in charge, if it has one; null: none. */
      ranker: z.number().int().positive().nullable().optional(),
      threshold: z.number().min(0).max(1).optional(),
      /**
       * Which scores to abstain from instead of those that the decision names; its outcome unless one is given here. Null: none.
       */
      abstain: z
        .object({
          from: z.number().min(0).max(1),
          to: z.number().min(0).max(1),
          outcome: z.string().min(1).max(ABSTENTION_OUTCOME_LENGTH_MAX).optional(),
        })
        .strict()
        .nullable()
        .optional(),
      reason: z.string().max(1_000).optional(),
      /** The release that is expected to be in charge now; CONFLICT when it is another. Null: none. */
      expected: z.string().nullable().optional(),
      idempotencyKey: z.string().min(1).max(128).optional(),
    })
    .strict(),
  result: release,
});

export const listReleases = route('registry', 'listReleases', 'GET /v1/releases', {
  summary: 'Releases, newest first',
  roles: READERS,
  query: page.extend({ decision: name.optional() }),
  result: z.object({ releases: z.array(release), next: z.string().nullable() }),
});

export const getRelease = route('registry', 'getRelease', 'GET /v1/releases/{id}', {
  summary: 'One release',
  roles: [...READERS, 'service'],
  params: z.object({ id: z.string().max(128) }).strict(),
  result: release,
});

export const getCurrentReleases = route('registry', 'getCurrentReleases', 'GET /v1/current-releases', {
  summary: 'The release in charge of each decision, and the revision of this answer',
  roles: [...READERS, 'service'],
  result: z.object({ revision: z.number().int(), releases: z.array(release) }),
});

/** The channel on which the registry signals that a release changed. */
export const RELEASE_SIGNAL = 'tandem_release';
