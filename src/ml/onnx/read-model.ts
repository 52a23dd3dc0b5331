import { MalformedModel } from './errors.ts';
import type { ReadLimits } from './limits.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import type {
  OnnxAttribute,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxSparseTensor,
  OnnxTensor,
  OnnxValue,
} from './schema.ts';
import {
  ATTRIBUTE,
  DIMENSION,
  ENTRY,
  GRAPH,
  MODEL,
  NODE,
  OPSET,
  SHAPE,
  SPARSE,
  TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE,
} from './schema.ts';

/**
 * @internal Reads an ONNX model from untrusted bytes. What is not needed here is passed over.
 *
 * @throws MalformedModel when the bytes are something else, end too early or exceed the limits.
 */
export function readModel(bytes: Uint8Array, limits: ReadLimits): OnnxModel {
  try {
    return readModelMessage(ProtobufReader.of(bytes, limits));
  } catch (cause) {
    if (!(cause instanceof MalformedModel)) throw cause;
    const found = describe(bytes);
    const message = `The ${bytes.length} bytes are no whole ONNX model; found ${found}. ${cause.message}`;
    throw new MalformedModel(message, { cause });
  }
}

function readModelMessage(reader: ProtobufReader): OnnxModel {
  let irVersion = 0;
  let graph: OnnxGraph | undefined;
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  while (reader.next()) {
    if (reader.field === MODEL.irVersion) {
      irVersion = reader.integer();
    } else if (reader.field === MODEL.graph) {
      graph = readGraph(reader.message());
    } else if (reader.field === MODEL.opsetImport) {
      const { domain, version } = readOpset(reader.message());
      opsets.set(domain, version);
    } else if (reader.field === MODEL.metadata) {
      const { key, value } = readEntry(reader.message());
      metadata.set(key, value);
    } else {
      reader.skip();
    }
  }
  if (graph === undefined) throw new MalformedModel('There is no graph in it');
  return { irVersion, opsets, metadata, graph };
}

function readOpset(reader: ProtobufReader): { domain: string; version: number } {
  let domain = '';
  let version = 0;
  while (reader.next()) {
    if (reader.field === OPSET.domain) domain = reader.text();
    else if (reader.field === OPSET.version) version = reader.integer();
    else reader.skip();
  }
  // Both names mean the default operator set.
  return { domain: domain === 'ai.onnx' ? '' : domain, version };
}

function readEntry(reader: ProtobufReader): { key: string; value: string } {
  let key = '';
  let value = '';
  while (reader.next()) {
    if (reader.field === ENTRY.key) key = reader.text();
    else if (reader.field === ENTRY.value) value = reader.text();
    else reader.skip();
  }
  return { key, value };
}

function readGraph(reader: ProtobufReader): OnnxGraph {
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxTensor>();
  const sparseInitializers = new Map<string, OnnxSparseTensor>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  while (reader.next()) {
    if (reader.field === GRAPH.node) {
      nodes.push(readNode(reader.message()));
    } else if (reader.field === GRAPH.initializer) {
      const { name, tensor } = readTensor(reader.message());
      initializers.set(name, tensor);
    } else if (reader.field === GRAPH.sparseInitializer) {
      const { name, tensor } = readSparseTensor(reader.message());
      sparseInitializers.set(name, tensor);
    } else if (reader.field === GRAPH.input) {
      inputs.push(readValue(reader.message()));
    } else if (reader.field === GRAPH.output) {
      outputs.push(readValue(reader.message()));
    } else {
      reader.skip();
    }
  }
  return { nodes, initializers, sparseInitializers, inputs, outputs };
}

function readNode(reader: ProtobufReader): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, OnnxAttribute>();
  let operator = '';
  let domain = '';
  while (reader.next()) {
    if (reader.field === NODE.input) {
      inputs.push(reader.text());
    } else if (reader.field === NODE.output) {
      outputs.push(reader.text());
    } else if (reader.field === NODE.operator) {
      operator = reader.text();
    } else if (reader.field === NODE.domain) {
      domain = reader.text();
    } else if (reader.field === NODE.attribute) {
      const { name, attribute } = readAttribute(reader.message());
      attributes.set(name, attribute);
    } else {
      reader.skip();
    }
  }
  const qualified = domain === '' || domain === 'ai.onnx' ? operator : `${domain}.${operator}`;
  return { operator: qualified, inputs, outputs, attributes };
}

function readAttribute(reader: ProtobufReader): { name: string; attribute: OnnxAttribute } {
  let name = '';
  let float: number | undefined;
  let integer: number | undefined;
  let text: Uint8Array | undefined;
  const floats: number[] = [];
  const integers: number[] = [];
  const texts: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === ATTRIBUTE.name) name = reader.text();
    else if (reader.field === ATTRIBUTE.float) float = reader.float();
    else if (reader.field === ATTRIBUTE.integer) integer = reader.integer();
    else if (reader.field === ATTRIBUTE.text) text = reader.bytes();
    else if (reader.field === ATTRIBUTE.floats) reader.floatsInto(floats);
    else if (reader.field === ATTRIBUTE.integers) reader.integersInto(integers);
    else if (reader.field === ATTRIBUTE.texts) texts.push(reader.bytes());
    else reader.skip();
  }
  return { name, attribute: { float, integer, text, floats, integers, texts } };
}

