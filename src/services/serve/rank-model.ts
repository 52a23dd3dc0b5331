import { PlatformError } from '../../contract/index.ts';
import { type CompiledModel, loadModel } from '../../ml/onnx/load-model.ts';
import { servedValues } from './served-model.ts';

/** A compiled model that gives each row one number to sort by. */
export class RankModel {
  readonly #model: CompiledModel;

  /** Throws UNPROCESSABLE when the model gives more than one number, or reads texts. */
  constructor(model: CompiledModel) {
    if (model.outputCount !== 1 || model.categoryCount > 0) {
      throw new PlatformError(
        'UNPROCESSABLE',
        `A ranker gives one number for a row of numbers; this model gives ${String(model.outputCount)} ` +
          `for ${String(model.inputCount)} numbers and ${String(model.categoryCount)} texts`,
      );
    }
    this.#model = model;
  }

  get inputCount(): number {
    return this.#model.inputCount;
  }

  /** A finite number for each row, null being a missing value. Throws INTERNAL when the model gives none. */
  predict(rows: readonly (readonly (number | null)[])[]): Float64Array {
    const { inputCount } = this.#model;
    const input = new Float32Array(rows.length * inputCount);
    let place = 0;
    for (const values of rows) {
      if (values.length !== inputCount) {
        throw new PlatformError(
          'INTERNAL',
          `The ranker takes ${String(inputCount)} values, the vector has ${String(values.length)}`,
        );
      }
      for (const value of servedValues(values)) input[place++] = value ?? Number.NaN;
    }
    const output = new Float64Array(rows.length);
    this.#model.predict(input, rows.length, output);
    for (let row = 0; row < output.length; row += 1) {
      const score = output[row] ?? Number.NaN;
      if (!Number.isFinite(score))
        throw new PlatformError('INTERNAL', `The ranker gave ${String(score)}, which is no score`);
      // Zero has no sign in JSON.
      output[row] = score + 0;
    }
    return output;
  }
}

/** Compiles an ONNX file as a ranker. */
export function compileRankModel(bytes: Uint8Array): RankModel {
  return new RankModel(loadModel(bytes));
}
