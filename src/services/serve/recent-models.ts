import type { Objects } from '../../runtime/index.ts';

/** What {@link RecentModels} needs. */
export interface RecentModelsParts<TModel> {
  readonly objects: Objects;
  /** Compiles a file. */
  readonly compile: (bytes: Uint8Array) => TModel;
  readonly modelsMax: number;
}

/** Keeps the models that were used last, by digest. Models that are asked for at the same time are loaded once. */
export class RecentModels<TModel> {
  readonly #parts: RecentModelsParts<TModel>;
  readonly #models = new Map<string, Promise<TModel>>();

  constructor(parts: RecentModelsParts<TModel>) {
    this.#parts = parts;
  }

  /** Rejects with OBJECT_NOT_FOUND, and as compiling does. */
  async get(digest: string): Promise<TModel> {
    const model = this.#models.get(digest) ?? this.#load(digest);
    // The map keeps the order of insertion: what was used last stands last.
    this.#models.delete(digest);
    this.#models.set(digest, model);
    const [oldest] = this.#models.keys();
    if (this.#models.size > this.#parts.modelsMax && oldest !== undefined) this.#models.delete(oldest);
    try {
      return await model;
    } catch (error) {
      if (this.#models.get(digest) === model) this.#models.delete(digest);
      throw error;
    }
  }

  async #load(digest: string): Promise<TModel> {
    const { compile, objects } = this.#parts;
    return compile(await objects.get(digest));
  }
}
