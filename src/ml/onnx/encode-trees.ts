import type { CategoryCoding } from '../gbdt/categories.ts';
import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import type { Link } from '../gbdt/link.ts';
import type { NodeToEncode } from './encode-model.ts';
import {
  encodeModel,
  floatAttribute,
  floatsAttribute,
  integerAttribute,
  integerTensor,
  integersAttribute,
  textAttribute,
  textsAttribute,
} from './encode-model.ts';
import {
  INPUT_NAME,
  ML_DOMAIN,
  ML_OPSET_VERSION,
  NUMBER_OUTPUT_NAME,
  OPSET_VERSION,
  OUTPUT_NAME,
} from './schema.ts';

/** The operator that makes an answer of margins. */
const LINK_OPERATORS: Readonly<Record<Exclude<Link, 'identity'>, string>> = {
  logistic: 'Sigmoid',
  softmax: 'Softmax',
  exponential: 'Exp',
};

/**
 * Writes an ensemble as an ONNX model: a TreeEnsembleRegressor that gives the margins, then Sigmoid, Softmax,
 * Exp or nothing. These are nodes of their own because the `LOGISTIC` post-transform of an ensemble with one
 * target is not a sigmoid in every runtime. The output is called `probability`, or `prediction` where it is
 * none; it has a column for each output.
 *
 * The weight of the training rows that reached each node goes along as `nodes_hitrates` (float32), so that the file can be explained.
 *
 * Each categorical column is picked out (Gather), its codes become ranks (LabelEncoder, NaN for unknown ones),
 * and these stand behind the inputs (Concat), where the trees read them.
 *
 * @param inputNames name of each input, kept in the metadata of the model
 * @throws RangeError when the ensemble has no trees or inputs, or another number of names than inputs.
 */
export function encodeTrees(model: TreeEnsemble, inputNames?: readonly string[]): Uint8Array {
  const { outputs, link, featureCount } = model;
  const treeCount = model.offsets.length - 1;
  if (treeCount < 1) throw new RangeError('An ensemble without trees cannot be written as ONNX');
  const split = new Set(model.feature.filter((_, node) => (model.left[node] as number) >= 0));
  const codings = model.categories.filter(({ feature }) => split.has(feature));
  const isNumber = link === 'identity' || link === 'exponential';
  const outputName = isNumber ? NUMBER_OUTPUT_NAME : OUTPUT_NAME;
  const margins = link === 'identity' ? outputName : 'margin';
  const ensemble: NodeToEncode = {
    operator: 'TreeEnsembleRegressor',
    domain: ML_DOMAIN,
    inputs: [codings.length === 0 ? INPUT_NAME : 'ranked'],
    output: margins,
    attributes: [
      integerAttribute('n_targets', outputs),
      textAttribute('post_transform', 'NONE'),
      textAttribute('aggregate_function', 'SUM'),
      floatsAttribute('base_values', model.baseScores),
      ...nodeAttributes(model, treeCount, readFeatures(model, codings)),
    ],
  };
  return encodeModel({
    graphName: 'trees',
    inputCount: featureCount,
    inputNames,
    outputName,
    outputCount: outputs,
    opsets: [
      { domain: '', version: OPSET_VERSION },
      { domain: ML_DOMAIN, version: ML_OPSET_VERSION },
    ],
    nodes: [
      ...rankNodes(codings),
      ensemble,
      ...(link === 'identity'
        ? []
        : [{ operator: LINK_OPERATORS[link], inputs: [margins], output: outputName }]),
    ],
    initializers: codings.map(({ feature }, index) => integerTensor(`column_${index}`, [1], [feature])),
  });
}

/** The nodes that put the ranks of categories behind the inputs. */
function rankNodes(codings: readonly CategoryCoding[]): NodeToEncode[] {
  if (codings.length === 0) return [];
  const nodes = codings.flatMap(({ codes, ranks }, index): NodeToEncode[] => [
    {
      operator: 'Gather',
      inputs: [INPUT_NAME, `column_${index}`],
      output: `code_${index}`,
      attributes: [integerAttribute('axis', 1)],
    },
    {
      operator: 'LabelEncoder',
      domain: ML_DOMAIN,
      inputs: [`code_${index}`],
      output: `rank_${index}`,
      attributes: [
        floatsAttribute('keys_floats', codes),
        floatsAttribute('values_floats', ranks),
        floatAttribute('default_float', Number.NaN),
      ],
    },
  ]);
  const inputs = [INPUT_NAME, ...codings.map((_, index) => `rank_${index}`)];
  return [
    ...nodes,
    { operator: 'Concat', inputs, output: 'ranked', attributes: [integerAttribute('axis', 1)] },
  ];
}

/** The column that each node reads: ranks stand behind the inputs. */
function readFeatures(model: TreeEnsemble, codings: readonly CategoryCoding[]): Int32Array {
  const places = new Map(codings.map(({ feature }, index) => [feature, model.featureCount + index]));
  return model.feature.map((feature) => places.get(feature) ?? feature);
}

function nodeAttributes(
  model: TreeEnsemble,
  treeCount: number,
  features: Int32Array,
): ReturnType<typeof integerAttribute>[] {
  const count = model.left.length;
  const treeIds = new Int32Array(count);
  const nodeIds = new Int32Array(count);
  const trueIds = new Int32Array(count);
  const falseIds = new Int32Array(count);
  const modes: string[] = [];
  const leaves: number[] = [];
  for (let tree = 0; tree < treeCount; tree += 1) {
    const root = model.offsets[tree] as number;
    const end = model.offsets[tree + 1] as number;
    for (let node = root; node < end; node += 1) {
      const isLeaf = (model.left[node] as number) < 0;
      treeIds[node] = tree;
      nodeIds[node] = node - root;
      trueIds[node] = isLeaf ? 0 : (model.left[node] as number) - root;
      falseIds[node] = isLeaf ? 0 : (model.right[node] as number) - root;
      modes.push(isLeaf ? 'LEAF' : model.equality[node] === 1 ? 'BRANCH_EQ' : 'BRANCH_LEQ');
      if (isLeaf) leaves.push(node);
    }
  }
  return [
    integersAttribute('nodes_treeids', treeIds),
    integersAttribute('nodes_nodeids', nodeIds),
    integersAttribute('nodes_featureids', features),
    floatsAttribute('nodes_values', model.threshold),
    textsAttribute('nodes_modes', modes),
    integersAttribute('nodes_truenodeids', trueIds),
    integersAttribute('nodes_falsenodeids', falseIds),
    integersAttribute('nodes_missing_value_tracks_true', model.missingLeft),
    // No runtime reads them. They are what exact Shapley values need beside the trees.
    floatsAttribute('nodes_hitrates', model.cover),
    integersAttribute(
      'target_treeids',
      leaves.map((node) => treeIds[node] as number),
    ),
    integersAttribute(
      'target_nodeids',
      leaves.map((node) => nodeIds[node] as number),
    ),
    integersAttribute(
      'target_ids',
      leaves.map((node) => (treeIds[node] as number) % model.outputs),
    ),
    floatsAttribute(
      'target_weights',
      leaves.map((node) => model.leaf[node] as number),
    ),
  ];
}
