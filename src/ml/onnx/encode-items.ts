import type { EaseModel } from '../recommend/ease.ts';
import { ID_LENGTH_MAX } from '../recommend/id-table.ts';
import type { ItemKnnModel } from '../recommend/item-knn.ts';
import type { MostPopularModel } from '../recommend/most-popular.ts';
import { encodeNode, encodeValue, integerAttribute, integersAttribute } from './encode-model.ts';
import {
  ITEM_CODES_KEY,
  ITEM_IDS_KEY,
  ITEM_MODEL_KEY,
  type ItemNode,
  itemNodes,
  ITEMS_NAME,
  NOTHING_NAME,
  POPULARITY_NAME,
  SCORES_NAME,
  WEIGHTS_NAME,
} from './items-form.ts';
import { INPUT_COLUMNS_MAX, READ_LIMITS } from './limits.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import {
  DATA_TYPE,
  ENTRY,
  GRAPH,
  IR_VERSION,
  MODEL,
  OPSET,
  OPSET_VERSION,
  SPARSE,
  TENSOR,
} from './schema.ts';

/** A model whose scores are sums over the user's items. Alternating least squares is none: it solves for each user anew. */
export type ItemModelToEncode = EaseModel | ItemKnnModel | MostPopularModel;

/** What a file says of the items beside the model, one entry for each item in the order of their indices. */
export interface ItemsToEncode {
  /** Name of each item outside. */
  readonly ids: readonly string[];
  /** A whole number of 0 or more that stands for the id where only numbers can be kept. */
  readonly codes: ArrayLike<number>;
  /** Scores for a user without items: finite numbers. */
  readonly popularity: ArrayLike<number>;
  /** Facts by name, such as lambda, for whoever reads the file. */
  readonly parameters?: Readonly<Record<string, number>>;
}

/**
 * Writes an item model as ONNX: input `items` float32 [n, items], the weight of each of the user's items and 0 elsewhere; output
 * `scores` float32 [n, items]. A row's scores are `items x B`, B[i][j] being the weight from item i to item j in float32; for a row
 * of zeros they are the popularity. Nearest neighbours are written as a sparse tensor when that is smaller. Equal models give
 * equal bytes.
 *
 * @throws RangeError when the parts are not of as many items, when ids or codes are unsound or come twice, when numbers are not
 *   finite in float32, or when the file would be larger than what is read ({@link READ_LIMITS}).
 */
export function encodeItemModel(model: ItemModelToEncode, items: ItemsToEncode): Uint8Array<ArrayBuffer> {
  const itemCount = itemsIn(model);
  checkItems(items, itemCount);
  const graph = new ProtobufWriter();
  for (const node of itemNodes(model.kind)) graph.bytes(GRAPH.node, encodeNode(toEncode(node)));
  graph
    .bytes(GRAPH.name, model.kind)
    .bytes(GRAPH.input, encodeValue(ITEMS_NAME, itemCount, DATA_TYPE.float))
    .bytes(GRAPH.output, encodeValue(SCORES_NAME, itemCount, DATA_TYPE.float))
    .bytes(GRAPH.initializer, floatTensor(POPULARITY_NAME, [1, itemCount], floats(items.popularity)));
  if (model.kind === 'most-popular') return joined(model, items, graph);
  graph.bytes(GRAPH.initializer, floatTensor(NOTHING_NAME, [], new Float32Array(1)));
  if (model.kind === 'ease') return dense(model, items, { graph, weights: easeWeights(model) });
  const rows = neighbourRows(model);
  // A weight takes four bytes, its place eight.
  if (rows.weights.length * 3 >= itemCount * itemCount) {
    return dense(model, items, { graph, weights: spread(rows, itemCount) });
  }
  graph.bytes(GRAPH.sparseInitializer, sparseTensor(rows, itemCount));
  return joined(model, items, graph);
}

function itemsIn(model: ItemModelToEncode): number {
  return model.kind === 'most-popular' ? model.popularity.length : model.itemCount;
}

interface DenseGraph {
  readonly graph: ProtobufWriter;
  readonly weights: Float32Array<ArrayBuffer>;
}

