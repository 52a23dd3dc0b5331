import { PlatformError, type Release } from '../../contract/index.ts';
import { abstains } from '../../define/abstention.ts';
import { NotExplainable } from '../../ml/onnx/errors.ts';
import type { MarginScale, RowExplainer } from '../../ml/onnx/explain-model.ts';
import { type CompiledModel, loadModel } from '../../ml/onnx/load-model.ts';
import type { Objects } from '../../runtime/index.ts';
import { RecentModels } from './recent-models.ts';

/** A score taken apart: base and contributions add up to its margin. */
export interface Contributions {
  readonly scale: MarginScale;
  readonly base: number;
  /** Of each value. */
  readonly parts: readonly number[];
}

/** A compiled model with buffers of its own: one prediction at a time, nothing allocated. */
export class ServedModel {
  readonly #model: CompiledModel;
  readonly #input: Float32Array;
  readonly #output = new Float64Array(1);
  /** Made when somebody asks for the first time: most models are never explained. */
  #explainer: RowExplainer | NotExplainable | undefined;

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
    this.#fill(values);
    this.#model.predict(this.#input, 1, this.#output);
    const score = this.#output[0] ?? Number.NaN;
    if (score >= 0 && score <= 1) return score + 0;
    throw new PlatformError('INTERNAL', `The model gave ${String(score)}, which is no probability`);
  }

  /** Why the model cannot be explained, to follow upon `cannot be explained: `; `undefined` when it can. */
  get notExplained(): string | undefined {
    const explainer = this.#explained();
    return explainer instanceof NotExplainable ? explainer.message : undefined;
  }

  /** What each value of one vector adds to the margin of its score. Throws UNPROCESSABLE when the model cannot be explained. */
  explain(values: readonly (number | null)[]): Contributions {
    const explainer = this.#explained();
    if (explainer instanceof NotExplainable) {
      throw new PlatformError('UNPROCESSABLE', `This version cannot be explained: ${explainer.message}`);
    }
    this.#fill(values);
    const parts = new Float64Array(values.length);
    explainer.explain(this.#input, parts);
    // JSON has neither infinity nor a sign of zero.
    return { scale: explainer.scale, base: explainer.base, parts: Array.from(parts, nearestFinite) };
  }

  #fill(values: readonly (number | null)[]): void {
    if (values.length !== this.#input.length) {
      const { length } = this.#input;
      throw new PlatformError(
        'INTERNAL',
        `The model takes ${String(length)} values, the vector has ${String(values.length)}`,
      );
    }
    for (let index = 0; index < values.length; index += 1) this.#input[index] = values[index] ?? Number.NaN;
  }

  #explained(): RowExplainer | NotExplainable {
    if (this.#explainer !== undefined) return this.#explainer;
    try {
      this.#explainer = this.#model.explainer();
    } catch (error) {
      if (!(error instanceof NotExplainable)) throw error;
      this.#explainer = error;
    }
    return this.#explainer;
  }
}

function nearestFinite(value: number): number {
  return Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE) + 0;
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

/** What of a release makes an outcome of a score. */
export interface Answering extends Pick<Release, 'threshold' | 'abstain'> {
  readonly outcomes: readonly [below: string, above: string];
}

/** Whether a release leaves a score to a person. */
export function isForReview(score: number, { abstain }: Answering): boolean {
  return abstain !== undefined && abstains(abstain, score);
}

/** The outcome of a score. */
export function outcomeOf(score: number, answer: Answering): string {
  const { abstain, threshold, outcomes } = answer;
  if (abstain !== undefined && abstains(abstain, score)) return abstain.outcome;
  return score >= threshold ? outcomes[1] : outcomes[0];
}

/** The models of decisions that were used last, by digest. */
export class ModelCache extends RecentModels<ServedModel> {
  constructor(objects: Objects, modelsMax: number) {
    super({ objects, modelsMax, compile: compileServedModel });
  }
}
