import { UnsupportedGraph } from './errors.ts';
import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxTensor } from './schema.ts';
import { DATA_TYPE } from './schema.ts';

/**
 * @internal Asks a graph for what a certain form of model must have; everything else is an {@link
 * UnsupportedGraph}.
 */
export class GraphReader {
  readonly graph: OnnxGraph;
  readonly #producers = new Map<string, OnnxNode>();

  constructor(graph: OnnxGraph) {
    this.graph = graph;
    for (const node of graph.nodes) {
      for (const output of node.outputs) {
        if (this.#producers.has(output))
          throw new UnsupportedGraph(`Two nodes produce "${output}"`, node.operator);
        this.#producers.set(output, node);
      }
    }
  }

  /** The node that produces a value. */
  producer(value: string, operator: string, inputCount: number): OnnxNode {
    const node = this.#producers.get(value);
    if (node?.operator !== operator) {
      const found = node === undefined ? 'no node' : node.operator;
      throw new UnsupportedGraph(`"${value}" must come from ${operator}, not from ${found}`, node?.operator);
    }
    if (node.inputs.length !== inputCount || node.outputs.length !== 1) {
      throw new UnsupportedGraph(`${operator} must have ${inputCount} inputs and one output`, operator);
    }
    return node;
  }

  /** The node that produces a value, whatever its operator is. */
  source(value: string): OnnxNode | undefined {
    return this.#producers.get(value);
  }

  /** What the Cast that produces `value` reads. */
  castSource(value: string, type: number): string {
    const cast = this.producer(value, 'Cast', 1);
    onlyAttributes(cast, ['to']);
    const found = attributeOf(cast, 'to').integer;
    if (found !== type) {
      throw new UnsupportedGraph(`"${value}" must be cast to data type ${type}, not ${found}`, 'Cast');
    }
    return inputOf(cast, 0);
  }

  /** The length of an initializer that is a vector. */
  lengthOf(name: string): number {
    const dimensions = this.graph.initializers.get(name)?.dimensions ?? [];
    if (dimensions.length !== 1)
      throw new UnsupportedGraph(`"${name}" must be an initializer of one dimension`);
    return dimensions[0] as number;
  }

  /** The values of a float64 initializer of the given shape. */
  doubles(name: string, shape: readonly number[]): Float64Array {
    const tensor = this.graph.initializers.get(name);
    if (tensor === undefined) throw new UnsupportedGraph(`"${name}" must be an initializer`);
    const count = shape.reduce((product, dimension) => product * dimension, 1);
    const raw = doublesOf(tensor, count);
    const sameShape =
      tensor.dimensions.length === shape.length && shape.every((d, i) => d === tensor.dimensions[i]);
    if (raw === undefined || !sameShape) {
      throw new UnsupportedGraph(
        `"${name}" must be a float64 tensor of shape [${shape.join(', ')}] as raw data`,
      );
    }
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    return Float64Array.from({ length: count }, (_, index) => view.getFloat64(index * 8, true));
  }

  /** The one value of an int64 initializer of shape [1]. */
  integer(name: string): number {
    return this.integers(name, 1)[0] as number;
  }

  /** The values of an int64 initializer of shape [count]. */
  integers(name: string, count: number): Float64Array {
    const tensor = this.graph.initializers.get(name);
    const { dataType, dimensions, rawData } = tensor ?? {};
    const sound = dataType === DATA_TYPE.integer && dimensions?.length === 1 && dimensions[0] === count;
    if (!sound || rawData?.length !== count * 8) {
      throw new UnsupportedGraph(`"${name}" must be an int64 initializer of shape [${count}] as raw data`);
    }
    const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
    return Float64Array.from({ length: count }, (_, index) => Number(view.getBigInt64(index * 8, true)));
  }
}

function doublesOf(tensor: OnnxTensor, count: number): Uint8Array | undefined {
  const { dataType, rawData } = tensor;
  return dataType === DATA_TYPE.double && rawData?.length === count * 8 ? rawData : undefined;
}

/** @internal The name of an input; the number of inputs was checked by {@link GraphReader.producer}. */
export function inputOf(node: OnnxNode, index: number): string {
  return node.inputs[index] as string;
}

/** @internal Requires that a node works along axis 1, the columns, and has no other attributes. */
export function requireColumnAxis(node: OnnxNode): void {
  onlyAttributes(node, ['axis']);
  if (attributeOf(node, 'axis').integer !== 1)
    throw new UnsupportedGraph(`${node.operator} must be along axis 1`, node.operator);
}

/** @internal Requires that a node has no other attributes than these. */
export function onlyAttributes(node: OnnxNode, names: readonly string[]): void {
  for (const name of node.attributes.keys()) {
    if (!names.includes(name))
      throw new UnsupportedGraph(`${node.operator} with ${name} is not supported`, node.operator);
  }
}

/** @internal An attribute that must be there. */
export function attributeOf(node: OnnxNode, name: string): OnnxAttribute {
  const attribute = node.attributes.get(name);
  if (attribute === undefined) throw new UnsupportedGraph(`${node.operator} has no ${name}`, node.operator);
  return attribute;
}

/** @internal Requires that a text attribute, if it is there, has a certain value. */
export function requireText(node: OnnxNode, name: string, wanted: string): void {
  const attribute = node.attributes.get(name);
  if (attribute === undefined) return;
  const found = new TextDecoder().decode(attribute.text);
  if (found !== wanted)
    throw new UnsupportedGraph(`${node.operator} with ${name} ${found} is not supported`, node.operator);
}

// A byte order mark is a part of the text like any other.
const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @internal The texts of an attribute that must be there. */
export function textsOf(node: OnnxNode, name: string): string[] {
  return attributeOf(node, name).texts.map((bytes) => {
    try {
      return TEXT.decode(bytes);
    } catch {
      throw new UnsupportedGraph(`${node.operator} has ${name} that are not UTF-8`, node.operator);
    }
  });
}
