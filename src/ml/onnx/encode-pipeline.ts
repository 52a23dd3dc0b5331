import type { IsolationForest } from '../anomaly/isolation-forest.ts';
import type { BaselineModel } from '../baseline/baseline.ts';
import type { Calibration } from '../calibrate/calibration.ts';
import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import type { LinearModel } from '../linear/predictor.ts';
import type { Preprocessor } from '../preprocess/preprocessor.ts';
import { baselinePart } from './encode-baseline.ts';
import { calibrationPart } from './encode-calibration.ts';
import { MARGIN_NAME, WIDE_PROBABILITY_NAME, linearAnswer, linearMargin } from './encode-linear.ts';
import type { GraphPart, NodeToEncode } from './encode-model.ts';
import { castNode, doubleTensor, encodeModel } from './encode-model.ts';
import type { PreprocessorPart } from './encode-preprocessor.ts';
import { preprocessorPart } from './encode-preprocessor.ts';
import {
  DATA_TYPE,
  FEATURES_NAME,
  INPUT_NAME,
  ML_DOMAIN,
  ML_OPSET_VERSION,
  NUMBER_OUTPUT_NAME,
  OPSET_VERSION,
  OUTPUT_NAME,
  SCORE_OUTPUT_NAME,
} from './schema.ts';
import { treesPart } from './trees-part.ts';

/** Every kind of model that can be written as ONNX. */
export type ExportableModel = LinearModel | TreeEnsemble | IsolationForest | BaselineModel;

/** A model with what stands before and behind it. */
export interface Pipeline {
  readonly model: ExportableModel;
  /** Makes the features of the model. The inputs are then the columns of its table. */
  readonly preprocessor?: Preprocessor;
  /** Only for a logistic regression and for trees of the binary objective. */
  readonly calibration?: {
    readonly curve: Calibration;
    /** What the curve was fitted on: the probabilities of the model, or their log odds. */
    readonly on: 'probability' | 'margin';
  };
  /** Name of each input, kept in the metadata of the model; with a preprocessor its columns are the names. */
  readonly inputNames?: readonly string[];
  /** Name of each answer to a row, such as the classes. */
  readonly outputNames?: readonly string[];
  /** Tells a model that ranks from a regression, which the graph does not. */
  readonly task?: 'ranking';
}

/** A model as nodes that read the features and end in the output. */
interface Core extends GraphPart {
  readonly featureCount: number;
  readonly outputCount: number;
  readonly outputName: string;
}

/**
 * Writes a model, with its preprocessor and calibration, as one ONNX graph. Numbers are the float32 input
 * `input` [n, columns], NaN being missing; categories are the text input `categories`, the empty text being
 * missing. The output is `probability`, `prediction` or (of an isolation forest) `score`. {@link loadModel}
 * tells which nodes it has.
 *
 * In process the answers are those of `transform`, of the model's scorer and of `calibrate` one after the
 * other, bit for bit. Other runtimes add up trees in float32: a calibration that is very steep somewhere
 * multiplies the rounding of the score by its slope there.
 *
 * @example `encodePipeline({ model: fitLogistic(training, labels), preprocessor })`
 * @throws RangeError when the parts do not fit together, or a model consists of numbers that are not finite.
 */
export function encodePipeline(pipeline: Pipeline): Uint8Array {
  const { model, preprocessor, calibration, task } = pipeline;
  const before = preprocessor && preprocessorPart(preprocessor.describe());
  if (before !== undefined && pipeline.inputNames !== undefined) {
    throw new RangeError('The inputs of a preprocessor have the names of its columns');
  }
  const features = before === undefined ? INPUT_NAME : FEATURES_NAME;
  const core = calibration === undefined ? coreOf(model, features) : calibratedCore(pipeline, features);
  if (before !== undefined && before.featureCount !== core.featureCount) {
    throw new RangeError(
      `The preprocessor makes ${before.featureCount} columns but the model takes ${core.featureCount}`,
    );
  }
  if (task !== undefined && core.outputName !== NUMBER_OUTPUT_NAME) {
    throw new RangeError(`A model that answers with a ${core.outputName} has another task than ${task}`);
  }
  return encodeModel({
    graphName: model.kind,
    ...inputsOf(pipeline, before, core),
    outputName: core.outputName,
    outputCount: core.outputCount,
    outputNames: pipeline.outputNames,
    task,
    opsets: opsetsOf(model, before),
    nodes: [...(before?.nodes ?? []), ...core.nodes],
    initializers: [...(before?.initializers ?? []), ...core.initializers],
  });
}

function inputsOf(
  pipeline: Pipeline,
  before: PreprocessorPart | undefined,
  core: Core,
): Pick<Parameters<typeof encodeModel>[0], 'inputCount' | 'inputNames' | 'categoryNames'> {
  if (before === undefined) return { inputCount: core.featureCount, inputNames: pipeline.inputNames };
  const { numbers, categories } = before;
  const inputNames = numbers.length > 0 ? numbers : undefined;
  return { inputCount: numbers.length, inputNames, categoryNames: categories };
}

