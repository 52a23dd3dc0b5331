import { randomUUID } from 'node:crypto';
import type { HttpClient } from './http-client.ts';

/** Reviews on one page. */
const REVIEWS_A_PAGE = 100;

/** Next offsets by source and partition. */
export type Positions = Readonly<Record<string, readonly number[]>>;

export interface Quarantined {
  readonly status: 'quarantined';
  readonly index: number;
  readonly code: string;
  readonly reason: string;
}

export interface IngestAnswer {
  readonly accepted: number;
  readonly quarantined: number;
  readonly positions: Positions;
  readonly results: readonly Quarantined[];
}

export interface SourceCounts {
  readonly accepted: number;
  readonly quarantined: number;
  readonly duplicates: number | null;
  readonly lag: number | null;
}

export interface VectorRows {
  readonly names: readonly string[];
  readonly rows: readonly { readonly asOf: number; readonly values: readonly (number | null)[] }[];
}

export interface DatasetAnswer {
  readonly rows: number;
  readonly censored: number;
  readonly positives: number;
  /** Rows left out because nobody has said what they are; absent of labels that need nobody's word. */
  readonly unconfirmed?: number;
  readonly names: readonly string[];
  readonly file: { readonly digest: string; readonly bytes: number };
}

export interface GateAnswer {
  readonly metric: string;
  readonly direction: 'atLeast' | 'atMost';
  readonly bound: number;
  /** The threshold of recall, precision and specificity. */
  readonly at?: number;
  readonly value: number;
  readonly passed: boolean;
  /** The slice that the value is of, for a gate on the worst one. */
  readonly where?: { readonly input: string; readonly values: string; readonly rows: number };
  /** The value is that end of its 95 % interval. */
  readonly end?: 'lower' | 'upper';
  /** The value is how much better than the baseline's it is. */
  readonly against?: 'baseline';
  /** Why nothing could be measured. */
  readonly unmeasured?: string;
}

export interface RunAnswer {
  readonly id: string;
  readonly state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly steps: readonly {
    readonly name: string;
    readonly state: string;
    readonly seconds: number | null;
  }[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly gates: readonly GateAnswer[];
  readonly version: number | null;
  readonly error: string | null;
}

export interface ReleaseAnswer {
  readonly id: string;
  readonly decision: string;
  readonly model: string;
  readonly version: number;
}

export interface DecisionAnswer {
  readonly decisionId: string;
  readonly outcome: string;
  readonly score: number;
  readonly release: string;
  /** The inputs that moved the score most, the strongest first; absent where a decision gives none. */
  readonly reasons?: readonly Reason[];
}

/** One input's part in a decision: what it added to the margin. */
export interface Reason {
  readonly input: string;
  readonly value: number | null;
  readonly contribution: number;
}

export interface ExplanationAnswer {
  readonly version: number;
  readonly score: number;
  readonly base: number;
  /** Base and all contributions. */
  readonly margin: number;
  readonly inputs: readonly Reason[];
}

export interface ReviewAnswer {
  readonly decisionId: string;
  readonly outcome: string;
  readonly score: number;
  /** The event that was decided on. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly answer: {
    readonly positive: boolean;
    /** The outcome that the answer became, and whether it is durable already; null: none was needed. */
    readonly event: { readonly id: string; readonly sent: boolean } | null;
    /** Whether it came too late to count as a label. */
    readonly late: boolean;
  } | null;
}

/** What a version was measured to be, as far as it is used here. */
export interface VersionReport {
  readonly test: { readonly rows: number; readonly positives: number };
  readonly metrics: Readonly<Record<string, number>>;
  readonly intervals: Readonly<Record<string, { readonly low: number; readonly high: number }>>;
}

/**
 * The product's routes that a customer of the examples uses. `decide` is sent once; everything else may be
 * repeated.
 */
export class Platform {
  readonly #client: HttpClient;
  /** Part of idempotency keys: a repeated request is the same one, a request of the next start is another. */
  readonly #session = randomUUID();

  constructor(client: HttpClient) {
    this.#client = client;
  }

