import {
  compileEventReader,
  type DecisionAnswer,
  type Event,
  type EventReader,
  PlatformError,
} from '../../contract/index.ts';
import type { Decision } from '../../define/index.ts';
import { type CallContext, RecentSamples, type ServiceHost } from '../../runtime/index.ts';
import type { Admission } from './admission.ts';
import type { Ledger } from './ledger.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';
import { recordAnswer } from './record-answer.ts';
import type { LoadedRelease, ReleaseWatch } from './release-watch.ts';
import { type Reasons, reasonsOf } from './reasons.ts';
import { isForReview, outcomeOf, servedValues } from './served-model.ts';
import { type ServedRow, VectorReads } from './vector-reads.ts';

/** What {@link Decisions} needs. */
export interface DecisionsParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly watch: ReleaseWatch;
  readonly ledger: Ledger;
  readonly admission: Admission;
  readonly metrics: ServeMetrics;
}

interface Endpoint {
  readonly decision: Decision;
  readonly read: EventReader;
}

/** What is to be decided. */
export interface DecisionRequest {
  /** The event. */
  readonly request: Record<string, unknown>;
  /** How many reasons to give. Default: as many as the decision says, if its version can be explained. */
  readonly reasonCount?: number | undefined;
}

/** Marks an entry of the ledger as one that waits for a person. */
const FOR_REVIEW = { forReview: true } as const;

/** Answers decisions: validate, read the vector, predict, record, answer. */
export class Decisions {
  readonly #parts: DecisionsParts;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #waits: RecentSamples;
  /** By vector: decisions on the same one share its reads. */
  readonly #reads = new Map<string, VectorReads>();

  constructor(parts: DecisionsParts) {
    this.#parts = parts;
    this.#waits = new RecentSamples(parts.host.clock);
    this.#endpoints = endpointsOf(parts);
  }

