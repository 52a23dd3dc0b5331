import { ProtobufWriter } from './protobuf-writer.ts';
import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  DATA_TYPE,
  DIMENSION,
  ENTRY,
  FEATURE_NAMES_KEY,
  GRAPH,
  INPUT_NAME,
  IR_VERSION,
  MODEL,
  NODE,
  OPSET,
  OUTPUT_NAME,
  SHAPE,
  TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE,
} from './schema.ts';

/** A node to write. */
export interface NodeToEncode {
  readonly operator: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: readonly ProtobufWriter[];
}

/** A model to write: one float32 input [n, inputCount], one float32 output [n, outputCount]. */
export interface ModelToEncode {
  readonly graphName: string;
  /** Default {@link OUTPUT_NAME}. */
  readonly outputName?: string;
  /** Default 1. */
  readonly outputCount?: number;
  readonly inputCount: number;
  readonly inputNames: readonly string[] | undefined;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly nodes: readonly NodeToEncode[];
  readonly initializers: readonly ProtobufWriter[];
}

/**
 * @internal Writes a whole ONNX model; equal models give equal bytes.
 *
 * @throws RangeError when it has no inputs or another number of names than inputs.
 */
export function encodeModel(model: ModelToEncode): Uint8Array {
  const { inputCount, inputNames } = model;
  if (!Number.isSafeInteger(inputCount) || inputCount < 1) {
    throw new RangeError(`A model needs at least one input, not ${inputCount}`);
  }
  if (inputNames !== undefined && inputNames.length !== inputCount) {
    throw new RangeError(`The model has ${inputCount} inputs but ${inputNames.length} names`);
  }
  const graph = new ProtobufWriter();
  for (const node of model.nodes) graph.bytes(GRAPH.node, encodeNode(node));
  graph.bytes(GRAPH.name, model.graphName);
  for (const initializer of model.initializers) graph.bytes(GRAPH.initializer, initializer);
  graph.bytes(GRAPH.input, encodeValue(INPUT_NAME, inputCount));
  graph.bytes(GRAPH.output, encodeValue(model.outputName ?? OUTPUT_NAME, model.outputCount ?? 1));

  const written = new ProtobufWriter()
    .integer(MODEL.irVersion, IR_VERSION)
    .bytes(MODEL.producerName, 'tandem');
  for (const { domain, version } of model.opsets) {
    const opset = new ProtobufWriter().bytes(OPSET.domain, domain).integer(OPSET.version, version);
    written.bytes(MODEL.opsetImport, opset);
  }
  if (inputNames !== undefined) {
    const names = JSON.stringify(inputNames);
    written.bytes(
      MODEL.metadata,
      new ProtobufWriter().bytes(ENTRY.key, FEATURE_NAMES_KEY).bytes(ENTRY.value, names),
    );
  }
  // The graph comes last, so that a file cut short anywhere is seen to be incomplete.
  return written.bytes(MODEL.graph, graph).finish().slice();
}

function encodeNode(node: NodeToEncode): ProtobufWriter {
  const written = new ProtobufWriter();
  for (const input of node.inputs) written.bytes(NODE.input, input);
  written.bytes(NODE.output, node.output).bytes(NODE.operator, node.operator);
  for (const attribute of node.attributes ?? []) written.bytes(NODE.attribute, attribute);
  if (node.domain !== undefined) written.bytes(NODE.domain, node.domain);
  return written;
}

/** A float32 tensor [n, columns]. */
function encodeValue(name: string, columns: number): ProtobufWriter {
  const shape = new ProtobufWriter()
    .bytes(SHAPE.dimension, new ProtobufWriter().bytes(DIMENSION.parameter, 'n'))
    .bytes(SHAPE.dimension, new ProtobufWriter().integer(DIMENSION.value, columns));
  const tensor = new ProtobufWriter()
    .integer(TENSOR_TYPE.elementType, DATA_TYPE.float)
    .bytes(TENSOR_TYPE.shape, shape);
  return new ProtobufWriter()
    .bytes(VALUE.name, name)
    .bytes(VALUE.type, new ProtobufWriter().bytes(TYPE.tensor, tensor));
}

/** @internal A float64 initializer. */
export function doubleTensor(
  name: string,
  dimensions: readonly number[],
  values: ArrayLike<number>,
): ProtobufWriter {
  const raw = new Uint8Array(values.length * 8);
  const view = new DataView(raw.buffer);
  for (let index = 0; index < values.length; index += 1)
    view.setFloat64(index * 8, values[index] as number, true);
  return new ProtobufWriter()
    .integers(TENSOR.dimensions, dimensions)
    .integer(TENSOR.dataType, DATA_TYPE.double)
    .bytes(TENSOR.name, name)
    .bytes(TENSOR.rawData, raw);
}

/** @internal An int64 initializer. */
export function integerTensor(
  name: string,
  dimensions: readonly number[],
  values: readonly number[],
): ProtobufWriter {
  const raw = new Uint8Array(values.length * 8);
  const view = new DataView(raw.buffer);
  values.forEach((value, index) => view.setBigInt64(index * 8, BigInt(value), true));
  return new ProtobufWriter()
    .integers(TENSOR.dimensions, dimensions)
    .integer(TENSOR.dataType, DATA_TYPE.integer)
    .bytes(TENSOR.name, name)
    .bytes(TENSOR.rawData, raw);
}

/** @internal An integer attribute. */
export function integerAttribute(name: string, value: number): ProtobufWriter {
  return attribute(name, ATTRIBUTE_TYPE.integer).integer(ATTRIBUTE.integer, value);
}

/** @internal A float attribute. */
export function floatAttribute(name: string, value: number): ProtobufWriter {
  return attribute(name, ATTRIBUTE_TYPE.float).float(ATTRIBUTE.float, value);
}

/** @internal A text attribute. */
export function textAttribute(name: string, value: string): ProtobufWriter {
  return attribute(name, ATTRIBUTE_TYPE.text).bytes(ATTRIBUTE.text, value);
}

/** @internal A list of floats as an attribute. */
export function floatsAttribute(name: string, values: ArrayLike<number>): ProtobufWriter {
  return attribute(name, ATTRIBUTE_TYPE.floats).floats(ATTRIBUTE.floats, values);
}

/** @internal A list of natural numbers as an attribute. */
export function integersAttribute(name: string, values: ArrayLike<number>): ProtobufWriter {
  return attribute(name, ATTRIBUTE_TYPE.integers).integers(ATTRIBUTE.integers, values);
}

/** @internal A list of texts as an attribute. */
export function textsAttribute(name: string, values: readonly string[]): ProtobufWriter {
  const written = attribute(name, ATTRIBUTE_TYPE.texts);
  for (const value of values) written.bytes(ATTRIBUTE.texts, value);
  return written;
}

function attribute(name: string, type: number): ProtobufWriter {
  return new ProtobufWriter().bytes(ATTRIBUTE.name, name).integer(ATTRIBUTE.type, type);
}
