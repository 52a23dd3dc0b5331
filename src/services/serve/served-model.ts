import { PlatformError } from '../../contract/index.ts';
import { type CompiledModel, loadModel } from '../../ml/onnx/load-model.ts';
import type { Objects } from '../../runtime/index.ts';
import { RecentModels } from './recent-models.ts';

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
  return compileServedModel(await objects.get(digest));
}

function compileServedModel(bytes: Uint8Array): ServedModel {
  return new ServedModel(loadModel(bytes));
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

/** The models of decisions that were used last, by digest. */
export class ModelCache extends RecentModels<ServedModel> {
  constructor(objects: Objects, modelsMax: number) {
    super({ objects, modelsMax, compile: compileServedModel });
  }
}
