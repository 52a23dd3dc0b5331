import { type ModelVersion, type ModelVersionInput, PlatformError } from '../../contract/index.ts';
import { definitionHash, type Trainable, trainableNamed, trainablesOf } from '../../define/index.ts';
import type { ServiceHost, Tables } from '../../runtime/index.ts';
import { appendAudit } from './audit.ts';
import { falseClaims, judgeGates } from './gates.ts';
import { assertStorable, cutPage, isStorable, numberBefore } from './page.ts';

interface VersionRow extends Record<string, unknown> {
  readonly model: string;
  readonly version: number;
  readonly created_at: number;
  readonly passed: boolean;
  readonly bundle: Omit<ModelVersionInput, 'idempotencyKey'>;
  readonly request_hash: string;
}

const COLUMNS = 'model, version, created_at, passed, bundle, request_hash';

const GET = `select ${COLUMNS} from registry_version where model = $1 and version = $2`;

const GET_BY_KEY = `select ${COLUMNS} from registry_version where model = $1 and idempotency_key = $2`;

const LIST = `
select ${COLUMNS} from registry_version where model = $1 and version < $2 order by version desc limit $3`;

const LIST_NEWEST = `
select v.model, v.version, v.created_at, v.passed, v.bundle, v.request_hash
from registry_model m join registry_version v on v.model = m.name and v.version = m.newest
where m.name = any($1)`;

const ENSURE_MODEL = `insert into registry_model (name, newest) values ($1, 0) on conflict do nothing`;

const LOCK_MODEL = `select newest from registry_model where name = $1 for update`;

const COUNT_UP = `update registry_model set newest = newest + 1 where name = $1 returning newest`;

const INSERT = `
insert into registry_version
  (model, version, created_at, passed, vector_hash, onnx_digest, onnx_bytes, bundle, idempotency_key, request_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
returning ${COLUMNS}`;

/**
 * Registers an immutable version. Numbers of a model start at 1 and have no gaps, whoever races. A repeated
 * call with the same key answers with the version that the first one made.
 *
 * Rejects with MODEL_NOT_FOUND, OBJECT_NOT_FOUND (the ONNX file, the report or the card is not stored), UNPROCESSABLE (a verdict
 * contradicts its own numbers), CONFLICT (the key came before with another body).
 */
export async function registerVersion(
  host: ServiceHost,
  modelName: string,
  input: ModelVersionInput & { readonly actor: string },
): Promise<ModelVersion> {
  const model = modelOf(host, modelName);
  assertStorable('idempotencyKey', input.idempotencyKey);
  const { idempotencyKey, actor, ...bundle } = input;
  const requestHash = definitionHash(bundle);
  const known = await findByKey(host.tables, modelName, idempotencyKey, requestHash);
  if (known !== undefined) return known;
  await check(host, input);
  const at = host.clock.now();
  const { passed } = judgeGates(model.gates, input.gates);
  const registered = await host.tables.transaction(async (tx) => {
    await tx.query(ENSURE_MODEL, [modelName]);
    await tx.query(LOCK_MODEL, [modelName]);
    const raced = await findByKey(tx, modelName, idempotencyKey, requestHash);
    if (raced !== undefined) return raced;
    const [counted] = await tx.query<{ newest: number }>(COUNT_UP, [modelName]);
    const number = counted?.newest;
    const facts = [
      modelName,
      number,
      at,
      passed,
      input.lineage.vectorHash,
      input.onnx.digest,
      input.onnx.bytes,
    ];
    const [row] = await tx.query<VersionRow>(INSERT, [
      ...facts,
      JSON.stringify(bundle),
      idempotencyKey,
      requestHash,
    ]);
    if (row === undefined) throw new Error('An insert returned no row');
    await appendAudit(tx, {
      at,
      action: 'version.registered',
      subject: `${modelName}/${String(row.version)}`,
      details: {
        onnx: input.onnx.digest,
        passed,
        run: input.lineage.run,
        dataset: input.lineage.dataset,
        requestHash,
        actor,
      },
    });
    await host.failPoints.pass('registry.version.inserted');
    return toVersion(row);
  });
  await host.failPoints.pass('registry.version.committed');
  return registered;
}

/** One page of a model's versions, newest first. Rejects with MODEL_NOT_FOUND. */
export async function listVersions(
  host: ServiceHost,
  model: string,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<{ versions: ModelVersion[]; next: string | null }> {
  modelOf(host, model);
  const found = await host.tables.query<VersionRow>(LIST, [model, numberBefore(page.after), page.limit + 1]);
  const { rows, next } = cutPage(found, page.limit, (row) => row.version);
  return { versions: rows.map(toVersion), next };
}

/** One version, also of a model that the app no longer defines. Rejects with MODEL_NOT_FOUND. */
export async function getVersion(tables: Tables, model: string, version: number): Promise<ModelVersion> {
  const [row] = isStorable(model) ? await tables.query<VersionRow>(GET, [model, version]) : [];
  if (row !== undefined) return toVersion(row);
  throw new PlatformError('MODEL_NOT_FOUND', `Model '${model}' has no version ${String(version)}`, {
    details: { model, version },
  });
}

/** Every model and recommender of the app with its newest version, in the order in which the app defines them. */
export async function listModels(
  host: ServiceHost,
): Promise<{ models: { model: string; newest: ModelVersion | null }[] }> {
  const names = trainablesOf(host.app).map(({ name }) => name);
  const rows = await host.tables.query<VersionRow>(LIST_NEWEST, [names]);
  const newest = new Map(rows.map((row) => [row.model, toVersion(row)]));
  return { models: names.map((model) => ({ model, newest: newest.get(model) ?? null })) };
}

function modelOf(host: ServiceHost, name: string): Trainable {
  const model = trainableNamed(host.app, name);
  if (model !== undefined) return model;
  throw new PlatformError('MODEL_NOT_FOUND', `App '${host.app.name}' defines no model '${name}'`, {
    details: { model: name, models: trainablesOf(host.app).map((one) => one.name) },
  });
}

async function check(host: ServiceHost, input: ModelVersionInput): Promise<void> {
  const claims = falseClaims(input.gates);
  if (claims.length > 0) {
    throw new PlatformError(
      'UNPROCESSABLE',
      'A gate is said to have passed although its value is beyond its bound',
      {
        details: { gates: claims },
      },
    );
  }
  const parts = [
    ['ONNX file', input.onnx],
    ['report', input.report],
    ['card', input.card?.markdown],
    ['card', input.card?.html],
  ] as const;
  for (const [what, part] of parts) {
    if (part === undefined || (await host.objects.has(part.digest))) continue;
    throw new PlatformError('OBJECT_NOT_FOUND', `The ${what} ${part.digest} is not stored: put it first`, {
      details: { digest: part.digest },
    });
  }
}

async function findByKey(
  tables: Tables,
  model: string,
  key: string,
  requestHash: string,
): Promise<ModelVersion | undefined> {
  const [row] = await tables.query<VersionRow>(GET_BY_KEY, [model, key]);
  if (row === undefined) return undefined;
  if (row.request_hash === requestHash) return toVersion(row);
  throw new PlatformError(
    'CONFLICT',
    `The idempotency key came before with another body, for version ${row.version}`,
    {
      details: { model, version: row.version, idempotencyKey: key },
    },
  );
}

function toVersion(row: VersionRow): ModelVersion {
  const { model, version, created_at: createdAt, passed, bundle } = row;
  return { ...bundle, model, version, createdAt, passed };
}
