import type { UserItems } from '../recommend/interactions.ts';
import { checkUserItems } from '../recommend/interactions.ts';
import { MalformedModel, UnsupportedGraph } from './errors.ts';
import {
  ITEM_CODES_KEY,
  ITEM_IDS_KEY,
  ITEM_MODEL_KEY,
  ITEM_MODEL_KINDS,
  type ItemModelKind,
  type ItemNode,
  itemNodes,
  ITEMS_NAME,
  NOTHING_NAME,
  POPULARITY_NAME,
  SCORES_NAME,
  WEIGHTS_NAME,
} from './items-form.ts';
import { type ItemWeights, denseWeights, noWeights, sparseWeights } from './item-weights.ts';
import { INPUT_COLUMNS_MAX, READ_LIMITS, type ReadLimits } from './limits.ts';
import { readModel } from './read-model.ts';
import {
  DATA_TYPE,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
  OPSET_VERSION,
} from './schema.ts';

/** A model of items that is evaluated in process. */
export interface ItemModel {
  readonly kind: ItemModelKind;
  /** What the file says of how it was made: `lambda`, `k`. */
  readonly parameters: Readonly<Record<string, number>>;
  readonly itemCount: number;
  /** Name of each item by its index. */
  readonly itemIds: readonly string[];
  /** Code of each item by its index. */
  readonly codes: Float64Array;
  /** What {@link ItemModel.score} gives to a user without items. */
  readonly popularity: Float32Array;
  /** The index of an item by its id; undefined when the model does not know it. */
  indexOf(id: string): number | undefined;
  /** The items of a user by their codes, with a weight for each where there are any. Each code comes once. */
  itemsOf(codes: ArrayLike<number>, weights?: ArrayLike<number>): KnownItems;
  /**
   * A score for each item, those of the user included; higher means more likely wanted. It is the sum, in float64 from 0 and in the
   * order of the user's items, of the item's weight times the float32 weight from that item to the scored one; without items
   * it is the popularity. The same items and weights give the same bits in every call.
   *
   * @throws RangeError on items that are not indices of the model in ascending order, or weights out of range.
   */
  score(items: ArrayLike<number>, weights?: ArrayLike<number>): Float64Array;
  /** The weight from an item to another by their indices: how much the one says for the other. 0 where it says nothing. */
  weight(from: number, to: number): number;
}

/** Items of a user that a model knows. */
export interface KnownItems {
  /** Indices, ascending. */
  readonly items: Uint32Array;
  /** One for each item, in float32 as the model's input is; undefined when none were given. */
  readonly weights: Float32Array | undefined;
  /** Codes that the model does not know. */
  readonly unknown: number;
}

/**
 * Reads an item model that `encodeItemModel` wrote, from bytes that need not be trusted.
 *
 * @param limits default {@link READ_LIMITS}
 * @throws MalformedModel when the bytes are no ONNX model, a part of one, or beyond `limits`.
 * @throws UnsupportedGraph when it is a model of another form, or its parts contradict each other.
 */
export function loadItemModel(bytes: Uint8Array, limits: ReadLimits = READ_LIMITS): ItemModel {
  const model = readModel(bytes, limits);
  const { kind, parameters } = aboutOf(model);
  requireForm(model, kind);
  const itemCount = itemCountOf(model.graph);
  const itemIds = listOf(model, ITEM_IDS_KEY, itemCount, isId);
  const codes = Float64Array.from(listOf(model, ITEM_CODES_KEY, itemCount, isCode));
  const popularity = floatsOf(model.graph.initializers.get(POPULARITY_NAME), [1, itemCount], POPULARITY_NAME);
  const weights = weightsOf(model.graph, kind, itemCount);
  const byId = distinct(itemIds, 'ids');
  const byCode = distinct(codes, 'codes');
  return {
    kind,
    parameters,
    itemCount,
    itemIds,
    codes,
    popularity,
    indexOf: (id) => byId.get(id),
    itemsOf: (given, counts) => knownItems(byCode, given, counts),
    score(items, counts) {
      const given: UserItems = { items, ...(counts === undefined ? {} : { weights: counts }) };
      checkUserItems(given, itemCount);
      const isCold = items.length === 0 || kind === 'most-popular';
      return isCold ? Float64Array.from(popularity) : weights.sum(items, counts);
    },
    weight: (from, to) => weights.at(from, to),
  };
}