/** The weights come last in the file, so that they are copied once. */
function dense(
  model: ItemModelToEncode,
  items: ItemsToEncode,
  { graph, weights }: DenseGraph,
): Uint8Array<ArrayBuffer> {
  const itemCount = itemsIn(model);
  const bytes = littleEndian(weights);
  const tensor = new ProtobufWriter()
    .integers(TENSOR.dimensions, [itemCount, itemCount])
    .integer(TENSOR.dataType, DATA_TYPE.float)
    .bytes(TENSOR.name, WEIGHTS_NAME)
    .head(TENSOR.rawData, bytes.length)
    .finish();
  graph.head(GRAPH.initializer, tensor.length + bytes.length);
  return joined(model, items, graph, [tensor, bytes]);
}

/** The file: what is said of it, then the graph, of which `rest` is the end. */
function joined(
  model: ItemModelToEncode,
  items: ItemsToEncode,
  graph: ProtobufWriter,
  rest: readonly Uint8Array[] = [],
): Uint8Array<ArrayBuffer> {
  const opset = new ProtobufWriter().bytes(OPSET.domain, '').integer(OPSET.version, OPSET_VERSION);
  const head = new ProtobufWriter()
    .integer(MODEL.irVersion, IR_VERSION)
    .bytes(MODEL.producerName, 'tandem')
    .bytes(MODEL.opsetImport, opset);
  const metadata = [
    [ITEM_MODEL_KEY, { kind: model.kind, parameters: items.parameters ?? {} }],
    [ITEM_IDS_KEY, items.ids],
    [ITEM_CODES_KEY, Array.from(items.codes)],
  ] as const;
  for (const [key, value] of metadata) {
    const entry = new ProtobufWriter().bytes(ENTRY.key, key).bytes(ENTRY.value, JSON.stringify(value));
    head.bytes(MODEL.metadata, entry);
  }
  const parts = [graph.finish(), ...rest];
  const graphBytes = parts.reduce((sum, { length }) => sum + length, 0);
  const written = [head.head(MODEL.graph, graphBytes).finish(), ...parts];
  const length = written.reduce((sum, part) => sum + part.length, 0);
  if (length > READ_LIMITS.bytesMax) {
    throw new RangeError(
      `The file would have ${length} bytes, ${READ_LIMITS.bytesMax} at most are read: keep fewer items`,
    );
  }
  const file = new Uint8Array(length);
  let at = 0;
  for (const part of written) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

function toEncode({ operator, inputs, output, attributes }: ItemNode): Parameters<typeof encodeNode>[0] {
  return {
    operator,
    inputs,
    output,
    attributes: Object.entries(attributes).map(([name, value]) =>
      typeof value === 'number' ? integerAttribute(name, value) : integersAttribute(name, value),
    ),
  };
}

/** As `easeWeights` of the model, in float32, without a second matrix of float64. */
function easeWeights({ itemCount, inverse }: EaseModel): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(itemCount * itemCount);
  const diagonal = Float64Array.from(
    { length: itemCount },
    (_, item) => inverse[item * itemCount + item] as number,
  );
  for (let from = 0; from < itemCount; from += 1) {
    const start = from * itemCount;
    for (let to = 0; to < itemCount; to += 1) {
      weights[start + to] = 0 - (inverse[start + to] as number) / (diagonal[to] as number);
    }
    weights[start + from] = 0;
  }
  requireFinite(weights, 'weight');
  return weights;
}

/** The weights of a sparse matrix, row by row: a weight from each neighbour to the item whose neighbour it is. */
interface NeighbourRows {
  /** Place of each weight in the matrix written row by row, ascending. */
  readonly places: Float64Array;
  readonly weights: Float32Array<ArrayBuffer>;
}

