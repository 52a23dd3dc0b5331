import { PlatformError, type Release, RELEASE_SIGNAL, routes } from '../../contract/index.ts';
import type { Decision, Recommendation, Vector } from '../../define/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import { textOf } from './failures.ts';
import { vectorIdOf } from './ledger-store.ts';
import { loadRecommendation, type LoadedRecommendation } from './load-recommendation.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';
import { type Categories, categoriesOf } from './reasons.ts';
import { loadServedModel, type ServedModel } from './served-model.ts';

/** How long the registry may take to answer, in milliseconds. */
const ASK_MS = 2_000;
/** A release that is broken is tried again after this pause, doubled each time up to the maximum. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;

/**
 * A release with everything that answering takes. It never changes: a switch replaces it in one assignment.
 */
export interface LoadedRelease {
  readonly release: Release;
  readonly model: ServedModel;
  /** The release's own: the decision's model may have another one by now. */
  readonly vector: Vector;
  /** Of its values. */
  readonly names: readonly string[];
  readonly categories: Categories;
  /** How the ledger refers to the vector. */
  readonly vectorId: number;
}

/** A release that should answer and cannot. */
export interface LoadFailure {
  readonly release: string;
  readonly reason: string;
  readonly attempts: number;
  /** By the monotonic clock. */
  readonly nextAttemptAt: number;
}

/**
 * Follows the registry: asks for the releases in charge at the start, at each signal and every `pollMs`, and
 * loads new ones beside those that answer. A release takes over once it is loaded and has made a prediction;
 * one that fails never does. While the registry is away, the last known releases go on.
 */
export class ReleaseWatch {
  readonly #host: ServiceHost<ServeOptions>;
  readonly #metrics: Pick<ServeMetrics, 'releaseAge' | 'releaseLoads'>;
  readonly #loaded = new Map<string, LoadedRelease>();
  readonly #recommendations = new Map<string, LoadedRecommendation>();
  readonly #failures = new Map<string, LoadFailure>();
  /** By their number in the ledger. */
  readonly #vectors = new Map<number, Vector>();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #revision: number | undefined;
  #confirmedAt: number;
  #registryError: string | undefined;
  #done: Promise<void> | undefined;

  constructor(host: ServiceHost<ServeOptions>, metrics: Pick<ServeMetrics, 'releaseAge' | 'releaseLoads'>) {
    this.#host = host;
    this.#metrics = metrics;
    this.#confirmedAt = host.clock.monotonic();
  }

  /** The release that answers a decision now. */
  get(decision: string): LoadedRelease | undefined {
    return this.#loaded.get(decision);
  }

  /** The release that answers a recommendation now. */
  recommendation(name: string): LoadedRecommendation | undefined {
    return this.#recommendations.get(name);
  }

  /** The vector that entries of the ledger mean by this number, if a release of this process had it. */
  vectorOf(vectorId: number): Vector | undefined {
    return this.#vectors.get(vectorId);
  }

  /** Why the release in charge of a decision or recommendation does not answer it. */
  failure(decision: string): LoadFailure | undefined {
    return this.#failures.get(decision);
  }

  /** That no release answers a decision or recommendation, and why. */
  noRelease(name: string): PlatformError {
    const failure = this.failure(name);
    const why =
      failure === undefined
        ? this.registryError
        : `release ${failure.release} is not loaded: ${failure.reason}`;
    return new PlatformError(
      'NO_RELEASE',
      `No release answers '${name}'${why === undefined ? '' : `: ${why}`}`,
      { details: { decision: name } },
    );
  }

  /** Whether the registry ever answered: before that nobody knows whether there is a release. */
  get isInformed(): boolean {
    return this.#revision !== undefined;
  }

  /** Why the registry's last answer did not come; `undefined` when it did. */
  get registryError(): string | undefined {
    return this.#registryError;
  }

