import {
  type InputOf,
  PlatformError,
  type Release,
  RELEASE_SIGNAL,
  type routes,
} from '../../contract/index.ts';
import {
  type Abstention,
  type App,
  type Decision,
  definitionHash,
  type Recommendation,
} from '../../define/index.ts';
import type { ServiceHost, Tables } from '../../runtime/index.ts';
import { appendAudit } from './audit.ts';
import { chooseForDecision, type Choice, type RecommendationChoice } from './choose-version.ts';
import { chooseForRecommendation } from './choose-recommendation.ts';
import { assertStorable, cutPage, isStorable, numberBefore } from './page.ts';
import { askVerified } from './verified-gate.ts';

type ReleaseRequest = InputOf<typeof routes.createRelease>['body'];

interface ReleaseRow extends Record<string, unknown> {
  readonly decision: string;
  readonly number: number;
  readonly revision: number;
  readonly model: string;
  readonly version: number;
  readonly onnx_digest: string;
  readonly onnx_bytes: number;
  readonly vector: string;
  readonly vector_hash: string;
  readonly threshold: number;
  readonly outcomes: [string, string];
  readonly created_at: number;
  readonly reason: string | null;
  readonly request_hash: string;
  /** Of a decision null. */
  readonly recommendation: RecommendationChoice | null;
  readonly abstain: Abstention | null;
}

const COLUMNS = `r.decision, r.number, r.revision, r.model, r.version, v.onnx_digest, v.onnx_bytes,
  r.vector, v.vector_hash, r.threshold, r.outcomes, r.created_at, r.reason, r.request_hash,
  r.recommendation, r.abstain`;

const FROM = `registry_release r join registry_version v on v.model = r.model and v.version = r.version`;

const GET = `select ${COLUMNS} from ${FROM} where r.decision = $1 and r.number = $2`;

const GET_BY_KEY = `select ${COLUMNS} from ${FROM} where r.idempotency_key = $1`;

const LIST = `select ${COLUMNS} from ${FROM} where r.revision < $1 order by r.revision desc limit $2`;

const LIST_OF_DECISION = `
select ${COLUMNS} from ${FROM} where r.decision = $1 and r.number < $2 order by r.number desc limit $3`;

/** One statement, hence one snapshot: the revision and the releases belong together. */
const GET_CURRENT = `
select s.revision as state_revision, c.*
from registry_state s
left join (
  select ${COLUMNS}
  from ${FROM} join registry_decision d on d.name = r.decision and d.current = r.number
) c on true
order by c.decision`;

const ENSURE_DECISION = `insert into registry_decision (name, newest) values ($1, 0) on conflict do nothing`;

const LOCK_DECISION = `select current from registry_decision where name = $1 for update`;

const COUNT_UP = `update registry_decision set newest = newest + 1 where name = $1 returning newest as number`;

const NEXT_REVISION = `update registry_state set revision = revision + 1 returning revision`;

const INSERT = `
insert into registry_release
  (decision, number, revision, model, version, vector, threshold, outcomes, created_at, reason, idempotency_key,
   request_hash, recommendation, abstain)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`;

const POINT = `update registry_decision set current = $2 where name = $1`;

/**
 * Puts a version in charge of a decision, or versions in charge of a recommendation, in one transaction: release row, current
 * pointer, revision, audit, signal.
 *
 * Rejects with DECISION_NOT_FOUND, MODEL_NOT_FOUND (no such version of the model), GATE_FAILED with the verdicts or the
 * verification of features, UNPROCESSABLE (trained for another version of the vector), BAD_REQUEST (what the other kind of
 * release has was asked for), CONFLICT (another release is in charge than `expected`, or the key came before with another body).
 */
export async function createRelease(
  host: ServiceHost,
  request: ReleaseRequest,
  actor: string,
): Promise<Release> {
  const answering = answeringOf(host.app, request.decision);
  const { name } = answering;
  assertStorable('reason', request.reason);
  assertStorable('idempotencyKey', request.idempotencyKey);
  const requestHash = definitionHash({ ...request, idempotencyKey: undefined });
  const assertVerified =
    answering.type === 'decision' ? await askVerified(host, answering) : (): void => undefined;
  const created = await host.tables.transaction(async (tx) => {
    await tx.query(ENSURE_DECISION, [name]);
    const [state] = await tx.query<{ current: number | null }>(LOCK_DECISION, [name]);
    const repeated = await findByKey(tx, request.idempotencyKey, requestHash);
    if (repeated !== undefined) return repeated;
    const number = state?.current ?? null;
    checkExpected(name, request.expected, number);
    const choice =
      answering.type === 'decision'
        ? await chooseForDecision(tx, answering, request)
        : await chooseForRecommendation({
            tx,
            app: host.app,
            recommendation: answering,
            request,
            current: number === null ? undefined : await getRelease(tx, releaseId(name, number)),
          });
    // Nothing was served before the first release.
    if (number !== null) assertVerified();
    return insert(host, tx, { name, choice, request, requestHash, actor });
  });
  await host.failPoints.pass('registry.release.committed');
  return created;
}

function answeringOf(app: App, name: string): Decision | Recommendation {
  const found = app.decisions.get(name) ?? app.recommendations.get(name);
  if (found !== undefined) return found;
  throw new PlatformError(
    'DECISION_NOT_FOUND',
    `App '${app.name}' defines no decision and no recommendation '${name}'`,
    {
      details: {
        decision: name,
        decisions: [...app.decisions.keys()],
        recommendations: [...app.recommendations.keys()],
      },
    },
  );
}

