import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { attributeOf, inputOf, onlyAttributes, requireColumnAxis, textsOf } from './graph-reader.ts';
import { INPUT_COLUMNS_MAX } from './limits.ts';
import type { CategoryBlock, CodeBlock, EncoderBlock, NumberBlock } from './row-encoder.ts';
import type { OnnxNode } from './schema.ts';
import { CATEGORIES_NAME, DATA_TYPE, FEATURES_NAME, INPUT_NAME, ML_DOMAIN } from './schema.ts';

const LABEL_ENCODER = `${ML_DOMAIN}.LabelEncoder`;

/** Values in an input row: so many numbers and so many texts. */
export interface InputSizes {
  readonly numbers: number;
  readonly texts: number;
}

/** What a preprocessor does, read from its nodes. */
export interface CompiledPreprocessor {
  /** They stand side by side. */
  readonly blocks: readonly EncoderBlock[];
  /** For each feature the column of the blocks that it is. */
  readonly order: Float64Array;
  readonly nodeCount: number;
}

/**
 * @internal Reads the nodes that end in the value `features`.
 *
 * @throws UnsupportedGraph when they are others than `encodePipeline` writes.
 */
export function compilePreprocessor(reader: GraphReader, sizes: InputSizes): CompiledPreprocessor {
  const gather = reader.producer(FEATURES_NAME, 'Gather', 2);
  requireColumnAxis(gather);
  const concat = reader.source(inputOf(gather, 0));
  if (concat?.operator !== 'Concat' || concat.outputs.length !== 1 || concat.inputs.length < 1) {
    throw new UnsupportedGraph(`"${FEATURES_NAME}" must be columns of a Concat`, 'Gather');
  }
  requireColumnAxis(concat);
  const parts = new Parts(reader, sizes);
  let width = 0;
  const blocks = concat.inputs.map((value) => {
    const block = parts.blockOf(value);
    width += block.width;
    requireColumns(width);
    return block;
  });
  const order = reader.integers(inputOf(gather, 1), reader.lengthOf(inputOf(gather, 1)));
  requireColumns(order.length);
  if (order.length < 1 || !order.every((column) => column >= 0 && column < width)) {
    throw new UnsupportedGraph(`Gather must take some of the ${width} columns`, 'Gather');
  }
  return { blocks, order, nodeCount: parts.nodeCount + 2 };
}

/** Checked block by block: blocks that share their tables must not cost more than they make. */
function requireColumns(count: number): void {
  if (count > INPUT_COLUMNS_MAX) {
    throw new UnsupportedGraph(`A preprocessor makes ${INPUT_COLUMNS_MAX} columns at most, not ${count}`);
  }
}

/** Reads the blocks and counts their nodes, some of which two blocks share. */
class Parts {
  readonly #reader: GraphReader;
  readonly #sizes: InputSizes;
  readonly #seen = new Set<OnnxNode>();

  constructor(reader: GraphReader, sizes: InputSizes) {
    this.#reader = reader;
    this.#sizes = sizes;
  }

  get nodeCount(): number {
    return this.#seen.size;
  }

  blockOf(value: string): EncoderBlock {
    const node = this.#reader.source(value);
    if (node?.operator === LABEL_ENCODER) return this.#lookup(value);
    const inner = this.#cast(value, DATA_TYPE.float);
    switch (this.#reader.source(inner)?.operator ?? 'none') {
      case 'Div':
        return this.#numbers(inner);
      case 'IsNaN':
        return this.#indicators(inner);
      default:
        return this.#equal(inner);
    }
  }