function knownItems(
  byCode: ReadonlyMap<number, number>,
  codes: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
): KnownItems {
  if (weights !== undefined && weights.length !== codes.length) {
    throw new RangeError(`There are ${codes.length} codes but ${weights.length} weights`);
  }
  const found = new Map<number, number>();
  let unknown = 0;
  for (let place = 0; place < codes.length; place += 1) {
    const item = byCode.get(codes[place] as number);
    if (item === undefined) unknown += 1;
    else if (found.has(item)) throw new RangeError(`The code ${codes[place]} comes twice`);
    else found.set(item, weights?.[place] ?? 1);
  }
  const items = Uint32Array.from(found.keys()).sort();
  const counts = weights && Float32Array.from(items, (item) => found.get(item) as number);
  return { items, weights: counts, unknown };
}

function aboutOf(model: OnnxModel): Pick<ItemModel, 'kind' | 'parameters'> {
  const about = jsonOf(model, ITEM_MODEL_KEY) as Partial<Record<'kind' | 'parameters', unknown>> | null;
  const kind = ITEM_MODEL_KINDS.find((known) => known === about?.kind);
  const parameters = about?.parameters;
  const isSound =
    typeof parameters === 'object' &&
    parameters !== null &&
    Object.values(parameters).every((value) => typeof value === 'number');
  if (kind === undefined || !isSound) {
    throw new UnsupportedGraph(
      `The metadata ${ITEM_MODEL_KEY} must be a kind (${ITEM_MODEL_KINDS.join(', ')}) and numbers as parameters`,
    );
  }
  return { kind, parameters: parameters as Readonly<Record<string, number>> };
}

function requireForm({ graph, opsets }: OnnxModel, kind: ItemModelKind): void {
  const version = opsets.get('');
  if (version !== OPSET_VERSION) {
    throw new UnsupportedGraph(
      `The operator set ai.onnx must have version ${OPSET_VERSION}, not ${version ?? 'none'}`,
    );
  }
  const wanted = itemNodes(kind);
  const isSame =
    graph.nodes.length === wanted.length && wanted.every((node, place) => isNode(graph.nodes[place], node));
  if (!isSame) {
    const found = graph.nodes.map(({ operator }) => operator).join(', ');
    const names = wanted.map(({ operator }) => operator).join(', ');
    throw new UnsupportedGraph(
      `An item model of kind ${kind} has the nodes ${names}, wired in one way, not ${found}`,
    );
  }
  const [input, output] = [graph.inputs[0], graph.outputs[0]];
  if (
    graph.inputs.length !== 1 ||
    input?.name !== ITEMS_NAME ||
    graph.outputs.length !== 1 ||
    output?.name !== SCORES_NAME
  ) {
    throw new UnsupportedGraph(`An item model has one input, ${ITEMS_NAME}, and one output, ${SCORES_NAME}`);
  }
}

function isNode(found: OnnxNode | undefined, wanted: ItemNode): boolean {
  const names = Object.keys(wanted.attributes);
  return (
    found?.operator === wanted.operator &&
    found.inputs.join('\n') === wanted.inputs.join('\n') &&
    found.outputs.join('\n') === wanted.output &&
    found.attributes.size === names.length &&
    names.every((name) => isAttribute(found.attributes.get(name), wanted.attributes[name]))
  );
}

function isAttribute(
  found: OnnxAttribute | undefined,
  wanted: number | readonly number[] | undefined,
): boolean {
  if (found === undefined || wanted === undefined) return false;
  return typeof wanted === 'number' ? found.integer === wanted : found.integers.join() === wanted.join();
}

function itemCountOf({ inputs, outputs }: OnnxGraph): number {
  const counts = [inputs[0], outputs[0]].map((value) => columnsOf(value));
  const [count] = counts;
  if (count === undefined || count !== counts[1] || count < 1 || count > INPUT_COLUMNS_MAX) {
    throw new UnsupportedGraph(
      `Input and output must be float32 [n, items] of 1 to ${INPUT_COLUMNS_MAX} items, not of ${counts.join(' and ')}`,
    );
  }
  return count;
}

function columnsOf(value: OnnxValue | undefined): number | undefined {
  const columns = value?.dimensions[1];
  const isTable = value?.elementType === DATA_TYPE.float && value.dimensions.length === 2;
  return isTable && typeof columns === 'number' ? columns : undefined;
}

