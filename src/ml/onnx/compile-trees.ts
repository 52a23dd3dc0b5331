import type { Evaluator } from './compile-logistic.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { attributeOf, onlyAttributes, requireText } from './graph-reader.ts';
import type { OnnxNode } from './schema.ts';
import { ML_DOMAIN } from './schema.ts';

/** The operator of an ensemble, with its domain. */
export const TREES_OPERATOR: string = `${ML_DOMAIN}.TreeEnsembleRegressor`;

const INTEGER_LISTS = [
  'nodes_treeids',
  'nodes_nodeids',
  'nodes_featureids',
  'nodes_truenodeids',
  'nodes_falsenodeids',
  'nodes_missing_value_tracks_true',
] as const;
const TARGET_LISTS = ['target_treeids', 'target_nodeids', 'target_ids'] as const;
const OTHERS = [
  'nodes_values',
  'nodes_modes',
  'target_weights',
  'n_targets',
  'base_values',
  'post_transform',
  'aggregate_function',
] as const;

/** Rows that go through one tree before the next tree's nodes push it out of the cache. */
const BLOCK_ROWS = 128;
/** Numbers of a node in the packed form. */
const NODE_WIDTH = 4;

/**
 * An ensemble ready to be walked. Node k begins at 4k: twice the feature plus 1 if missing values go left,
 * the threshold (a Float32 in the same memory), position of the left and of the right child. For a leaf the
 * first number is the bitwise complement of its place in `leaves`.
 */
interface PackedTrees {
  readonly base: number;
  readonly roots: Int32Array;
  readonly nodes: Int32Array;
  readonly thresholds: Float32Array;
  readonly leaves: Float64Array;
}

/**
 * @internal Turns the graph that `encodeTrees` writes into a walker.
 *
 * @throws UnsupportedGraph when the graph is another one, or its nodes are no trees.
 */
export function compileTrees(reader: GraphReader, inputCount: number): Evaluator {
  const sigmoid = reader.producer(reader.graph.outputs[0]?.name ?? '', 'Sigmoid', 1);
  const ensemble = reader.producer(sigmoid.inputs[0] as string, TREES_OPERATOR, 1);
  if (ensemble.inputs[0] !== reader.graph.inputs[0]?.name) {
    throw new UnsupportedGraph('The ensemble must read the input of the graph', TREES_OPERATOR);
  }
  onlyAttributes(sigmoid, []);
  onlyAttributes(ensemble, [...INTEGER_LISTS, ...TARGET_LISTS, ...OTHERS]);
  requireText(ensemble, 'post_transform', 'NONE');
  requireText(ensemble, 'aggregate_function', 'SUM');
  if (attributeOf(ensemble, 'n_targets').integer !== 1) throw unsupported('must have one target');
  return walker(pack(ensemble, inputCount), inputCount);
}

function pack(ensemble: OnnxNode, inputCount: number): PackedTrees {
  const modes = attributeOf(ensemble, 'nodes_modes').texts;
  const count = modes.length;
  const list = (name: (typeof INTEGER_LISTS)[number]): readonly number[] => {
    const { integers } = attributeOf(ensemble, name);
    if (integers.length !== count) throw unsupported(`has ${count} nodes but ${integers.length} ${name}`);
    return integers;
  };
  const [treeIds, nodeIds, features, trueIds, falseIds, missing] = INTEGER_LISTS.map(list) as [
    readonly number[],
    readonly number[],
    readonly number[],
    readonly number[],
    readonly number[],
    readonly number[],
  ];
  const values = attributeOf(ensemble, 'nodes_values').floats;
  if (values.length !== count) throw unsupported(`has ${count} nodes but ${values.length} nodes_values`);
  const offsets = offsetsOf(treeIds, nodeIds);
  const nodes = new Int32Array(count * NODE_WIDTH);
  const thresholds = new Float32Array(nodes.buffer);
  let leaves = 0;
  for (let node = 0; node < count; node += 1) {
    const at = node * NODE_WIDTH;
    if (isLeaf(modes[node] as Uint8Array)) {
      nodes[at] = ~leaves;
      leaves += 1;
      continue;
    }
    const tree = treeIds[node] as number;
    const root = offsets[tree] as number;
    const left = root + (trueIds[node] as number);
    const right = root + (falseIds[node] as number);
    // A child comes after its parent, in the same tree: no walk can go round in circles or leave the arrays.
    for (const child of [left, right]) {
      if (!(child > node && child < (offsets[tree + 1] as number)))
        throw unsupported(`has a node with child ${child}`);
    }
    const feature = features[node] as number;
    if (!(feature >= 0 && feature < inputCount)) throw unsupported(`reads input ${feature} of ${inputCount}`);
    nodes[at] = feature * 2 + (missing[node] === 1 ? 1 : 0);
    thresholds[at + 1] = values[node] as number;
    nodes[at + 2] = left * NODE_WIDTH;
    nodes[at + 3] = right * NODE_WIDTH;
  }
  return {
    base: baseOf(ensemble),
    roots: offsets.subarray(0, -1).map((offset) => offset * NODE_WIDTH),
    nodes,
    thresholds,
    leaves: leavesOf(ensemble, { nodes, offsets, count: leaves }),
  };
}