  /** (x - mean) / scale, a missing x being the fill. */
  #numbers(value: string): NumberBlock {
    const div = this.#plain(value, 'Div', 2);
    const sub = this.#plain(inputOf(div, 0), 'Sub', 2);
    const where = this.#plain(inputOf(sub, 0), 'Where', 3);
    const isNaN = this.#plain(inputOf(where, 0), 'IsNaN', 1);
    const numbers = this.#cast(inputOf(where, 2), DATA_TYPE.double);
    if (inputOf(isNaN, 0) !== numbers) {
      throw new UnsupportedGraph('IsNaN must ask for the numbers that are filled', 'IsNaN');
    }
    const columns = this.#columns(numbers);
    const width = columns.length;
    const values = (name: string): Float64Array => this.#reader.doubles(name, [width]);
    const fills = values(inputOf(where, 1));
    const means = values(inputOf(sub, 1));
    const scales = values(inputOf(div, 1));
    return { kind: 'numbers', width, columns, fills, means, scales };
  }

  #indicators(value: string): EncoderBlock {
    const isNaN = this.#plain(value, 'IsNaN', 1);
    const columns = this.#columns(inputOf(isNaN, 0));
    return { kind: 'indicators', width: columns.length, columns };
  }

  #columns(value: string): Float64Array {
    const gather = this.#node(value, 'Gather', 2);
    requireColumnAxis(gather);
    const name = inputOf(gather, 1);
    const columns = this.#reader.integers(name, this.#reader.lengthOf(name));
    const { numbers } = this.#sizes;
    const sound = columns.length > 0 && columns.every((column) => column >= 0 && column < numbers);
    if (inputOf(gather, 0) !== INPUT_NAME || !sound) {
      throw new UnsupportedGraph(`Gather must read some of the ${numbers} numbers`, 'Gather');
    }
    return columns;
  }

  #textColumn(value: string): number {
    const gather = this.#node(value, 'Gather', 2);
    requireColumnAxis(gather);
    const column = this.#reader.integer(inputOf(gather, 1));
    const { texts } = this.#sizes;
    if (inputOf(gather, 0) !== CATEGORIES_NAME || !(column >= 0 && column < texts)) {
      throw new UnsupportedGraph(`Gather must read one of the ${texts} texts, not ${column}`, 'Gather');
    }
    return column;
  }

  /** One number for each text. */
  #lookup(value: string): CategoryBlock {
    const encoder = this.#node(value, LABEL_ENCODER, 1);
    onlyAttributes(encoder, ['keys_strings', 'values_floats', 'default_float']);
    const { floats } = attributeOf(encoder, 'values_floats');
    const otherwise = attributeOf(encoder, 'default_float').float ?? Number.NaN;
    const values = keyed(encoder, floats);
    if (!floats.every(Number.isFinite) || !Number.isFinite(otherwise)) {
      throw new UnsupportedGraph('LabelEncoder must give finite numbers', LABEL_ENCODER);
    }
    return { kind: 'lookup', width: 1, column: this.#textColumn(inputOf(encoder, 0)), values, otherwise };
  }

  #equal(value: string): EncoderBlock {
    const equal = this.#plain(value, 'Equal', 2);
    const { operator } = this.#reader.source(inputOf(equal, 0)) ?? { operator: 'none' };
    return operator === LABEL_ENCODER ? this.#oneHot(equal) : this.#codes(equal);
  }

  /** 1 for each number that is one of the codes. */
  #codes(equal: OnnxNode): CodeBlock {
    const columns = this.#columns(this.#cast(inputOf(equal, 0), DATA_TYPE.double));
    const codes = this.#reader.doubles(inputOf(equal, 1), [columns.length]);
    return { kind: 'codes', width: columns.length, columns, codes };
  }

  /** One column for each number that a text may have; another number is that of none. */
  #oneHot(equal: OnnxNode): CategoryBlock {
    const encoder = this.#node(inputOf(equal, 0), LABEL_ENCODER, 1);
    onlyAttributes(encoder, ['keys_strings', 'values_int64s', 'default_int64']);
    const width = this.#reader.lengthOf(inputOf(equal, 1));
    const codes = this.#reader.integers(inputOf(equal, 1), width);
    const { integers } = attributeOf(encoder, 'values_int64s');
    const otherwise = attributeOf(encoder, 'default_int64').integer;
    const sound =
      width > 0 &&
      codes.every((code, index) => code === index) &&
      integers.every((code) => code >= 0 && code < width) &&
      otherwise === width;
    if (!sound) {
      throw new UnsupportedGraph('Equal must compare numbers of categories with all of these', 'Equal');
    }
    const values = keyed(encoder, integers);
    return { kind: 'one-hot', width, column: this.#textColumn(inputOf(encoder, 0)), values, otherwise };
  }

  #cast(value: string, type: number): string {
    this.#node(value, 'Cast', 1);
    return this.#reader.castSource(value, type);
  }

  #plain(value: string, operator: string, inputCount: number): OnnxNode {
    const node = this.#node(value, operator, inputCount);
    onlyAttributes(node, []);
    return node;
  }

  #node(value: string, operator: string, inputCount: number): OnnxNode {
    const node = this.#reader.producer(value, operator, inputCount);
    // Its keys may be many, and are read for the one block that they belong to.
    if (operator === LABEL_ENCODER && this.#seen.has(node))
      throw new UnsupportedGraph('Two blocks read one LabelEncoder', LABEL_ENCODER);
    this.#seen.add(node);
    return node;
  }
}

/** The value of each key of a LabelEncoder. */
function keyed(encoder: OnnxNode, values: readonly number[]): ReadonlyMap<string, number> {
  const keys = textsOf(encoder, 'keys_strings');
  const map = new Map(keys.map((key, index) => [key, values[index] as number]));
  if (keys.length !== values.length || map.size !== keys.length) {
    throw new UnsupportedGraph('LabelEncoder must have different keys and a value for each', LABEL_ENCODER);
  }
  return map;
}