  /**
   * Decides on an event.
   *
   * Rejects with DECISION_NOT_FOUND, BAD_REQUEST (with the quarantine's code, field and reason), NO_RELEASE,
   * UNPROCESSABLE (reasons were asked for, and the version cannot be explained), OVERLOADED, DEADLINE_EXCEEDED, and with UNAVAILABLE when features cannot be read or a durable record
   * cannot be written.
   */
  async decide(
    name: string,
    { request, reasonCount }: DecisionRequest,
    context: CallContext,
  ): Promise<DecisionAnswer> {
    const { admission, metrics } = this.#parts;
    const endpoint = this.#endpoints.get(name);
    try {
      if (endpoint === undefined) throw unknown(name, [...this.#endpoints.keys()]);
      return await admission.within(() => this.#answer(endpoint, { request, reasonCount }, context));
    } catch (error) {
      const code = PlatformError.is(error) ? error.code : 'INTERNAL';
      metrics.errors.add(1, { decision: endpoint === undefined ? 'unknown' : name, code });
      throw error;
    }
  }

  /** How long decisions of the last seconds waited for a vector read to begin, on average, in milliseconds. */
  get queueWaitMs(): number {
    return this.#waits.average();
  }

  async #answer(
    endpoint: Endpoint,
    { request, reasonCount }: DecisionRequest,
    context: CallContext,
  ): Promise<DecisionAnswer> {
    const { host, metrics } = this.#parts;
    const { clock } = host;
    const startedAt = clock.monotonic();
    const event = validate(endpoint, request);
    // Taken once: whatever takes over while this decision is under way, this release answers it.
    const loaded = this.#released(endpoint.decision.name);
    const reasonsMax = reasonsToGive(endpoint.decision, loaded, reasonCount);
    const vector = loaded.vector.name;
    const served = await host.trace.span('read vector', () => this.#readsOf(vector).read(request, context), {
      'ml.feature.set': vector,
    });
    const readAt = clock.monotonic();
    assertVersion(loaded, served);
    const values = servedValues(served.row.values);
    const score = loaded.model.predict(values);
    const outcome = outcomeOf(score, loaded.release);
    const predictedAt = clock.monotonic();
    const explained = reasonsMax === 0 ? undefined : explain(loaded, values, reasonsMax);
    const explainedAt = clock.monotonic();
    host.trace.done('predict', readAt, {
      attributes: {
        'ml.model.name': loaded.release.model,
        'ml.model.version': String(loaded.release.version),
        'ml.model.digest': loaded.release.onnx.digest,
      },
    });
    const answer: DecisionAnswer = {
      decisionId: host.random.id(),
      decision: endpoint.decision.name,
      outcome,
      score,
      release: loaded.release.id,
      asOf: served.row.asOf,
    };
    const subject = String(event.values[endpoint.decision.subject] ?? '');
    const { vectorId } = loaded;
    const entry = {
      ...answer,
      at: clock.now(),
      subject,
      vectorId,
      request,
      values,
      ...served.at,
      traceId: host.trace.traceId ?? null,
      ...(isForReview(score, loaded.release) ? FOR_REVIEW : undefined),
    };
    const { ledger } = this.#parts;
    const { ledger: mode } = endpoint.decision;
    await recordAnswer({ ledger, failPoints: host.failPoints, mode }, entry, context);
    const doneAt = clock.monotonic();
    host.trace.done('record decision', explainedAt, {
      attributes: { 'tandem.ledger': mode },
    });
    metrics.decisions.add(1, { decision: answer.decision, outcome, release: answer.release });
    metrics.seconds.observe((readAt - startedAt) / 1_000, { part: 'features' });
    metrics.seconds.observe((predictedAt - readAt) / 1_000, { part: 'model' });
    if (explained !== undefined)
      metrics.seconds.observe((explainedAt - predictedAt) / 1_000, { part: 'explanation' });
    metrics.seconds.observe((doneAt - explainedAt) / 1_000, { part: 'ledger' });
    metrics.seconds.observe((doneAt - startedAt) / 1_000, { part: 'total' });
    return explained === undefined ? answer : { ...answer, ...explained };
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

  #released(decision: string): LoadedRelease {
    const { watch } = this.#parts;
    const loaded = watch.get(decision);
    if (loaded !== undefined) return loaded;
    throw watch.noRelease(decision);
  }
}

function endpointsOf({ host }: DecisionsParts): Map<string, Endpoint> {
  return new Map(
    [...host.app.decisions.values()].map((decision): [string, Endpoint] => [
      decision.name,
      { decision, read: compileEventReader(decision.model.vector.candidate) },
    ]),
  );
}

function unknown(name: string, decisions: readonly string[]): PlatformError {
  return new PlatformError('DECISION_NOT_FOUND', `The app defines no decision '${name.slice(0, 63)}'`, {
    details: { decisions },
  });
}

function validate(endpoint: Endpoint, request: Record<string, unknown>): Event {
  const result = endpoint.read(request);
  if ('event' in result) return result.event;
  const { code, field, reason } = result.rejection;
  throw new PlatformError('BAD_REQUEST', reason, {
    details: { code, reason, ...(field === undefined ? {} : { field }) },
  });
}

/** Nothing is read or recorded for somebody who asks for reasons that cannot be given. */
function reasonsToGive(decision: Decision, { model, release }: LoadedRelease, asked?: number): number {
  const count = asked ?? decision.explain ?? 0;
  if (count === 0) return 0;
  const why = model.notExplained;
  if (why === undefined) return count;
  // Whoever did not ask gets his answer: a version that cannot be explained may be the one that was gone back to.
  if (asked === undefined) return 0;
  throw new PlatformError('UNPROCESSABLE', `This version cannot be explained: ${why}`, {
    details: { decision: decision.name, release: release.id, version: release.version },
  });
}

function explain(
  { model, names, categories }: LoadedRelease,
  values: readonly (number | null)[],
  count: number,
): Reasons {
  return reasonsOf(model, { names, values, categories }, count);
}

function assertVersion(loaded: LoadedRelease, served: ServedRow): void {
  const { release } = loaded;
  if (served.hash === release.vectorHash) return;
  throw new PlatformError(
    'UNAVAILABLE',
    `The features service has another version of vector '${release.vector}' than release ${release.id}`,
    { details: { release: release.id, expected: release.vectorHash, served: served.hash } },
  );
}