  /** Sends records (JSON texts) in their order; the answer means that they are on disk. */
  ingest(source: string, records: readonly string[]): Promise<IngestAnswer> {
    return this.#client.repeat({
      method: 'POST',
      path: `/v1/sources/${source}/events?results=quarantined`,
      body: `${records.join('\n')}\n`,
      mediaType: 'application/x-ndjson',
      timeoutMs: 120_000,
    });
  }

  source(source: string): Promise<SourceCounts> {
    return this.#client.repeat({ method: 'GET', path: `/v1/sources/${source}` });
  }

  /** Reads and records the vectors of candidates (JSON texts) from a state that has applied `after`. */
  readVectors(vector: string, candidates: readonly string[], after: Positions): Promise<VectorRows> {
    const rest = JSON.stringify({ after, waitMs: 60_000, record: true });
    return this.#client.repeat({
      method: 'POST',
      path: `/v1/vectors/${vector}/read`,
      body: `{"candidates":[${candidates.join(',')}],${rest.slice(1)}`,
      timeoutMs: 90_000,
    });
  }

  /** The clock of the features: the latest event time seen, in milliseconds since 1970-01-01 UTC. */
  async clock(): Promise<number> {
    const status = await this.#client.repeat<{ readonly clock: number }>({
      method: 'GET',
      path: '/v1/features',
    });
    return status.clock;
  }

  /** Builds a dataset with labels from the events in [fromMs, toMs). */
  buildDataset(request: {
    readonly vector: string;
    readonly label: string;
    readonly fromMs: number;
    readonly toMs: number;
    readonly knowledge: 'latest' | 'as-served';
    readonly asOf: number;
  }): Promise<DatasetAnswer> {
    const { fromMs, toMs, ...same } = request;
    return this.#client.repeat({
      method: 'POST',
      path: '/v1/datasets',
      body: JSON.stringify({ ...same, from: fromMs, to: toMs }),
      timeoutMs: 600_000,
    });
  }

  startRun(model: string, asOf: number): Promise<RunAnswer> {
    return this.#client.repeat({
      method: 'POST',
      path: `/v1/models/${model}/runs`,
      // The key makes repeating safe: the same model as of the same instant is the same run.
      body: JSON.stringify({ asOf, idempotencyKey: `${this.#session}-${model}-${String(asOf)}` }),
    });
  }

  run(id: string): Promise<RunAnswer> {
    return this.#client.repeat({ method: 'GET', path: `/v1/runs/${encodeURIComponent(id)}` });
  }

  /** What was measured of a version: metrics with their intervals. */
  async versionReport(model: string, version: number): Promise<VersionReport> {
    const card = await this.#client.repeat<{ readonly text: string }>({
      method: 'GET',
      path: `/v1/models/${model}/versions/${String(version)}/card?form=report`,
    });
    return JSON.parse(card.text) as VersionReport;
  }

  /** SHA-256 of the bytes of a model version. */
  async versionDigest(model: string, version: number): Promise<string> {
    const found = await this.#client.repeat<{ readonly onnx: { readonly digest: string } }>({
      method: 'GET',
      path: `/v1/models/${model}/versions/${String(version)}`,
    });
    return found.onnx.digest;
  }

  release(decision: string, version: number, reason: string): Promise<ReleaseAnswer> {
    const idempotencyKey = `${this.#session}-${decision}-${String(version)}`;
    return this.#client.repeat({
      method: 'POST',
      path: '/v1/releases',
      body: JSON.stringify({ decision, version, reason, idempotencyKey }),
    });
  }

  /** Puts versions in charge of a recommendation; what is absent stays as it is. */
  releaseRecommendation(
    recommendation: string,
    versions: { readonly version?: number; readonly ranker?: number | null },
    reason: string,
  ): Promise<ReleaseAnswer> {
    const idempotencyKey = `${this.#session}-${recommendation}-${JSON.stringify(versions)}-${reason}`;
    return this.#client.repeat({
      method: 'POST',
      path: '/v1/releases',
      body: JSON.stringify({ decision: recommendation, ...versions, reason, idempotencyKey }),
    });
  }

  /** The release in charge of a decision, if there is one. */
  async currentRelease(decision: string): Promise<ReleaseAnswer | undefined> {
    const { releases } = await this.#client.repeat<{ readonly releases: readonly ReleaseAnswer[] }>({
      method: 'GET',
      path: '/v1/current-releases',
    });
    return releases.find((release) => release.decision === decision);
  }

  decide(decision: string, record: string): Promise<DecisionAnswer> {
    return this.#client.once({
      method: 'POST',
      path: `/v1/decisions/${decision}`,
      body: record,
      timeoutMs: 10_000,
    });
  }

  recommend<TAnswer>(recommendation: string, body: string): Promise<TAnswer> {
    return this.#client.once({
      method: 'POST',
      path: `/v1/recommendations/${recommendation}`,
      body,
      timeoutMs: 10_000,
    });
  }

  /** What each input added to the score of a decision. */
  explain(decisionId: string): Promise<ExplanationAnswer> {
    return this.#client.repeat({
      method: 'GET',
      path: `/v1/ledger/${encodeURIComponent(decisionId)}/explanation`,
      timeoutMs: 60_000,
    });
  }

  /** Decisions that a person is asked about, or was: all of them, oldest first. */
  async reviews(decision: string, state: 'waiting' | 'answered'): Promise<ReviewAnswer[]> {
    const found: ReviewAnswer[] = [];
    for (let after: string | null | undefined; after !== null;) {
      const query = new URLSearchParams({ decision, state, limit: String(REVIEWS_A_PAGE) });
      if (after !== undefined) query.set('after', after);
      const page: { readonly reviews: readonly ReviewAnswer[]; readonly next: string | null } =
        await this.#client.repeat({
          method: 'GET',
          path: `/v1/reviews?${query.toString()}`,
          timeoutMs: 60_000,
        });
      found.push(...page.reviews);
      after = page.next;
    }
    return found;
  }

  /** Answers for a decision that waits. The same answer may be given again. */
  answerReview(
    decisionId: string,
    answer: { readonly positive: boolean; readonly fields: Readonly<Record<string, unknown>> },
  ): Promise<NonNullable<ReviewAnswer['answer']>> {
    return this.#client.repeat({
      method: 'POST',
      path: `/v1/reviews/${encodeURIComponent(decisionId)}`,
      body: JSON.stringify(answer),
      timeoutMs: 60_000,
    });
  }

  replay(decisionId: string): Promise<{ readonly equal: boolean; readonly differences: readonly string[] }> {
    return this.#client.repeat({
      method: 'POST',
      path: `/v1/ledger/${encodeURIComponent(decisionId)}/replay`,
      timeoutMs: 60_000,
    });
  }
}

/** The positions that include both. */
export function laterPositions(one: Positions, other: Positions): Positions {
  const merged: Record<string, readonly number[]> = { ...one };
  for (const [source, offsets] of Object.entries(other)) {
    const known = merged[source];
    merged[source] = offsets.map((offset, partition) => Math.max(offset, known?.[partition] ?? 0));
  }
  return merged;
}
