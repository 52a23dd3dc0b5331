import {
  type DecisionExplanation,
  type LedgerEntry,
  PlatformError,
  type Release,
  routes,
} from '../../contract/index.ts';
import type { CallContext, CallOptions, ServiceHost } from '../../runtime/index.ts';
import { type InputReport, readInputs, referenceOf } from './input-report.ts';
import type { ServeOptions } from './options.ts';
import {
  categoriesOf,
  type ExplainedValues,
  reasonAt,
  type Reasons,
  reasonsOf,
  strongestFirst,
} from './reasons.ts';
import type { ReleaseWatch } from './release-watch.ts';
import type { ModelCache, ServedModel } from './served-model.ts';

/** Releases and reports of versions that are kept: neither ever changes. */
const KEPT_MAX = 64;

/** What {@link Explanations} needs. */
export interface ExplanationsParts {
  readonly host: Pick<ServiceHost<ServeOptions>, 'app' | 'call' | 'clock'>;
  readonly watch: Pick<ReleaseWatch, 'get'>;
  readonly models: ModelCache;
}

/** Explains decisions of the ledger by the versions that made them. */
export class Explanations {
  readonly #parts: ExplanationsParts;
  readonly #releases = new Map<string, Release>();
  /** By model and version. */
  readonly #reports = new Map<string, readonly InputReport[]>();

  constructor(parts: ExplanationsParts) {
    this.#parts = parts;
  }

  /**
   * What each input added to a score, the strongest first, and where its value stands among those of the training rows.
   *
   * Rejects with UNPROCESSABLE when the version cannot be explained, and with what the registry and the object store answer.
   */
  async explain(entry: LedgerEntry, context: CallContext): Promise<DecisionExplanation> {
    if (entry.recommendation !== undefined)
      throw new PlatformError('UNPROCESSABLE', 'A recommendation has no explanation: decisions have');
    const { decisionId, decision, outcome, score, asOf } = entry;
    const release = await this.#release(entry, context);
    const { scale, base, parts } = (await this.#model(entry, release)).explain(entry.values);
    const explained = this.#explained(entry);
    const report = await this.#report(release, context);
    return {
      decisionId,
      decision,
      outcome,
      score,
      release: release.id,
      asOf,
      model: release.model,
      version: release.version,
      scale,
      base,
      margin: parts.reduce((sum, part) => sum + part, base),
      inputs: strongestFirst(parts).map((index) => {
        const reason = reasonAt(explained, parts, index);
        const found = report.find(({ name }) => name === reason.input);
        return { ...reason, reference: found === undefined ? null : referenceOf(found, reason.value) };
      }),
    };
  }

  /** The strongest reasons of a score. Rejects as {@link explain} does. */
  async reasons(entry: LedgerEntry, count: number, context: CallContext): Promise<Reasons> {
    const model = await this.#model(entry, await this.#release(entry, context));
    return reasonsOf(model, this.#explained(entry), count);
  }

  /** What codes stand for is known of vectors that the app still has. */
  #explained({ names, values, vector, vectorHash }: LedgerEntry): ExplainedValues {
    const found = this.#parts.host.app.vectors.get(vector);
    return { names, values, ...(found?.hash === vectorHash ? { categories: categoriesOf(found) } : {}) };
  }

  /** The one in charge is loaded already. */
  async #model(entry: LedgerEntry, release: Release): Promise<ServedModel> {
    const loaded = this.#parts.watch.get(entry.decision);
    return loaded?.release.id === entry.release ? loaded.model : this.#parts.models.get(release.onnx.digest);
  }

  async #release({ decision, release: id }: LedgerEntry, context: CallContext): Promise<Release> {
    const loaded = this.#parts.watch.get(decision)?.release;
    if (loaded?.id === id) return loaded;
    const known = this.#releases.get(id);
    if (known !== undefined) return known;
    const { call } = this.#parts.host;
    const found = await call(
      routes.getRelease,
      { params: { id }, query: {}, body: {} },
      this.#within(context),
    );
    keep(this.#releases, id, found);
    return found;
  }

  /** What the training rows looked like; nothing for versions without a report, and while there is no answer. */
  async #report({ model, version }: Release, context: CallContext): Promise<readonly InputReport[]> {
    const name = `${model}/${String(version)}`;
    const known = this.#reports.get(name);
    if (known !== undefined) return known;
    const input = { params: { model, version }, query: { form: 'report' as const }, body: {} };
    try {
      const { text } = await this.#parts.host.call(routes.getCard, input, this.#within(context));
      const report = readInputs(text);
      keep(this.#reports, name, report);
      return report;
    } catch (error) {
      // An explanation without references is worth more than none.
      if (PlatformError.is(error)) return [];
      throw error;
    }
  }

  #within({ deadlineMs, signal }: CallContext): CallOptions {
    const leftMs = deadlineMs - this.#parts.host.clock.monotonic();
    return { timeoutMs: Math.max(1, Math.ceil(leftMs)), signal };
  }
}

function keep<TValue>(kept: Map<string, TValue>, key: string, value: TValue): void {
  kept.set(key, value);
  const [oldest] = kept.keys();
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
}
