/** What the graph of an item model is made of, for whoever writes and whoever reads one. */

/** Name of the input, the weight of each of the user's items; and of the output, a score for each item. */
export const ITEMS_NAME = 'items';
export const SCORES_NAME = 'scores';

/** Names of the initializers: the weight from each item to each other; the popularity; 0. */
export const WEIGHTS_NAME = 'weights';
export const POPULARITY_NAME = 'popularity';
export const NOTHING_NAME = 'nothing';

/** Keys of the metadata entries: kind and parameters as a JSON object; ids and codes of the items as JSON arrays. */
export const ITEM_MODEL_KEY = 'item_model';
export const ITEM_IDS_KEY = 'item_ids';
export const ITEM_CODES_KEY = 'item_codes';

export const ITEM_MODEL_KINDS = ['ease', 'item-knn', 'most-popular'] as const;
export type ItemModelKind = (typeof ITEM_MODEL_KINDS)[number];

/** A node with what of it can be compared. */
export interface ItemNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Attributes by name: a whole number, or a list of them. */
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}

/**
 * The nodes of a model. Popularity is for everybody where there is nothing else; else it is for rows without any item, and others
 * have the sum of their items' weights.
 */
export function itemNodes(kind: ItemModelKind): readonly ItemNode[] {
  if (kind === 'most-popular') {
    return [
      { operator: 'Shape', inputs: [ITEMS_NAME], output: 'shape', attributes: {} },
      { operator: 'Expand', inputs: [POPULARITY_NAME, 'shape'], output: SCORES_NAME, attributes: {} },
    ];
  }
  return [
    { operator: 'MatMul', inputs: [ITEMS_NAME, WEIGHTS_NAME], output: 'sums', attributes: {} },
    {
      operator: 'ReduceMax',
      inputs: [ITEMS_NAME],
      output: 'most',
      attributes: { axes: [1], keepdims: 1 },
    },
    { operator: 'Greater', inputs: ['most', NOTHING_NAME], output: 'known', attributes: {} },
    { operator: 'Where', inputs: ['known', 'sums', POPULARITY_NAME], output: SCORES_NAME, attributes: {} },
  ];
}
