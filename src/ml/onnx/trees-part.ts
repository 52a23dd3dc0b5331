import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import type { GraphPart } from './encode-model.ts';
import { encodeTrees } from './encode-trees.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import { GRAPH, MODEL, NODE } from './schema.ts';

/**
 * @internal The nodes and initializers that `encodeTrees` writes, with some values renamed, to be built into a
 * larger graph. They are taken from its bytes, so that an ensemble has one encoder.
 *
 * @param names new name of each value that gets one
 */
export function treesPart(
  model: TreeEnsemble,
  names: ReadonlyMap<string, string>,
): GraphPart & { readonly nodes: readonly Uint8Array[] } {
  const bytes = encodeTrees(model);
  const limits = { bytesMax: bytes.length, depthMax: 3, elementsMax: bytes.length };
  const nodes: Uint8Array[] = [];
  const initializers: Uint8Array[] = [];
  const file = ProtobufReader.of(bytes, limits);
  while (file.next()) {
    if (file.field !== MODEL.graph) {
      file.skip();
      continue;
    }
    const graph = file.message();
    while (graph.next()) {
      if (graph.field === GRAPH.node) nodes.push(renamed(graph.message(), names));
      else if (graph.field === GRAPH.initializer) initializers.push(graph.bytes());
      else graph.skip();
    }
  }
  return { nodes, initializers };
}

/** A node, all fields of which are bytes or text, with the names of its inputs and outputs replaced. */
function renamed(node: ProtobufReader, names: ReadonlyMap<string, string>): Uint8Array {
  const written = new ProtobufWriter();
  while (node.next()) {
    const { field } = node;
    if (field === NODE.input || field === NODE.output) {
      const name = node.text();
      written.bytes(field, names.get(name) ?? name);
    } else {
      written.bytes(field, node.bytes());
    }
  }
  return written.finish();
}
