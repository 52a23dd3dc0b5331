import {
  compileEventReader,
  type EventReader,
  type InputOf,
  PlatformError,
  positionsOfRows,
  type RankedBy,
  type RecommendationAnswer,
  type RecommendedItem,
  type routes,
  type VectorRead,
} from '../../contract/index.ts';
import { readHistory, type Recommendation } from '../../define/index.ts';
import { type CallContext, RecentSamples, type ServiceHost } from '../../runtime/index.ts';
import type { Admission } from './admission.ts';
import { impressionId, type ReadRequest } from './impressions.ts';
import type { Ledger } from './ledger.ts';
import type { NewEntry } from './ledger-store.ts';
import type { LoadedRanker, LoadedRecommendation } from './load-recommendation.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';
import { orderItems } from './order-items.ts';
import { outcomeOfProposal, type Proposal, proposeCandidates } from './propose-candidates.ts';
import { recordAnswer } from './record-answer.ts';
import type { ReleaseWatch } from './release-watch.ts';
import { servedValues } from './served-model.ts';
import { type ServedRow, type ServedRows, VectorReads } from './vector-reads.ts';

/** What {@link Recommendations} needs. */
export interface RecommendationsParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly watch: ReleaseWatch;
  readonly ledger: Ledger;
  readonly admission: Admission;
  readonly metrics: ServeMetrics;
}

type RecommendBody = InputOf<typeof routes.recommend>['body'];

interface Endpoint {
  readonly recommendation: Recommendation;
  readonly read: EventReader;
}

/** A recommendation under way. */
interface Asked {
  readonly loaded: LoadedRecommendation;
  readonly request: ReadRequest;
  readonly body: RecommendBody;
  readonly limit: number;
  readonly context: CallContext;
}

interface Ranked {
  readonly scores: Float64Array;
  readonly by: RankedBy;
}

/** Answers recommendations: read the history, propose candidates, rank them, record, answer. */
export class Recommendations {
  readonly #parts: RecommendationsParts;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #waits: RecentSamples;
  /** By vector. */
  readonly #reads = new Map<string, VectorReads>();

