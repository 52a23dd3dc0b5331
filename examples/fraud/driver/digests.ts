import { createHash, type Hash } from 'node:crypto';

/** What a run came to, as SHA-256: two runs that agree in these agree in every bit of every number. */
export interface DigestReport {
  /** Vectors read online, in the order of the stream. */
  readonly features: string;
  /** Rows of the dataset with all that is known, in the order of their ids. */
  readonly dataset: string;
  /** Bytes of the model versions, by model. */
  readonly models: Readonly<Record<string, string>>;
  /** Outcome and score of every decision, in the order of the stream. */
  readonly decisions: string;
}

/** Adds up what a run came to. */
export class Digests {
  readonly #features = createHash('sha256');
  readonly #decisions = createHash('sha256');
  readonly #rows = new Map<number, string>();
  readonly #models: Record<string, string> = {};

  feature(id: number, values: readonly (number | null)[]): void {
    add(this.#features, [id, ...values]);
  }

  decision(id: number, outcome: string | null, score: number | null): void {
    add(this.#decisions, [id, outcome, score]);
  }

  row(id: number, values: readonly (number | null)[]): void {
    this.#rows.set(id, JSON.stringify(values));
  }

  model(model: string, digest: string): void {
    this.#models[model] = digest;
  }

  report(): DigestReport {
    const dataset = createHash('sha256');
    for (const [id, values] of [...this.#rows].sort(([left], [right]) => left - right)) {
      add(dataset, [id, values]);
    }
    return {
      features: this.#features.copy().digest('hex'),
      dataset: dataset.digest('hex'),
      models: this.#models,
      decisions: this.#decisions.copy().digest('hex'),
    };
  }
}

/** JSON has the shortest text that is read as the same number again, so equal texts are equal bits. */
function add(hash: Hash, item: unknown): void {
  hash.update(`${JSON.stringify(item)}\n`);
}
