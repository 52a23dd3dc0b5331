import type { ExplainableLinear } from '../explain/linear-shap.ts';
import { treeRowExplainer } from '../explain/tree-shap.ts';
import type { CompiledForm, ModelTask } from './compiled-form.ts';
import { NotExplainable } from './errors.ts';
import type { MixedRows, RowEncoder } from './row-encoder.ts';
import { FLOAT32_MAX } from './schema.ts';

/**
 * What contributions add up to: the log odds of the probability; those before the curve of a calibrated model, of which it makes the
 * probability; or the answer itself.
 */
export type MarginScale = 'log odds' | 'log odds before calibration' | 'prediction';

/** Takes the answers of a model apart, row by row. */
export interface RowExplainer {
  readonly scale: MarginScale;
  /** Margin when nothing is known of a row: of trees the mean over the training rows, of linear models that of their mean row. */
  readonly base: number;
  /**
   * Writes what each input adds to the margin: base and contributions add up to it. Of trees these are the exact Shapley values
   * (path-dependent TreeSHAP), of linear models coefficient * (value - mean) / scale. Columns that a preprocessor makes of one
   * input are added up for it.
   *
   * @param input one row, `inputCount` values; NaN is missing
   * @param contributions room for as many numbers
   * @throws RangeError when an array has another length, or when the model reads texts.
   */
  explain(input: Float32Array, contributions: Float64Array): void;
  /**
   * Does the same for one row of numbers and texts, and writes the contributions of the numbers, then those of the texts.
   *
   * @throws RangeError when an array has another length.
   */
  explainMixed(input: MixedRows, contributions: Float64Array): void;
}

/** Explains one row of features, which it is given as they are. */
interface FeatureExplainer {
  readonly base: number;
  explain(features: Float32Array, contributions: Float64Array): void;
}

/** What is explained: a form, and what makes its features of the inputs. */
export interface ExplainedForm {
  readonly form: CompiledForm;
  readonly task: ModelTask;
  readonly sizes: { readonly numbers: number; readonly texts: number };
  readonly encoder?: RowEncoder;
}

/**
 * @internal Makes the explainer of a compiled model.
 *
 * @throws NotExplainable when the file does not tell what that takes.
 */
export function explainerOf({ form, task, sizes, encoder }: ExplainedForm): RowExplainer {
  const explainer = featureExplainer(form);
  const inputs = sizes.numbers + sizes.texts;
  const features = new Float32Array(encoder?.width ?? inputs);
  const parts = new Float64Array(features.length);
  const explain = (input: MixedRows, contributions: Float64Array): void => {
    requireRow(sizes, input, contributions);
    if (encoder === undefined) {
      explainer.explain(input.numbers, contributions);
      return;
    }
    encoder.encode(input, 0, features);
    explainer.explain(features, parts);
    contributions.fill(0);
    parts.forEach((part, feature) => {
      const into = encoder.inputs[feature] as number;
      contributions[into] = (contributions[into] as number) + part;
    });
  };
  return {
    scale: scaleOf(form, task),
    base: explainer.base,
    explain: (numbers, contributions) => explain({ numbers, categories: [] }, contributions),
    explainMixed: explain,
  };
}

function featureExplainer({ margin }: CompiledForm): FeatureExplainer {
  switch (margin.kind) {
    case 'linear':
      return linearExplainer(margin.model);
    case 'trees':
      return treesExplainer(margin.unpack);
    case 'unknown':
      throw new NotExplainable(margin.reason);
  }
}

/** The means of the training rows are what a value is compared with; a missing value is one. */
function linearExplainer({ means, scales, coefficients, intercept }: ExplainableLinear): FeatureExplainer {
  return {
    base: intercept,
    explain(features, contributions) {
      for (let column = 0; column < means.length; column += 1) {
        const value = features[column] as number;
        // As the model is evaluated.
        const finite = Math.min(Math.max(value, -FLOAT32_MAX), FLOAT32_MAX);
        const standardised = (finite - (means[column] as number)) / (scales?.[column] ?? 1);
        contributions[column] = value !== value ? 0 : standardised * (coefficients[column] as number);
      }
    },
  };
}

function treesExplainer(unpack: () => Parameters<typeof treeRowExplainer>[0]): FeatureExplainer {
  try {
    const trees = treeRowExplainer(unpack());
    return {
      base: trees.expected[0] as number,
      explain: (features, contributions) => trees.explain(features, contributions),
    };
  } catch (error) {
    // Nodes that share a child can be walked, but are no trees.
    if (error instanceof RangeError) throw new NotExplainable(error.message);
    throw error;
  }
}

function scaleOf({ isCalibrated }: CompiledForm, task: ModelTask): MarginScale {
  if (task !== 'binary') return 'prediction';
  return isCalibrated === true ? 'log odds before calibration' : 'log odds';
}

function requireRow(
  { numbers, texts }: ExplainedForm['sizes'],
  input: MixedRows,
  contributions: Float64Array,
): void {
  const found = [input.numbers.length, input.categories.length, contributions.length];
  if (found[0] === numbers && found[1] === texts && found[2] === numbers + texts) return;
  throw new RangeError(
    `A row has ${numbers} numbers, ${texts} texts and ${numbers + texts} contributions, not ${found.join(', ')}`,
  );
}
