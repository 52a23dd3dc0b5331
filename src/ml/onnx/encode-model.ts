import { ProtobufWriter } from './protobuf-writer.ts';
import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  CATEGORIES_NAME,
  CATEGORY_NAMES_KEY,
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
  OUTPUT_NAMES_KEY,
  SHAPE,
  TASK_KEY,
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

/** Nodes to write, or nodes already written, with the initializers that they read. */
export interface GraphPart {
  readonly nodes: readonly (NodeToEncode | Uint8Array)[];
  readonly initializers: readonly (ProtobufWriter | Uint8Array)[];
}

/**
 * A model to write: a float32 input [n, inputCount], a text input [n, number of categories], or both, and one
 * float32 output [n, outputCount].
 */
export interface ModelToEncode extends GraphPart {
  readonly graphName: string;
  /** Default {@link OUTPUT_NAME}. */
  readonly outputName?: string;
  /** Default 1. */
  readonly outputCount?: number;
  readonly inputCount: number;
  readonly inputNames: readonly string[] | undefined;
  /** Name of each text in a row. Default none: there is no text input. */
  readonly categoryNames?: readonly string[];
  /** Name of each answer to a row, such as a class. */
  readonly outputNames?: readonly string[] | undefined;
  readonly task?: string | undefined;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
}

/**
 * @internal Writes a whole ONNX model; equal models give equal bytes.
 *
 * @throws RangeError when it has no inputs or another number of names than inputs or answers.
 */
export function encodeModel(model: ModelToEncode): Uint8Array {
  const { inputCount, inputNames, categoryNames = [], outputCount = 1 } = model;
  const textCount = categoryNames.length;
  if (!Number.isSafeInteger(inputCount) || inputCount < (textCount > 0 ? 0 : 1)) {
    throw new RangeError(`A model needs at least one input, not ${inputCount}`);
  }
  requireNames(inputNames, inputCount, 'inputs');
  requireNames(model.outputNames, outputCount, 'answers');
  const graph = new ProtobufWriter();
  for (const node of model.nodes) {
    graph.bytes(GRAPH.node, node instanceof Uint8Array ? node : encodeNode(node));
  }
  graph.bytes(GRAPH.name, model.graphName);
  for (const initializer of model.initializers) graph.bytes(GRAPH.initializer, initializer);
  if (inputCount > 0) graph.bytes(GRAPH.input, encodeValue(INPUT_NAME, inputCount, DATA_TYPE.float));
  if (textCount > 0) graph.bytes(GRAPH.input, encodeValue(CATEGORIES_NAME, textCount, DATA_TYPE.text));
  const outputName = model.outputName ?? OUTPUT_NAME;
  graph.bytes(GRAPH.output, encodeValue(outputName, outputCount, DATA_TYPE.float));

  const written = new ProtobufWriter()
    .integer(MODEL.irVersion, IR_VERSION)
    .bytes(MODEL.producerName, 'tandem');
  for (const { domain, version } of model.opsets) {
    const opset = new ProtobufWriter().bytes(OPSET.domain, domain).integer(OPSET.version, version);
    written.bytes(MODEL.opsetImport, opset);
  }
  const metadata: readonly (readonly [string, string | undefined])[] = [
    [FEATURE_NAMES_KEY, inputNames && JSON.stringify(inputNames)],
    [CATEGORY_NAMES_KEY, textCount > 0 ? JSON.stringify(categoryNames) : undefined],
    [OUTPUT_NAMES_KEY, model.outputNames && JSON.stringify(model.outputNames)],
    [TASK_KEY, model.task],
  ];
  for (const [key, value] of metadata) {
    if (value === undefined) continue;
    written.bytes(MODEL.metadata, new ProtobufWriter().bytes(ENTRY.key, key).bytes(ENTRY.value, value));
  }
  // The graph comes last, so that a file cut short anywhere is seen to be incomplete.
  return written.bytes(MODEL.graph, graph).finish().slice();
}

function requireNames(names: readonly string[] | undefined, count: number, what: string): void {
  if (names !== undefined && names.length !== count) {
    throw new RangeError(`The model has ${count} ${what} but ${names.length} names`);
  }
}

/** @internal A node as a message. */
export function encodeNode(node: NodeToEncode): ProtobufWriter {
  const written = new ProtobufWriter();
  for (const input of node.inputs) written.bytes(NODE.input, input);
  written.bytes(NODE.output, node.output).bytes(NODE.operator, node.operator);
  for (const attribute of node.attributes ?? []) written.bytes(NODE.attribute, attribute);
  if (node.domain !== undefined) written.bytes(NODE.domain, node.domain);
  return written;
}

/** @internal A tensor [n, columns], as an input or output of a graph. */
export function encodeValue(name: string, columns: number, elementType: number): ProtobufWriter {
  const shape = new ProtobufWriter()
    .bytes(SHAPE.dimension, new ProtobufWriter().bytes(DIMENSION.parameter, 'n'))
    .bytes(SHAPE.dimension, new ProtobufWriter().integer(DIMENSION.value, columns));
  const tensor = new ProtobufWriter()
    .integer(TENSOR_TYPE.elementType, elementType)
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

/** @internal A node that casts a value to another data type. */
export function castNode(input: string, output: string, type: number): NodeToEncode {
  return { operator: 'Cast', inputs: [input], output, attributes: [integerAttribute('to', type)] };
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