  constructor(parts: RecommendationsParts) {
    this.#parts = parts;
    this.#waits = new RecentSamples(parts.host.clock);
    this.#endpoints = new Map(
      [...parts.host.app.recommendations.values()].map((recommendation) => [
        recommendation.name,
        { recommendation, read: compileEventReader(recommendation.request) },
      ]),
    );
  }

  /**
   * Recommends items.
   *
   * Rejects with DECISION_NOT_FOUND, BAD_REQUEST (with the quarantine's code, field and reason where the request is none of its
   * source), NO_RELEASE, OVERLOADED, DEADLINE_EXCEEDED, and with UNAVAILABLE when features cannot be read or a durable record
   * cannot be written.
   */
  async recommend(name: string, body: RecommendBody, context: CallContext): Promise<RecommendationAnswer> {
    const { admission, metrics } = this.#parts;
    const endpoint = this.#endpoints.get(name);
    try {
      if (endpoint === undefined) throw unknown(name, [...this.#endpoints.keys()]);
      return await admission.within(() => this.#answer(endpoint, body, context));
    } catch (error) {
      const code = PlatformError.is(error) ? error.code : 'INTERNAL';
      metrics.errors.add(1, { decision: endpoint === undefined ? 'unknown' : name, code });
      throw error;
    }
  }

  /** How long vector reads of the last seconds waited to begin, on average, in milliseconds. */
  get queueWaitMs(): number {
    return this.#waits.average();
  }

  async #answer(
    endpoint: Endpoint,
    body: RecommendBody,
    context: CallContext,
  ): Promise<RecommendationAnswer> {
    const { host, metrics } = this.#parts;
    const { clock } = host;
    const startedAt = clock.monotonic();
    const request = validate(endpoint, body.request);
    const limit = limitOf(endpoint, body);
    // Taken once: whatever takes over while this is under way, this release answers it.
    const loaded = this.#released(endpoint.recommendation.name);
    const asked = { loaded, request, body, limit, context };
    const history = await this.#readHistory(asked);
    const readAt = clock.monotonic();
    const values = servedValues(history.row.values);
    const proposal = proposeCandidates(loaded.items, {
      ...body,
      history: readHistory(loaded.recommender, values),
      take: loaded.recommendation.take,
    });
    const proposedAt = clock.monotonic();
    host.trace.done('propose candidates', readAt, { attributes: modelAttributes(loaded.release) });
    const ranked = await this.#rank(asked, proposal);
    const items = answered(asked, proposal, ranked);
    const rankedAt = clock.monotonic();
    const entry = this.#entry(asked, { history, values, proposal, ranked, items });
    const { ledger: mode } = endpoint.recommendation;
    await recordAnswer({ ledger: this.#parts.ledger, failPoints: host.failPoints, mode }, entry, context);
    const doneAt = clock.monotonic();
    host.trace.done('record recommendation', rankedAt, {
      attributes: { 'tandem.ledger': mode },
    });
    const { release } = loaded;
    metrics.recommendations.add(1, {
      recommendation: release.decision,
      fallback: proposal.fallback ?? 'none',
      release: release.id,
    });
    const observe = (part: string, from: number, to: number): void =>
      metrics.recommendationSeconds.observe((to - from) / 1_000, { part });
    observe('history', startedAt, readAt);
    observe('candidates', readAt, proposedAt);
    observe('ranking', proposedAt, rankedAt);
    observe('ledger', rankedAt, doneAt);
    observe('total', startedAt, doneAt);
    return {
      recommendationId: entry.decisionId,
      recommendation: release.decision,
      release: release.id,
      asOf: entry.asOf,
      items,
      fallback: proposal.fallback,
    };
  }

  #released(name: string): LoadedRecommendation {
    const { watch } = this.#parts;
    const loaded = watch.recommendation(name);
    if (loaded === undefined) throw watch.noRelease(name);
    return loaded;
  }

  async #readHistory({ loaded, request, context }: Asked): Promise<ServedRow> {
    const { name, hash } = loaded.history;
    const served = await this.#parts.host.trace.span(
      'read history',
      () => this.#readsOf(name).read({ ...request.record }, context),
      { 'ml.feature.set': name },
    );
    assertVersion(loaded, { vector: name, expected: hash, served: served.hash });
    return served;
  }

  /** Undefined where the release has no ranker, or there is nothing to rank. */
  async #rank(asked: Asked, { candidates }: Proposal): Promise<Ranked | undefined> {
    const { loaded, request, context } = asked;
    const { ranker, items } = loaded;
    if (ranker === null || candidates.length === 0) return undefined;
    const { trace, clock } = this.#parts.host;
    const { name, hash } = ranker.vector;
    const impressions = candidates.map(({ item, score }) =>
      ranker.impressionOf(request, items.itemIds[item] ?? '', score),
    );
    const { read, rows } = await trace.span(
      'read vectors',
      () => this.#readsOf(name).readAll(impressions, context),
      { 'ml.feature.set': name },
    );
    assertVersion(loaded, { vector: name, expected: hash, served: read.hash });
    const readAt = clock.monotonic();
    const scores = ranker.model.predict(rows.map(({ values }) => values));
    trace.done('rank', readAt, { attributes: modelAttributes(loaded.release.ranker ?? loaded.release) });
    return { scores, by: rankedBy(ranker, read, rows) };
  }

  #entry(
    asked: Asked,
    made: {
      readonly history: ServedRow;
      readonly values: readonly (number | null)[];
      readonly proposal: Proposal;
      readonly ranked: Ranked | undefined;
      readonly items: RecommendedItem[];
    },
  ): NewEntry {
    const { host } = this.#parts;
    const { loaded, request, body, limit } = asked;
    const { release, recommendation, vectorId } = loaded;
    const { history, values, proposal, ranked, items } = made;
    const { request: record, ...wishes } = body;
    return {
      decisionId: host.random.id(),
      decision: recommendation.name,
      outcome: outcomeOfProposal(proposal.fallback),
      score: items[0]?.score ?? 0,
      release: release.id,
      asOf: history.row.asOf,
      at: host.clock.now(),
      subject: String(request.event.values[recommendation.user] ?? ''),
      vectorId,
      request: record,
      values,
      ...history.at,
      traceId: host.trace.traceId ?? null,
      recommendation: {
        ...wishes,
        limit,
        take: recommendation.take,
        diversity: recommendation.diversity ?? 0,
        candidates: proposal.candidates.length,
        items,
        fallback: proposal.fallback,
        ranking: ranked?.by ?? null,
      },
    };
  }

  #readsOf(vector: string): VectorReads {
    const known = this.#reads.get(vector);
    if (known !== undefined) return known;
    const { host, metrics } = this.#parts;
    const { call, clock, options: limits, trace } = host;
    const made = new VectorReads({ vector, call, clock, trace, metrics, waits: this.#waits, limits });
    this.#reads.set(vector, made);
    return made;
  }
}

