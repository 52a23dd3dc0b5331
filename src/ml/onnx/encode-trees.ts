import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import {
  encodeModel,
  floatsAttribute,
  integerAttribute,
  integersAttribute,
  textAttribute,
  textsAttribute,
} from './encode-model.ts';
import { INPUT_NAME, ML_DOMAIN, ML_OPSET_VERSION, OPSET_VERSION, OUTPUT_NAME } from './schema.ts';

/**
 * Writes an ensemble as an ONNX model: a TreeEnsembleRegressor that gives the margin, then a Sigmoid. The
 * sigmoid is a node of its own because the `LOGISTIC` post-transform of an ensemble with one target is not
 * one in every runtime.
 *
 * @param inputNames name of each input, kept in the metadata of the model
 * @throws RangeError when the ensemble has no trees or inputs, or another number of names than inputs.
 */
export function encodeTrees(model: TreeEnsemble, inputNames?: readonly string[]): Uint8Array {
  const treeCount = model.offsets.length - 1;
  if (treeCount < 1) throw new RangeError('An ensemble without trees cannot be written as ONNX');
  const margin = 'margin';
  return encodeModel({
    graphName: 'trees',
    inputCount: model.featureCount,
    inputNames,
    opsets: [
      { domain: '', version: OPSET_VERSION },
      { domain: ML_DOMAIN, version: ML_OPSET_VERSION },
    ],
    nodes: [
      {
        operator: 'TreeEnsembleRegressor',
        domain: ML_DOMAIN,
        inputs: [INPUT_NAME],
        output: margin,
        attributes: [
          integerAttribute('n_targets', 1),
          textAttribute('post_transform', 'NONE'),
          textAttribute('aggregate_function', 'SUM'),
          floatsAttribute('base_values', [model.baseScore]),
          ...nodeAttributes(model, treeCount),
        ],
      },
      { operator: 'Sigmoid', inputs: [margin], output: OUTPUT_NAME },
    ],
    initializers: [],
  });
}

function nodeAttributes(model: TreeEnsemble, treeCount: number): ReturnType<typeof integerAttribute>[] {
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
      modes.push(isLeaf ? 'LEAF' : 'BRANCH_LEQ');
      if (isLeaf) leaves.push(node);
    }
  }
  return [
    integersAttribute('nodes_treeids', treeIds),
    integersAttribute('nodes_nodeids', nodeIds),
    integersAttribute('nodes_featureids', model.feature),
    floatsAttribute('nodes_values', model.threshold),
    textsAttribute('nodes_modes', modes),
    integersAttribute('nodes_truenodeids', trueIds),
    integersAttribute('nodes_falsenodeids', falseIds),
    integersAttribute('nodes_missing_value_tracks_true', model.missingLeft),
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
      leaves.map(() => 0),
    ),
    floatsAttribute(
      'target_weights',
      leaves.map((node) => model.leaf[node] as number),
    ),
  ];
}
