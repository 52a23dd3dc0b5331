import type { CategoryCoding } from '../gbdt/categories.ts';
import { rankOf } from '../gbdt/categories.ts';
import type { Link } from '../gbdt/link.ts';
import { applyLink } from '../gbdt/link.ts';
import { codingsOf } from './compile-ranks.ts';
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

/** What each operator at the end of the graph makes of margins. */
const LINKS: Readonly<Record<string, Link>> = {
  Sigmoid: 'logistic',
  Softmax: 'softmax',
  Exp: 'exponential',
};
/** Operators that a graph of trees may have beside the ensemble. */
export const TREES_OTHER_OPERATORS: readonly string[] = [
  ...Object.keys(LINKS),
  'Gather',
  'Concat',
  `${ML_DOMAIN}.LabelEncoder`,
];

/** Rows that go through one tree before the next tree's nodes push it out of the cache. */
const BLOCK_ROWS = 128;
/** Numbers of a node in the packed form. */
const NODE_WIDTH = 4;

/**
 * An ensemble ready to be walked. Node k begins at 4k: four times the column plus 2 if only equal values go
 * left plus 1 if missing values go left, the threshold (a Float32 in the same memory), position of the left
 * and of the right child. For a leaf the first number is the bitwise complement of its place in `leaves`.
 */
interface PackedTrees {
  readonly bases: Float64Array;
  readonly roots: Int32Array;
  /** Output that each tree adds to. */
  readonly targets: Int32Array;
  readonly nodes: Int32Array;
  readonly thresholds: Float32Array;
  readonly leaves: Float64Array;
  /** Whether any node asks for equality. */
  readonly mixed: boolean;
}

/** Trees compiled, with what the graph says about them. */
export interface CompiledTrees {
  readonly evaluate: Evaluator;
  readonly outputCount: number;
  /** Nodes of the graph that were understood. */
  readonly nodeCount: number;
}

/**
 * @internal Turns the graph that `encodeTrees` writes into a walker.
 *
 * @throws UnsupportedGraph when the graph is another one, or its nodes are no trees.
 */
export function compileTrees(reader: GraphReader, inputCount: number): CompiledTrees {
  const outputName = reader.graph.outputs[0]?.name ?? '';
  const last = reader.graph.nodes.find(({ outputs }) => outputs.includes(outputName));
  const link = LINKS[last?.operator ?? ''] ?? 'identity';
  let margins = outputName;
  if (last !== undefined && link !== 'identity') {
    onlyAttributes(reader.producer(outputName, last.operator, 1), []);
    margins = last.inputs[0] as string;
  }
  const ensemble = reader.producer(margins, TREES_OPERATOR, 1);
  const codings = codingsOf(reader, ensemble.inputs[0] as string, inputCount);
  onlyAttributes(ensemble, [...INTEGER_LISTS, ...TARGET_LISTS, ...OTHERS]);
  requireText(ensemble, 'post_transform', 'NONE');
  requireText(ensemble, 'aggregate_function', 'SUM');
  const outputCount = attributeOf(ensemble, 'n_targets').integer ?? 0;
  if (!(outputCount >= 1 && (link !== 'logistic' || outputCount === 1))) {
    throw unsupported(`cannot have ${outputCount} targets before ${last?.operator ?? 'nothing'}`);
  }
  const trees = pack(ensemble, { columns: inputCount + codings.length, outputs: outputCount });
  const rankNodes = codings.length === 0 ? 0 : 2 * codings.length + 1;
  return {
    evaluate: walker(trees, { link, inputCount, codings }),
    outputCount,
    nodeCount: rankNodes + (link === 'identity' ? 1 : 2),
  };
}