/** The operators of classical machine learning are declared only where there are some. */
function opsetsOf(
  model: ExportableModel,
  before: PreprocessorPart | undefined,
): { readonly domain: string; readonly version: number }[] {
  const opsets = [{ domain: '', version: OPSET_VERSION }];
  const hasTrees = model.kind === 'trees' || model.kind === 'isolation-forest';
  if (hasTrees || (before?.categories.length ?? 0) > 0) {
    opsets.push({ domain: ML_DOMAIN, version: ML_OPSET_VERSION });
  }
  return opsets;
}

function coreOf(model: ExportableModel, features: string): Core {
  switch (model.kind) {
    case 'logistic':
    case 'multinomial':
    case 'regression': {
      const outputName = model.kind === 'regression' ? NUMBER_OUTPUT_NAME : OUTPUT_NAME;
      const { nodes, initializers } = linearMargin(model, features);
      return {
        featureCount: model.means.length,
        outputCount: model.kind === 'multinomial' ? model.classCount : 1,
        outputName,
        nodes: [...nodes, ...linearAnswer(model, outputName)],
        initializers,
      };
    }
    case 'trees': {
      const isNumber = model.link === 'identity' || model.link === 'exponential';
      return {
        featureCount: model.featureCount,
        outputCount: model.outputs,
        outputName: isNumber ? NUMBER_OUTPUT_NAME : OUTPUT_NAME,
        ...treesPart(model, new Map([[INPUT_NAME, features]])),
      };
    }
    case 'isolation-forest':
      return forestCore(model, features);
    case 'constant':
    case 'last-value': {
      const isProbability = model.kind === 'constant' && model.rule !== 'mean';
      const outputName = isProbability ? OUTPUT_NAME : NUMBER_OUTPUT_NAME;
      return {
        featureCount: model.inputCount,
        outputCount: model.kind === 'constant' ? model.answer.length : 1,
        outputName,
        ...baselinePart(model, features, outputName),
      };
    }
  }
}

/** The score of a forest: 2 ^ (margin / -normalisation), in float64. */
function forestCore(forest: IsolationForest, features: string): Core {
  const { trees, normalisation } = forest;
  if (!(normalisation > 0 && normalisation < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`The normalisation must be a finite number above 0, not ${normalisation}`);
  }
  const names = new Map([
    [INPUT_NAME, features],
    [NUMBER_OUTPUT_NAME, MARGIN_NAME],
  ]);
  const part = treesPart(trees, names);
  return {
    featureCount: trees.featureCount,
    outputCount: 1,
    outputName: SCORE_OUTPUT_NAME,
    nodes: [
      ...part.nodes,
      castNode(MARGIN_NAME, 'path_length', DATA_TYPE.double),
      { operator: 'Div', inputs: ['path_length', 'normalisation'], output: 'exponent' },
      { operator: 'Pow', inputs: ['two', 'exponent'], output: 'wide_score' },
      castNode('wide_score', SCORE_OUTPUT_NAME, DATA_TYPE.float),
    ],
    initializers: [
      ...part.initializers,
      doubleTensor('normalisation', [], [-normalisation]),
      doubleTensor('two', [], [2]),
    ],
  };
}

/** A binary model with a curve behind its margin or probability, all of it in float64 but the trees' sum. */
function calibratedCore({ model, calibration }: Pipeline, features: string): Core {
  const binary = model.kind === 'logistic' || (model.kind === 'trees' && model.link === 'logistic');
  if (!binary || calibration === undefined) {
    throw new RangeError(`A calibration needs a logistic regression or binary trees, not ${model.kind}`);
  }
  const { curve, on } = calibration;
  const margins = model.kind === 'logistic' ? linearMargin(model, features) : treeMargins(model, features);
  const margin = model.kind === 'logistic' ? MARGIN_NAME : 'wide_margin';
  const sigmoid: NodeToEncode = { operator: 'Sigmoid', inputs: [margin], output: WIDE_PROBABILITY_NAME };
  const scores = on === 'margin' ? margin : WIDE_PROBABILITY_NAME;
  const behind = calibrationPart(curve, scores, 'wide_calibrated');
  return {
    featureCount: model.kind === 'logistic' ? model.means.length : model.featureCount,
    outputCount: 1,
    outputName: OUTPUT_NAME,
    nodes: [
      ...margins.nodes,
      ...(on === 'margin' ? [] : [sigmoid]),
      ...behind.nodes,
      castNode('wide_calibrated', OUTPUT_NAME, DATA_TYPE.float),
    ],
    initializers: [...margins.initializers, ...behind.initializers],
  };
}

/** Trees without their last node, the sigmoid of the margin, which is taken in float64 instead. */
function treeMargins(model: TreeEnsemble, features: string): GraphPart {
  const { nodes, initializers } = treesPart(model, new Map([[INPUT_NAME, features]]));
  const wide = castNode(MARGIN_NAME, 'wide_margin', DATA_TYPE.double);
  return { nodes: [...nodes.slice(0, -1), wide], initializers };
}