/**
 * First node of each tree, then the number of nodes. Trees and nodes must be numbered in order, without gaps.
 */
function offsetsOf(treeIds: readonly number[], nodeIds: readonly number[]): Int32Array {
  const offsets: number[] = [];
  for (let node = 0; node < treeIds.length; node += 1) {
    if (treeIds[node] === offsets.length) offsets.push(node);
    const root = offsets.at(-1);
    if (root === undefined || treeIds[node] !== offsets.length - 1 || nodeIds[node] !== node - root) {
      throw unsupported(`has node ${nodeIds[node]} of tree ${treeIds[node]} out of order`);
    }
  }
  if (offsets.length === 0) throw unsupported('has no trees');
  return Int32Array.from([...offsets, treeIds.length]);
}

/** The value of each leaf; every leaf must have exactly one, of target 0. */
function leavesOf(
  ensemble: OnnxNode,
  packed: { readonly nodes: Int32Array; readonly offsets: Int32Array; readonly count: number },
): Float64Array {
  const [treeIds, nodeIds, targets] = TARGET_LISTS.map((name) => attributeOf(ensemble, name).integers);
  const weights = attributeOf(ensemble, 'target_weights').floats;
  const leaves = new Float64Array(packed.count).fill(Number.NaN);
  for (const list of [weights, treeIds, nodeIds, targets]) {
    if (list?.length !== packed.count)
      throw unsupported(`has ${packed.count} leaves but ${list?.length} targets`);
  }
  for (let index = 0; index < packed.count; index += 1) {
    const tree = treeIds?.[index] as number;
    const node = (packed.offsets[tree] ?? Number.NaN) + (nodeIds?.[index] as number);
    const code =
      node < (packed.offsets[tree + 1] as number) ? (packed.nodes[node * NODE_WIDTH] as number) : 0;
    const weight = weights[index] as number;
    if (!(code < 0) || !Number.isNaN(leaves[~code]) || targets?.[index] !== 0 || !Number.isFinite(weight)) {
      throw unsupported(`has an unsound target ${index}`);
    }
    leaves[~code] = weight;
  }
  return leaves;
}

function baseOf(ensemble: OnnxNode): number {
  const base = ensemble.attributes.get('base_values')?.floats ?? [0];
  if (base.length !== 1 || !Number.isFinite(base[0])) throw unsupported('must have one finite base value');
  return base[0] as number;
}

/**
 * Walks trees. Rows are taken in blocks, tree by tree, so that a tree's nodes stay in the cache; each row
 * still adds its leaves in the order of the trees, so its answer does not depend on the rows beside it.
 */
function walker(trees: PackedTrees, columns: number): Evaluator {
  const { base, roots, nodes, thresholds, leaves } = trees;
  return (input, rows, output) => {
    for (let start = 0; start < rows; start += BLOCK_ROWS) {
      const end = Math.min(rows, start + BLOCK_ROWS);
      output.fill(base, start, end);
      for (let tree = 0; tree < roots.length; tree += 1) {
        const root = roots[tree] as number;
        for (let row = start; row < end; row += 1) {
          const from = row * columns;
          let at = root;
          let code = nodes[at] as number;
          while (code >= 0) {
            const value = input[from + (code >> 1)] as number;
            const goesLeft = value <= (thresholds[at + 1] as number) || (value !== value && (code & 1) === 1);
            at = (goesLeft ? nodes[at + 2] : nodes[at + 3]) as number;
            code = nodes[at] as number;
          }
          output[row] = (output[row] as number) + (leaves[~code] as number);
        }
      }
      for (let row = start; row < end; row += 1) output[row] = 1 / (1 + Math.exp(-(output[row] as number)));
    }
  };
}

function isLeaf(mode: Uint8Array): boolean {
  if (equals(mode, LEAF)) return true;
  if (equals(mode, BRANCH)) return false;
  throw unsupported(`with a node of mode ${new TextDecoder().decode(mode)} is not supported`);
}

const LEAF: Uint8Array = new TextEncoder().encode('LEAF');
const BRANCH: Uint8Array = new TextEncoder().encode('BRANCH_LEQ');

function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function unsupported(reason: string): UnsupportedGraph {
  return new UnsupportedGraph(`${TREES_OPERATOR} ${reason}`, TREES_OPERATOR);
}