function pack(
  ensemble: OnnxNode,
  shape: { readonly columns: number; readonly outputs: number },
): PackedTrees {
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
  let mixed = false;
  for (let node = 0; node < count; node += 1) {
    const at = node * NODE_WIDTH;
    const mode = modeOf(modes[node] as Uint8Array);
    if (mode === 'LEAF') {
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
    if (!(feature >= 0 && feature < shape.columns))
      throw unsupported(`reads input ${feature} of ${shape.columns}`);
    mixed ||= mode === 'BRANCH_EQ';
    nodes[at] = feature * 4 + (mode === 'BRANCH_EQ' ? 2 : 0) + (missing[node] === 1 ? 1 : 0);
    thresholds[at + 1] = values[node] as number;
    nodes[at + 2] = left * NODE_WIDTH;
    nodes[at + 3] = right * NODE_WIDTH;
  }
  return {
    bases: basesOf(ensemble, shape.outputs),
    roots: offsets.subarray(0, -1).map((offset) => offset * NODE_WIDTH),
    nodes,
    thresholds,
    mixed,
    ...leavesOf(ensemble, { nodes, offsets, count: leaves, outputs: shape.outputs }),
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

/** The value of each leaf, which every leaf must have exactly once, and the one target of each tree's leaves. */
function leavesOf(
  ensemble: OnnxNode,
  packed: {
    readonly nodes: Int32Array;
    readonly offsets: Int32Array;
    readonly count: number;
    readonly outputs: number;
  },
): { readonly leaves: Float64Array; readonly targets: Int32Array } {
  const [treeIds, nodeIds, targetIds] = TARGET_LISTS.map((name) => attributeOf(ensemble, name).integers);
  const weights = attributeOf(ensemble, 'target_weights').floats;
  const leaves = new Float64Array(packed.count).fill(Number.NaN);
  const targets = new Int32Array(packed.offsets.length - 1).fill(-1);
  for (const list of [weights, treeIds, nodeIds, targetIds]) {
    if (list?.length !== packed.count)
      throw unsupported(`has ${packed.count} leaves but ${list?.length} targets`);
  }
  for (let index = 0; index < packed.count; index += 1) {
    const tree = treeIds?.[index] as number;
    const node = (packed.offsets[tree] ?? Number.NaN) + (nodeIds?.[index] as number);
    const code =
      node < (packed.offsets[tree + 1] as number) ? (packed.nodes[node * NODE_WIDTH] as number) : 0;
    const weight = weights[index] as number;
    const target = targetIds?.[index] as number;
    const sameTarget = targets[tree] === -1 || targets[tree] === target;
    const sound = code < 0 && Number.isNaN(leaves[~code]) && Number.isFinite(weight);
    if (!(sound && sameTarget && target < packed.outputs))
      throw unsupported(`has an unsound target ${index}`);
    leaves[~code] = weight;
    targets[tree] = target;
  }
  return { leaves, targets };
}

function basesOf(ensemble: OnnxNode, outputs: number): Float64Array {
  const bases = ensemble.attributes.get('base_values')?.floats ?? Array.from({ length: outputs }, () => 0);
  if (bases.length !== outputs || !bases.every(Number.isFinite))
    throw unsupported('must have one finite base value for each target');
  return Float64Array.from(bases);
}

/** Rows to be walked: `values[row * columns + column]`, with room for their margins. */
interface Block {
  readonly values: Float32Array;
  readonly columns: number;
  /** First row of the values, rows, and where in the output their margins begin. */
  readonly first: number;
  readonly rows: number;
  readonly output: Float64Array;
  readonly at: number;
}

/**
 * Walks trees. Rows are taken in blocks, tree by tree, so that a tree's nodes stay in the cache; each row
 * still adds its leaves in the order of the trees, so its answer does not depend on the rows beside it.
 */
function walker(
  trees: PackedTrees,
  graph: { readonly link: Link; readonly inputCount: number; readonly codings: readonly CategoryCoding[] },
): Evaluator {
  const { bases, roots, mixed } = trees;
  const { link, inputCount, codings } = graph;
  const outputs = bases.length;
  const walk = mixed ? walkMixed : walkOrdered;
  const columns = inputCount + codings.length;
  const ranked = new Float32Array(codings.length === 0 ? 0 : BLOCK_ROWS * columns);
  return (input, rows, output) => {
    for (let start = 0; start < rows; start += BLOCK_ROWS) {
      const end = Math.min(rows, start + BLOCK_ROWS);
      for (let at = start * outputs; at < end * outputs; at += outputs) output.set(bases, at);
      const place = { rows: end - start, output, at: start * outputs, columns };
      let block: Block = { ...place, values: input, first: start };
      if (codings.length > 0) {
        widen(input, { start, end, inputCount }, { ranked, codings });
        block = { ...place, values: ranked, first: 0 };
      }
      for (let tree = 0; tree < roots.length; tree += 1) walk(trees, tree, block);
      applyLink(link, { values: output, outputs, start, end });
    }
  };
}

/** Copies rows and writes the ranks of their categories behind each. */
function widen(
  input: Float32Array,
  from: { readonly start: number; readonly end: number; readonly inputCount: number },
  into: { readonly ranked: Float32Array; readonly codings: readonly CategoryCoding[] },
): void {
  const { start, end, inputCount } = from;
  let at = 0;
  for (let row = start; row < end; row += 1) {
    const first = row * inputCount;
    for (let column = 0; column < inputCount; column += 1, at += 1)
      into.ranked[at] = input[first + column] as number;
    for (const coding of into.codings) {
      into.ranked[at] = rankOf(coding, input[first + coding.feature] as number);
      at += 1;
    }
  }
}

/** Adds one tree, all of whose nodes compare by size, to the margins of a block. */
function walkOrdered(trees: PackedTrees, tree: number, block: Block): void {
  const { nodes, thresholds, leaves, bases } = trees;
  const { values, columns, output } = block;
  const root = trees.roots[tree] as number;
  let into = block.at + (trees.targets[tree] as number);
  let from = block.first * columns;
  for (let row = 0; row < block.rows; row += 1, from += columns, into += bases.length) {
    let at = root;
    let code = nodes[at] as number;
    while (code >= 0) {
      const value = values[from + (code >> 2)] as number;
      const goesLeft = value <= (thresholds[at + 1] as number) || (value !== value && (code & 1) === 1);
      at = (goesLeft ? nodes[at + 2] : nodes[at + 3]) as number;
      code = nodes[at] as number;
    }
    output[into] = (output[into] as number) + (leaves[~code] as number);
  }
}

/** The same for a tree whose nodes may ask for equality. */
function walkMixed(trees: PackedTrees, tree: number, block: Block): void {
  const { nodes, thresholds, leaves, bases } = trees;
  const { values, columns, output } = block;
  const root = trees.roots[tree] as number;
  let into = block.at + (trees.targets[tree] as number);
  let from = block.first * columns;
  for (let row = 0; row < block.rows; row += 1, from += columns, into += bases.length) {
    let at = root;
    let code = nodes[at] as number;
    while (code >= 0) {
      const value = values[from + (code >> 2)] as number;
      const threshold = thresholds[at + 1] as number;
      const within = (code & 2) === 0 ? value <= threshold : value === threshold;
      const goesLeft = within || (value !== value && (code & 1) === 1);
      at = (goesLeft ? nodes[at + 2] : nodes[at + 3]) as number;
      code = nodes[at] as number;
    }
    output[into] = (output[into] as number) + (leaves[~code] as number);
  }
}

type Mode = 'LEAF' | 'BRANCH_LEQ' | 'BRANCH_EQ';

function modeOf(bytes: Uint8Array): Mode {
  for (const [mode, known] of MODES) if (equals(bytes, known)) return mode;
  throw unsupported(`with a node of mode ${new TextDecoder().decode(bytes)} is not supported`);
}

const MODES: readonly (readonly [Mode, Uint8Array])[] = (['LEAF', 'BRANCH_LEQ', 'BRANCH_EQ'] as const).map(
  (mode) => [mode, new TextEncoder().encode(mode)],
);

function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function unsupported(reason: string): UnsupportedGraph {
  return new UnsupportedGraph(`${TREES_OPERATOR} ${reason}`, TREES_OPERATOR);
}
