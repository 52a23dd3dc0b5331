/**
 * The part of the ONNX model format (onnx/onnx.proto, IR version 8) that is read and written here: field
 * numbers of the protocol buffers messages, and what is known of a model after reading.
 */

export const MODEL = { irVersion: 1, producerName: 2, graph: 7, opsetImport: 8, metadata: 14 } as const;
export const OPSET = { domain: 1, version: 2 } as const;
export const ENTRY = { key: 1, value: 2 } as const;
export const GRAPH = {
  node: 1,
  name: 2,
  initializer: 5,
  input: 11,
  output: 12,
  sparseInitializer: 15,
} as const;
export const NODE = { input: 1, output: 2, operator: 4, attribute: 5, domain: 7 } as const;
export const ATTRIBUTE = {
  name: 1,
  float: 2,
  integer: 3,
  text: 4,
  floats: 7,
  integers: 8,
  texts: 9,
  type: 20,
} as const;
/** `indices` count along the flattened tensor, or have one column for each dimension. */
export const SPARSE = { values: 1, indices: 2, dimensions: 3 } as const;
export const TENSOR = { dimensions: 1, dataType: 2, name: 8, rawData: 9 } as const;
export const VALUE = { name: 1, type: 2 } as const;
export const TYPE = { tensor: 1 } as const;
export const TENSOR_TYPE = { elementType: 1, shape: 2 } as const;
export const SHAPE = { dimension: 1 } as const;
export const DIMENSION = { value: 1, parameter: 2 } as const;

/** Values of `AttributeProto.type`. */
export const ATTRIBUTE_TYPE = { float: 1, integer: 2, text: 3, floats: 6, integers: 7, texts: 8 } as const;
/** Values of `TensorProto.DataType`. */
export const DATA_TYPE = { float: 1, integer: 7, text: 8, double: 11 } as const;

/** Largest finite Float32. Larger inputs, that is infinite ones, count as this, so that no answer is NaN. */
export const FLOAT32_MAX = 3.4028234663852886e38;

/** Version of the model format written. */
export const IR_VERSION = 8;
/** Version of the default operator set written. */
export const OPSET_VERSION = 17;
/** Domain and version of the operator set of classical machine learning. */
export const ML_DOMAIN = 'ai.onnx.ml';
export const ML_OPSET_VERSION = 3;

/** Name of the input of numbers, and of the input of texts that a model may have besides or instead. */
export const INPUT_NAME = 'input';
export const CATEGORIES_NAME = 'categories';
/** Name of the value that a preprocessor makes of the inputs and the model reads. */
export const FEATURES_NAME = 'features';
/** Name of the one output: of probabilities, of anomaly scores, and of other numbers. */
export const OUTPUT_NAME = 'probability';
export const SCORE_OUTPUT_NAME = 'score';
export const NUMBER_OUTPUT_NAME = 'prediction';
/** Keys of the metadata entries that hold the names of numbers, texts and answers, each a JSON array of text. */
export const FEATURE_NAMES_KEY = 'feature_names';
export const CATEGORY_NAMES_KEY = 'category_names';
export const OUTPUT_NAMES_KEY = 'output_names';
/** Key of the metadata entry that says what the answers are for, where the graph does not. */
export const TASK_KEY = 'task';

export interface OnnxModel {
  readonly irVersion: number;
  /** Version by domain; the default domain is the empty text. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly graph: OnnxGraph;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  readonly sparseInitializers: ReadonlyMap<string, OnnxSparseTensor>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

export interface OnnxNode {
  /** With the domain in front, unless it is the default one: `ai.onnx.ml.TreeEnsembleRegressor`. */
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

export interface OnnxAttribute {
  readonly float: number | undefined;
  readonly integer: number | undefined;
  readonly text: Uint8Array | undefined;
  readonly floats: readonly number[];
  readonly integers: readonly number[];
  /** Each as the bytes of its UTF-8: there may be millions, of few different values. */
  readonly texts: readonly Uint8Array[];
}

export interface OnnxTensor {
  readonly dimensions: readonly number[];
  readonly dataType: number;
  /** Little-endian; undefined when the values are stored in another way. */
  readonly rawData: Uint8Array | undefined;
}

export interface OnnxSparseTensor {
  readonly dimensions: readonly number[];
  readonly values: OnnxTensor;
  readonly indices: OnnxTensor;
}

export interface OnnxValue {
  readonly name: string;
  /** 0 when the value is no tensor. */
  readonly elementType: number;
  /** A number, the name of a free dimension, or undefined where nothing is said. */
  readonly dimensions: readonly (number | string | undefined)[];
}
