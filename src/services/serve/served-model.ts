import { PlatformError } from '../../contract/index.ts';
import { type CompiledModel, loadModel } from '../../ml/onnx/load-model.ts';
import type { Objects } from '../../runtime/index.ts';

/** A compiled model with buffers of its own: one prediction at a time, nothing allocated. */
export class ServedModel {
  readonly #model: CompiledModel;
  readonly #input: Float32Array;
  readonly #output = new Float64Array(1);

  constructor(model: CompiledModel) {
    this.#model = model;
    this.#input = new Float32Array(model.inputCount);
  }

  get inputCount(): number {
    return this.#model.inputCount;
  }

  /**
   * The probability for one vector, null being a missing value. Throws INTERNAL when the model gives none.
   */
  predict(values: readonly (number | null)[]): number {
    if (values.length !== this.#input.length) {
      const { length } = this.#input;
      throw new PlatformError(
        'INTERNAL',
        `The model takes ${String(length)} values, the vector has ${String(values.length)}`,
      );
    }
    for (let index = 0; index < values.length; index += 1) this.#input[index] = values[index] ?? Number.NaN;
    this.#model.predict(this.#input, 1, this.#output);
    const score = this.#output[0] ?? Number.NaN;
    if (score >= 0 && score <= 1) return score + 0;
    throw new PlatformError('INTERNAL', `The model gave ${String(score)}, which is no probability`);
  }
}

/** Fetches the ONNX file, whose digest the store verifies, and compiles it. */
export async function loadServedModel(objects: Objects, digest: string): Promise<ServedModel> {
  return new ServedModel(loadModel(await objects.get(digest)));
}

/**
 * A row as it is predicted from and recorded. What JSON cannot carry becomes what it would turn it into, so
 * that the record, its replay and an answer over HTTP are the same: not finite is missing, and zero has no
 * sign.
 */
export function servedValues(values: readonly (number | null)[]): (number | null)[] {
  return values.map((value) => (value !== null && Number.isFinite(value) ? value + 0 : null));
}

/** The outcome of a score. */
export function outcomeOf(
  score: number,
  answer: { threshold: number; outcomes: readonly [string, string] },
): string {
  return score >= answer.threshold ? answer.outcomes[1] : answer.outcomes[0];
}

/**
 * Keeps the models that were used last, by digest. Models that are asked for at the same time are loaded
 * once.
 */
export class ModelCache {
  readonly #objects: Objects;
  readonly #modelsMax: number;
  readonly #models = new Map<string, Promise<ServedModel>>();

  constructor(objects: Objects, modelsMax: number) {
    this.#objects = objects;
    this.#modelsMax = modelsMax;
  }

  async get(digest: string): Promise<ServedModel> {
    const model = this.#models.get(digest) ?? loadServedModel(this.#objects, digest);
    // The map keeps the order of insertion: what was used last stands last.
    this.#models.delete(digest);
    this.#models.set(digest, model);
    const [oldest] = this.#models.keys();
    if (this.#models.size > this.#modelsMax && oldest !== undefined) this.#models.delete(oldest);
    try {
      return await model;
    } catch (error) {
      if (this.#models.get(digest) === model) this.#models.delete(digest);
      throw error;
    }
  }
}
