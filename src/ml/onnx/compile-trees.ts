import type { Link } from '../gbdt/link.ts';
import { codingsOf } from './compile-ranks.ts';
import type { Evaluator } from './compile-linear.ts';
import type { MarginForm } from './margin-form.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { attributeOf, onlyAttributes, requireText } from './graph-reader.ts';
import type { OnnxNode } from './schema.ts';
import { ML_DOMAIN } from './schema.ts';
import { marginOfTrees } from './unpack-trees.ts';
import type { PackedTrees } from './walk-trees.ts';
import { NODE_WIDTH, walker } from './walk-trees.ts';

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
  'nodes_hitrates',
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

/** Trees compiled, with what the graph says about them. */
export interface CompiledTrees {
  readonly evaluate: Evaluator;
  readonly margin: MarginForm;
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
    margin: marginOfTrees(trees, { inputCount, codings }),
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
  const covers = coversOf(ensemble, count);
  return {
    ...(covers === undefined ? {} : { covers }),
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
    if (!(sound && sameTarget && target >= 0 && target < packed.outputs))
      throw unsupported(`has an unsound target ${index}`);
    leaves[~code] = weight;
    targets[tree] = target;
  }
  return { leaves, targets };
}

/** What `encodeTrees` says of the training rows; other writers leave it out. */
function coversOf(ensemble: OnnxNode, count: number): Float32Array | undefined {
  const rates = ensemble.attributes.get('nodes_hitrates')?.floats;
  if (rates === undefined) return undefined;
  if (rates.length !== count) throw unsupported(`has ${count} nodes but ${rates.length} nodes_hitrates`);
  return Float32Array.from(rates);
}

function basesOf(ensemble: OnnxNode, outputs: number): Float64Array {
  const bases = ensemble.attributes.get('base_values')?.floats ?? [0];
  if (bases.length !== outputs || !bases.every(Number.isFinite))
    throw unsupported('must have one finite base value for each target');
  return Float64Array.from(bases);
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