function weightsOf(graph: OnnxGraph, kind: ItemModelKind, itemCount: number): ItemWeights {
  if (kind === 'most-popular') return noWeights(itemCount);
  const [nothing] = floatsOf(graph.initializers.get(NOTHING_NAME), [], NOTHING_NAME);
  if (nothing !== 0) throw new UnsupportedGraph(`The initializer ${NOTHING_NAME} must be 0, not ${nothing}`);
  const shape = [itemCount, itemCount];
  const sparse = graph.sparseInitializers.get(WEIGHTS_NAME);
  const isTwice = sparse !== undefined && graph.initializers.has(WEIGHTS_NAME);
  if (isTwice) throw new UnsupportedGraph(`The initializer ${WEIGHTS_NAME} comes twice`);
  if (sparse === undefined) {
    return denseWeights(floatsOf(graph.initializers.get(WEIGHTS_NAME), shape, WEIGHTS_NAME), itemCount);
  }
  if (sparse.dimensions.join() !== shape.join()) {
    throw new UnsupportedGraph(`The weights must have the shape [${shape.join(', ')}]`);
  }
  const count = sparse.values.dimensions[0] ?? 0;
  const values = floatsOf(sparse.values, [count], WEIGHTS_NAME);
  return sparseWeights(placesOf(sparse.indices, count), values, itemCount);
}

/** The places of sparse weights; that they ascend and lie in the matrix is for whoever takes them. */
function placesOf({ dataType, dimensions, rawData }: OnnxTensor, count: number): Float64Array {
  const isSound = dataType === DATA_TYPE.integer && dimensions.length === 1 && dimensions[0] === count;
  if (!isSound || rawData?.length !== count * 8) {
    throw new UnsupportedGraph(
      `The places of the weights must be an int64 tensor of shape [${count}] as raw data`,
    );
  }
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  const places = new Float64Array(count);
  for (let entry = 0; entry < count; entry += 1) {
    // Larger ones are no safe integers: they lie beyond every matrix.
    places[entry] = view.getInt32(entry * 8 + 4, true) * 2 ** 32 + view.getUint32(entry * 8, true);
  }
  return places;
}

function floatsOf(tensor: OnnxTensor | undefined, shape: readonly number[], name: string): Float32Array {
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  const { dataType, dimensions, rawData } = tensor ?? {};
  if (dataType !== DATA_TYPE.float || dimensions?.join() !== shape.join() || rawData?.length !== count * 4) {
    throw new UnsupportedGraph(
      `"${name}" must be a float32 tensor of shape [${shape.join(', ')}] as raw data`,
    );
  }
  const values = new Float32Array(count);
  const isLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  if (isLittle) {
    new Uint8Array(values.buffer).set(rawData);
  } else {
    const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
    for (let index = 0; index < count; index += 1) values[index] = view.getFloat32(index * 4, true);
  }
  for (let index = 0; index < count; index += 1) {
    if (!Number.isFinite(values[index]))
      throw new UnsupportedGraph(`"${name}" must consist of finite numbers`);
  }
  return values;
}

function jsonOf(model: OnnxModel, key: string): unknown {
  const written = model.metadata.get(key);
  if (written === undefined) throw new UnsupportedGraph(`There is no metadata ${key}: it is no item model`);
  try {
    return JSON.parse(written);
  } catch (cause) {
    throw new MalformedModel(`The metadata ${key} is no JSON`, { cause });
  }
}

function listOf<TEntry>(
  model: OnnxModel,
  key: string,
  count: number,
  isSound: (entry: unknown) => entry is TEntry,
): readonly TEntry[] {
  const list = jsonOf(model, key);
  if (!Array.isArray(list) || list.length !== count || !list.every(isSound)) {
    throw new UnsupportedGraph(
      `The metadata ${key} must be a JSON array of one sound entry for each of ${count} items`,
    );
  }
  return list;
}

const isId = (entry: unknown): entry is string => typeof entry === 'string' && entry.length > 0;
const isCode = (entry: unknown): entry is number => Number.isSafeInteger(entry) && Number(entry) >= 0;

function distinct<TName>(
  names: Iterable<TName> & { readonly length: number },
  what: string,
): Map<TName, number> {
  const places = new Map<TName, number>();
  for (const name of names) places.set(name, places.size);
  if (places.size !== names.length) throw new UnsupportedGraph(`Two items have the same of their ${what}`);
  return places;
}