/** The best candidates, as they are answered. */
function answered(
  { loaded, request, limit }: Asked,
  { candidates }: Proposal,
  ranked: Ranked | undefined,
): RecommendedItem[] {
  const { items, recommendation } = loaded;
  const diversity = recommendation.diversity ?? 0;
  return orderItems(items, candidates, { scores: ranked?.scores, limit, diversity }).map(
    ({ item, score, candidateScore }) => {
      const id = items.itemIds[item] ?? '';
      return { item: id, impressionId: impressionId(request, id), score, candidateScore };
    },
  );
}

/** What makes the vectors of the candidates recomputable. */
function rankedBy(ranker: LoadedRanker, read: VectorRead, rows: ServedRows['rows']): RankedBy {
  const { vector, mapping } = ranker;
  return {
    vector: vector.name,
    vectorHash: vector.hash,
    item: mapping.item,
    score: mapping.score,
    copied: [...mapping.copied],
    asOf: rows.map(({ asOf }) => asOf),
    ...positionsOfRows(read, rows, vector.groups.length),
  };
}

function modelAttributes(served: {
  readonly model: string;
  readonly version: number;
  readonly onnx: { readonly digest: string };
}): Record<string, string> {
  return {
    'ml.model.name': served.model,
    'ml.model.version': String(served.version),
    'ml.model.digest': served.onnx.digest,
  };
}

function unknown(name: string, recommendations: readonly string[]): PlatformError {
  return new PlatformError('DECISION_NOT_FOUND', `The app defines no recommendation '${name.slice(0, 63)}'`, {
    details: { recommendations },
  });
}

function validate({ read }: Endpoint, record: Record<string, unknown>): ReadRequest {
  const result = read(record);
  if ('event' in result) return { record, event: result.event };
  const { code, field, reason } = result.rejection;
  throw new PlatformError('BAD_REQUEST', reason, {
    details: { code, reason, ...(field === undefined ? {} : { field }) },
  });
}

function limitOf({ recommendation }: Endpoint, { limit }: RecommendBody): number {
  const { answer, name } = recommendation;
  if (limit === undefined || limit <= answer) return limit ?? answer;
  throw new PlatformError(
    'BAD_REQUEST',
    `'${name}' answers ${String(answer)} items at most; 'limit' is ${String(limit)}`,
    { details: { field: 'limit', limit, answer } },
  );
}

function assertVersion(
  { release }: LoadedRecommendation,
  found: { readonly vector: string; readonly expected: string; readonly served: string },
): void {
  const { vector, expected, served } = found;
  if (served === expected) return;
  throw new PlatformError(
    'UNAVAILABLE',
    `The features service has another version of vector '${vector}' than release ${release.id}`,
    { details: { release: release.id, expected, served } },
  );
}