function neighbourRows({ itemCount, k, neighbours, similarities }: ItemKnnModel): NeighbourRows {
  const starts = new Int32Array(itemCount + 1);
  for (const neighbour of neighbours)
    if (neighbour >= 0) starts[neighbour + 1] = (starts[neighbour + 1] as number) + 1;
  for (let item = 0; item < itemCount; item += 1) {
    starts[item + 1] = (starts[item + 1] as number) + (starts[item] as number);
  }
  const count = starts[itemCount] as number;
  const places = new Float64Array(count);
  const weights = new Float32Array(count);
  for (let place = 0; place < neighbours.length; place += 1) {
    const from = neighbours[place] as number;
    if (from < 0) continue;
    const entry = starts[from] as number;
    starts[from] = entry + 1;
    places[entry] = from * itemCount + Math.floor(place / k);
    weights[entry] = similarities[place] as number;
  }
  requireFinite(weights, 'similarity');
  return { places, weights };
}

function spread({ places, weights }: NeighbourRows, itemCount: number): Float32Array<ArrayBuffer> {
  const matrix = new Float32Array(itemCount * itemCount);
  places.forEach((place, entry) => (matrix[place] = weights[entry] as number));
  return matrix;
}

function sparseTensor({ places, weights }: NeighbourRows, itemCount: number): ProtobufWriter {
  const raw = new Uint8Array(places.length * 8);
  const view = new DataView(raw.buffer);
  places.forEach((place, entry) => view.setBigInt64(entry * 8, BigInt(place), true));
  const indices = new ProtobufWriter()
    .integers(TENSOR.dimensions, [places.length])
    .integer(TENSOR.dataType, DATA_TYPE.integer)
    .bytes(TENSOR.name, `${WEIGHTS_NAME}_places`)
    .bytes(TENSOR.rawData, raw);
  return new ProtobufWriter()
    .bytes(SPARSE.values, floatTensor(WEIGHTS_NAME, [weights.length], weights))
    .bytes(SPARSE.indices, indices)
    .integers(SPARSE.dimensions, [itemCount, itemCount]);
}

function floatTensor(
  name: string,
  dimensions: readonly number[],
  values: Float32Array<ArrayBuffer>,
): ProtobufWriter {
  return new ProtobufWriter()
    .integers(TENSOR.dimensions, dimensions)
    .integer(TENSOR.dataType, DATA_TYPE.float)
    .bytes(TENSOR.name, name)
    .bytes(TENSOR.rawData, littleEndian(values));
}

/** The bytes of the values: of the array itself, but where the machine has the other order. */
function littleEndian(values: Float32Array<ArrayBuffer>): Uint8Array {
  const isLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  if (isLittle) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = new Uint8Array(values.byteLength);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return bytes;
}

function floats(values: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const narrow = Float32Array.from(values);
  requireFinite(narrow, 'popularity');
  return narrow;
}

function requireFinite(values: Float32Array, what: string): void {
  for (let index = 0; index < values.length; index += 1) {
    if (Number.isFinite(values[index])) continue;
    throw new RangeError(`The ${what} at ${index} must be finite in float32, not ${values[index]}`);
  }
}

function checkItems({ ids, codes, popularity }: ItemsToEncode, itemCount: number): void {
  if (itemCount < 1 || itemCount > INPUT_COLUMNS_MAX) {
    throw new RangeError(`An item model has 1 to ${INPUT_COLUMNS_MAX} items, not ${itemCount}`);
  }
  for (const [what, { length }] of [
    ['ids', ids],
    ['codes', codes],
    ['popularities', popularity],
  ] as const) {
    if (length !== itemCount) throw new RangeError(`The model has ${itemCount} items but ${length} ${what}`);
  }
  const seen = new Map<string | number, number>();
  for (let item = 0; item < itemCount; item += 1) {
    const id = ids[item] as string;
    const code = codes[item] as number;
    if (typeof id !== 'string' || id.length < 1 || id.length > ID_LENGTH_MAX) {
      throw new RangeError(`The id of item ${item} must be a text of 1 to ${ID_LENGTH_MAX} characters`);
    }
    if (!Number.isSafeInteger(code) || code < 0) {
      throw new RangeError(`The code of item ${item} must be a whole number of 0 or more, not ${code}`);
    }
    for (const name of [id, code]) {
      const other = seen.get(name);
      if (other !== undefined) {
        throw new RangeError(
          `Items ${other} and ${item} have the same ${name === id ? 'id' : 'code'}, ${name}`,
        );
      }
      seen.set(name, item);
    }
  }
}