  /** Begins to follow; returns at once. */
  start(): void {
    this.#done ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { clock, options, signals } = this.#host;
    const unsubscribe = signals.subscribe(RELEASE_SIGNAL, () => this.#wake.abort());
    try {
      while (!this.#stopping.signal.aborted) {
        // Renewed before asking: a signal that comes while we ask makes us ask again at once.
        this.#wake = new AbortController();
        await this.#pull();
        await clock.sleep(options.pollMs, AbortSignal.any([this.#wake.signal, this.#stopping.signal]));
      }
    } finally {
      unsubscribe();
    }
  }

  async #pull(): Promise<void> {
    const { call, clock, logger } = this.#host;
    try {
      const input = { params: {}, query: {}, body: {} };
      const options = { timeoutMs: ASK_MS, signal: this.#stopping.signal };
      const current = await call(routes.getCurrentReleases, input, options);
      this.#confirmedAt = clock.monotonic();
      this.#registryError = undefined;
      if (current.revision !== this.#revision || this.#failures.size > 0) {
        for (const release of current.releases) await this.#follow(release);
        this.#revision = current.revision;
      }
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      if (this.#registryError === undefined) {
        logger.warn('The registry does not answer: the last known releases go on', { error: textOf(error) });
      }
      this.#registryError = `the registry does not answer: ${textOf(error)}`;
    } finally {
      this.#metrics.releaseAge.set((clock.monotonic() - this.#confirmedAt) / 1_000);
    }
  }

  async #follow(release: Release): Promise<void> {
    const { app, clock, logger, failPoints } = this.#host;
    const known = app.decisions.get(release.decision) ?? app.recommendations.get(release.decision);
    const before = (this.get(release.decision) ?? this.recommendation(release.decision))?.release.id;
    // What only another version of the app knows is that one's business.
    if (known === undefined || this.#stopping.signal.aborted) return;
    if (before === release.id) {
      this.#failures.delete(release.decision);
      return;
    }
    const failed = this.#failures.get(release.decision);
    if (failed?.release === release.id && clock.monotonic() < failed.nextAttemptAt) return;
    try {
      const takeOver = await this.#host.trace.span('load release', () => this.#loadAs(known, release), {
        'tandem.release.id': release.id,
        'ml.model.name': release.model,
        'ml.model.version': String(release.version),
        'ml.model.digest': release.onnx.digest,
      });
      await failPoints.pass('serve.release.loaded');
      takeOver();
      this.#failures.delete(release.decision);
      this.#metrics.releaseLoads.add(1, { decision: release.decision, result: 'loaded' });
      logger.info('A release took over', { release: release.id, before, revision: this.#revision });
      await failPoints.pass('serve.release.swapped');
    } catch (error) {
      const attempts = failed?.release === release.id ? failed.attempts + 1 : 1;
      // What is only not available now is tried again at the next poll.
      const transient = PlatformError.is(error) && error.retryable;
      const pauseMs = transient ? 0 : Math.min(RETRY_MS_MIN * 2 ** (attempts - 1), RETRY_MS_MAX);
      const reason = textOf(error);
      const failure = { release: release.id, reason, attempts, nextAttemptAt: clock.monotonic() + pauseMs };
      this.#failures.set(release.decision, failure);
      this.#metrics.releaseLoads.add(1, { decision: release.decision, result: 'failed' });
      logger.error('A release cannot be loaded: the one before goes on', {
        release: release.id,
        before,
        error: reason,
      });
    }
  }

  /** Loads the release; what comes back puts it in charge, in one assignment. */
  async #loadAs(known: Decision | Recommendation, release: Release): Promise<() => void> {
    if (known.type === 'decision') {
      const loaded = await this.#load(release, known);
      return () => this.#loaded.set(known.name, loaded);
    }
    const before = this.recommendation(known.name);
    const loaded = await loadRecommendation(this.#host, { release, recommendation: known, before });
    this.#vectors.set(loaded.vectorId, loaded.history);
    return () => this.#recommendations.set(known.name, loaded);
  }

  async #load(release: Release, decision: Decision): Promise<LoadedRelease> {
    const { app, objects, tables } = this.#host;
    const vector = app.vectors.get(release.vector);
    if (release.vectorHash !== vector?.hash) {
      throw new PlatformError(
        'UNPROCESSABLE',
        `Release ${release.id} is for vector '${release.vector}' ${release.vectorHash}, this app has ${vector?.hash ?? 'none of this name'}`,
      );
    }
    const { candidate } = decision.model.vector;
    if (vector.candidate.hash !== candidate.hash) {
      throw new PlatformError(
        'UNPROCESSABLE',
        `Release ${release.id} decides on events of '${vector.candidate.name}', '${decision.name}' takes ones of '${candidate.name}'`,
      );
    }
    const model = await loadServedModel(objects, release.onnx.digest);
    const { length } = vector.values;
    if (model.inputCount !== length) {
      throw new PlatformError(
        'UNPROCESSABLE',
        `The model takes ${String(model.inputCount)} values, vector '${vector.name}' has ${String(length)}`,
      );
    }
    // A model that cannot predict from nothing but missing values and from zeros is none that may take over.
    model.predict(vector.values.map(() => null));
    model.predict(vector.values.map(() => 0));
    const vectorId = await vectorIdOf(tables, vector);
    this.#vectors.set(vectorId, vector);
    const names = vector.values.map((value) => value.name);
    this.#noteExplanation(release, decision, model);
    return { release, model, vector, names, categories: categoriesOf(vector), vectorId };
  }

  /** Prepares what a decision that gives reasons needs, so that its first answer does not wait for it. */
  #noteExplanation(release: Release, decision: Decision, model: ServedModel): void {
    if (decision.explain === undefined) return;
    const why = model.notExplained;
    if (why === undefined) return;
    this.#host.logger.warn('A decision gives reasons, but this version cannot be explained', {
      release: release.id,
      why,
    });
  }
}