/** One page of releases, of one decision or of all, newest first. */
export async function listReleases(
  tables: Tables,
  page: {
    readonly after?: string | undefined;
    readonly limit: number;
    readonly decision?: string | undefined;
  },
): Promise<{ releases: Release[]; next: string | null }> {
  const { decision, limit } = page;
  const before = numberBefore(page.after);
  if (decision === undefined) {
    const found = await tables.query<ReleaseRow>(LIST, [before, limit + 1]);
    const { rows, next } = cutPage(found, limit, (row) => row.revision);
    return { releases: rows.map(toRelease), next };
  }
  if (!isStorable(decision)) return { releases: [], next: null };
  const found = await tables.query<ReleaseRow>(LIST_OF_DECISION, [decision, before, limit + 1]);
  const { rows, next } = cutPage(found, limit, (row) => row.number);
  return { releases: rows.map(toRelease), next };
}

/** Rejects with RELEASE_NOT_FOUND. */
export async function getRelease(tables: Tables, id: string): Promise<Release> {
  const [, decision, digits] = /^([a-zA-Z0-9_]+)-([1-9]\d{0,14})$/.exec(id) ?? [];
  const [row] = digits === undefined ? [] : await tables.query<ReleaseRow>(GET, [decision, Number(digits)]);
  if (row !== undefined) return toRelease(row);
  throw new PlatformError('RELEASE_NOT_FOUND', `There is no release '${id}'`, { details: { release: id } });
}

/** The release in charge of each decision, with the revision that changes whenever one of them does. */
export async function getCurrentReleases(tables: Tables): Promise<{ revision: number; releases: Release[] }> {
  type Row = { readonly state_revision: number } & (ReleaseRow | { readonly decision: null });
  const rows = await tables.query<Row>(GET_CURRENT);
  return {
    revision: rows[0]?.state_revision ?? 0,
    releases: rows.flatMap((row) => (row.decision === null ? [] : [toRelease(row)])),
  };
}

async function findByKey(
  tx: Tables,
  key: string | undefined,
  requestHash: string,
): Promise<Release | undefined> {
  if (key === undefined) return undefined;
  const [row] = await tx.query<ReleaseRow>(GET_BY_KEY, [key]);
  if (row === undefined) return undefined;
  const release = toRelease(row);
  if (row.request_hash === requestHash) return release;
  throw new PlatformError(
    'CONFLICT',
    `The idempotency key came before with another body, for release ${release.id}`,
    {
      details: { release: release.id, idempotencyKey: key },
    },
  );
}

function checkExpected(decision: string, expected: string | null | undefined, number: number | null): void {
  const current = number === null ? null : releaseId(decision, number);
  if (expected === undefined || expected === current) return;
  throw new PlatformError(
    'CONFLICT',
    `The release in charge of '${decision}' is ${current ?? 'none'}, not ${String(expected)}`,
    {
      details: { decision, expected, current },
    },
  );
}

interface Insertion {
  /** Of the decision or recommendation. */
  readonly name: string;
  readonly choice: Choice;
  readonly request: ReleaseRequest;
  readonly requestHash: string;
  /** Subject of who asked for it. */
  readonly actor: string;
}

async function insert(host: ServiceHost, tx: Tables, insertion: Insertion): Promise<Release> {
  const { name, choice, request, requestHash, actor } = insertion;
  const { model, version, threshold, abstain, recommendation } = choice;
  const at = host.clock.now();
  const reason = request.reason ?? null;
  const [counted] = await tx.query<{ number: number }>(COUNT_UP, [name]);
  // From here on the state row is locked: what comes after is short.
  const [state] = await tx.query<{ revision: number }>(NEXT_REVISION);
  if (counted === undefined || state === undefined)
    throw new Error('The registry has lost a row that it keeps');
  const identity = [name, counted.number, state.revision, model, version, choice.vector];
  const answer = [threshold, JSON.stringify(choice.outcomes)];
  const rest = [at, reason, request.idempotencyKey ?? null, requestHash];
  const ranked = recommendation === undefined ? null : JSON.stringify(recommendation);
  const abstaining = abstain === undefined ? null : JSON.stringify(abstain);
  await tx.query(INSERT, [...identity, ...answer, ...rest, ranked, abstaining]);
  await tx.query(POINT, [name, counted.number]);
  const id = releaseId(name, counted.number);
  await appendAudit(tx, {
    at,
    action: 'release.created',
    subject: id,
    details: {
      model,
      version,
      ...(recommendation === undefined ? { threshold } : { ranker: rankerText(recommendation) }),
      ...(abstain === undefined ? {} : { abstain }),
      reason,
      revision: state.revision,
      actor,
    },
  });
  await host.failPoints.pass('registry.release.switched');
  await host.signals.notify(RELEASE_SIGNAL, tx);
  return getRelease(tx, id);
}

function rankerText({ ranker }: RecommendationChoice): string | null {
  return ranker === null ? null : `${ranker.model}/${String(ranker.version)}`;
}

function releaseId(decision: string, number: number): string {
  return `${decision}-${String(number)}`;
}

function toRelease(row: ReleaseRow): Release {
  return {
    id: releaseId(row.decision, row.number),
    decision: row.decision,
    number: row.number,
    model: row.model,
    version: row.version,
    onnx: { digest: row.onnx_digest, bytes: row.onnx_bytes },
    vector: row.vector,
    vectorHash: row.recommendation?.vectorHash ?? row.vector_hash,
    threshold: row.threshold,
    outcomes: row.outcomes,
    ...(row.abstain === null ? {} : { abstain: row.abstain }),
    createdAt: row.created_at,
    reason: row.reason,
    ...(row.recommendation === null ? {} : { ranker: row.recommendation.ranker }),
  };
}