function readTensor(reader: ProtobufReader): { name: string; tensor: OnnxTensor } {
  let name = '';
  let dataType = 0;
  let rawData: Uint8Array | undefined;
  const dimensions: number[] = [];
  while (reader.next()) {
    if (reader.field === TENSOR.name) name = reader.text();
    else if (reader.field === TENSOR.dataType) dataType = reader.integer();
    else if (reader.field === TENSOR.dimensions) reader.integersInto(dimensions);
    else if (reader.field === TENSOR.rawData) rawData = reader.bytes();
    else reader.skip();
  }
  return { name, tensor: { dimensions, dataType, rawData } };
}

/** Its name is that of its values. */
function readSparseTensor(reader: ProtobufReader): { name: string; tensor: OnnxSparseTensor } {
  const empty: OnnxTensor = { dimensions: [], dataType: 0, rawData: undefined };
  let name = '';
  let values = empty;
  let indices = empty;
  const dimensions: number[] = [];
  while (reader.next()) {
    if (reader.field === SPARSE.values) ({ name, tensor: values } = readTensor(reader.message()));
    else if (reader.field === SPARSE.indices) ({ tensor: indices } = readTensor(reader.message()));
    else if (reader.field === SPARSE.dimensions) reader.integersInto(dimensions);
    else reader.skip();
  }
  return { name, tensor: { dimensions, values, indices } };
}

function readValue(reader: ProtobufReader): OnnxValue {
  let name = '';
  let elementType = 0;
  let dimensions: (number | string | undefined)[] = [];
  while (reader.next()) {
    if (reader.field === VALUE.name) {
      name = reader.text();
    } else if (reader.field === VALUE.type) {
      const type = reader.message();
      while (type.next()) {
        if (type.field === TYPE.tensor) ({ elementType, dimensions } = readTensorType(type.message()));
        else type.skip();
      }
    } else {
      reader.skip();
    }
  }
  return { name, elementType, dimensions };
}

function readTensorType(reader: ProtobufReader): Omit<OnnxValue, 'name' | 'dimensions'> & {
  dimensions: (number | string | undefined)[];
} {
  let elementType = 0;
  const dimensions: (number | string | undefined)[] = [];
  while (reader.next()) {
    if (reader.field === TENSOR_TYPE.elementType) {
      elementType = reader.integer();
    } else if (reader.field === TENSOR_TYPE.shape) {
      const shape = reader.message();
      while (shape.next()) {
        if (shape.field === SHAPE.dimension) dimensions.push(readDimension(shape.message()));
        else shape.skip();
      }
    } else {
      reader.skip();
    }
  }
  return { elementType, dimensions };
}

function readDimension(reader: ProtobufReader): number | string | undefined {
  let dimension: number | string | undefined;
  while (reader.next()) {
    if (reader.field === DIMENSION.value) dimension = reader.integer();
    else if (reader.field === DIMENSION.parameter) dimension = reader.text();
    else reader.skip();
  }
  return dimension;
}

/** Files that people take for a model, by how they begin. */
const SIGNATURES: readonly (readonly [string, string])[] = [
  ['504b0304', 'a ZIP archive (a PyTorch or NumPy file?)'],
  ['1f8b', 'a gzip file'],
  ['28b52ffd', 'a Zstandard file'],
  ['425a68', 'a bzip2 file'],
  ['8002', 'a Python pickle'],
  ['8003', 'a Python pickle'],
  ['8004', 'a Python pickle'],
  ['8005', 'a Python pickle'],
  ['50415231', 'a Parquet file'],
  ['894844460d0a1a0a', 'an HDF5 file (a Keras model?)'],
  ['89504e47', 'a PNG image'],
  ['25504446', 'a PDF file'],
  ['7f454c46', 'a program or library'],
  ['62696e66', 'an old XGBoost binary model'],
  ['7b4c', 'a UBJSON file (an XGBoost model?)'],
  ['7b', 'JSON text'],
  ['5b', 'JSON text'],
  ['3c', 'XML or HTML text'],
  ['747265650a', 'a LightGBM text model'],
  ['76657273696f6e2068747470', 'a Git LFS pointer instead of the file'],
  ['0801', 'a protocol buffers message that begins as ONNX does'],
];

function describe(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const head = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const known = SIGNATURES.find(([signature]) => head.startsWith(signature));
  if (known !== undefined) return known[1];
  // The first field of nearly every ONNX file is the IR version, a number from 3 to 13.
  if (bytes[0] === 8) return 'the beginning of an ONNX model';
  return `bytes that begin with ${head}`;
}
