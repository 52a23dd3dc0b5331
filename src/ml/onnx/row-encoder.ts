import type { Evaluator } from './compile-linear.ts';

/** Rows of numbers and texts. */
export interface MixedRows {
  /** Row after row; NaN is missing. Empty for a model that reads texts only. */
  readonly numbers: Float32Array;
  /** Row after row; null and the empty text both mean missing. */
  readonly categories: readonly (string | null)[];
}

/** Standardised numbers. */
export interface NumberBlock {
  readonly kind: 'numbers';
  /** Columns that the block makes. */
  readonly width: number;
  /** The input column of each. */
  readonly columns: Float64Array;
  /** NaN where a missing number stays missing. */
  readonly fills: Float64Array;
  readonly means: Float64Array;
  readonly scales: Float64Array;
}

/** 1 for each number that is missing. */
export interface IndicatorBlock {
  readonly kind: 'indicators';
  readonly width: number;
  readonly columns: Float64Array;
}

/** 1 for each number that is a certain code; there is a column for each code. */
export interface CodeBlock {
  readonly kind: 'codes';
  readonly width: number;
  /** The input column of each. */
  readonly columns: Float64Array;
  readonly codes: Float64Array;
}

/** Columns made of a text: its value, or 1 in the column that its value names. */
export interface CategoryBlock {
  readonly kind: 'lookup' | 'one-hot';
  readonly width: number;
  /** Place of the text in its row. */
  readonly column: number;
  readonly values: ReadonlyMap<string, number>;
  /** For texts that have no value; of a one-hot block the width, which is no column. */
  readonly otherwise: number;
}

export type EncoderBlock = NumberBlock | IndicatorBlock | CodeBlock | CategoryBlock;

/** Evaluates rows of numbers and texts; sizes are checked by the caller. */
export type MixedEvaluator = (input: MixedRows, rows: number, output: Float64Array) => void;

/** Makes the features of a model, row by row. */
export interface RowEncoder {
  /** Features of a row. */
  readonly width: number;
  /** The input that each feature is made of: its place among the numbers, or behind them among the texts. */
  readonly inputs: Int32Array;
  /** Writes the features of one row of the input. */
  encode(input: MixedRows, row: number, features: Float32Array): void;
}

/** Rows whose features are made before the model reads them. */
const BLOCK_ROWS = 64;

/** @internal What a preprocessor does to a row. */
export function rowEncoder(
  preprocessor: { readonly blocks: readonly EncoderBlock[]; readonly order: Float64Array },
  sizes: { readonly numbers: number; readonly texts: number },
): RowEncoder {
  const { blocks, order } = preprocessor;
  const width = blocks.reduce((sum, block) => sum + block.width, 0);
  const columns = new Float32Array(width);
  const sources = blocks.flatMap((block) =>
    'columns' in block
      ? Array.from(block.columns)
      : Array.from({ length: block.width }, () => sizes.numbers + block.column),
  );
  return {
    width: order.length,
    inputs: Int32Array.from(order, (column) => sources[column] as number),
    encode(input, row, features) {
      fillColumns(blocks, columns, { input, number: row * sizes.numbers, text: row * sizes.texts });
      for (let feature = 0; feature < order.length; feature += 1) {
        features[feature] = columns[order[feature] as number] as number;
      }
    },
  };
}

/**
 * @internal Puts a preprocessor before a model: makes the features of some rows, then their answers.
 *
 * @param model what evaluates features, and how many answers a row has
 */
export function preprocessed(
  encoder: RowEncoder,
  model: { readonly evaluate: Evaluator; readonly outputCount: number },
): MixedEvaluator {
  const { width } = encoder;
  const features = new Float32Array(BLOCK_ROWS * width);
  const places = Array.from({ length: BLOCK_ROWS }, (_, row) =>
    features.subarray(row * width, (row + 1) * width),
  );
  return (input, rows, output) => {
    for (let start = 0; start < rows; start += BLOCK_ROWS) {
      const count = Math.min(rows - start, BLOCK_ROWS);
      for (let row = 0; row < count; row += 1) {
        encoder.encode(input, start + row, places[row] as Float32Array);
      }
      model.evaluate(features, count, output.subarray(start * model.outputCount));
    }
  };
}

/** Where a row begins. */
interface RowPlace {
  readonly input: MixedRows;
  readonly number: number;
  readonly text: number;
}

function fillColumns(blocks: readonly EncoderBlock[], columns: Float32Array, row: RowPlace): void {
  let at = 0;
  for (const block of blocks) {
    switch (block.kind) {
      case 'numbers':
        fillNumbers(block, columns, { at, row });
        break;
      case 'indicators':
        for (let index = 0; index < block.width; index += 1) {
          const value = row.input.numbers[row.number + (block.columns[index] as number)] as number;
          columns[at + index] = Number.isNaN(value) ? 1 : 0;
        }
        break;
      case 'codes':
        for (let index = 0; index < block.width; index += 1) {
          const value = row.input.numbers[row.number + (block.columns[index] as number)] as number;
          columns[at + index] = value === block.codes[index] ? 1 : 0;
        }
        break;
      case 'lookup':
        columns[at] = valueOf(block, row);
        break;
      case 'one-hot': {
        columns.fill(0, at, at + block.width);
        const value = valueOf(block, row);
        if (value < block.width) columns[at + value] = 1;
      }
    }
    at += block.width;
  }
}

function fillNumbers(
  block: NumberBlock,
  columns: Float32Array,
  place: { readonly at: number; readonly row: RowPlace },
): void {
  const { fills, means, scales } = block;
  const { input, number } = place.row;
  for (let index = 0; index < block.width; index += 1) {
    const value = input.numbers[number + (block.columns[index] as number)] as number;
    const filled = Number.isNaN(value) ? (fills[index] as number) : value;
    columns[place.at + index] = (filled - (means[index] as number)) / (scales[index] as number);
  }
}

function valueOf(block: CategoryBlock, { input, text }: RowPlace): number {
  return block.values.get(input.categories[text + block.column] ?? '') ?? block.otherwise;
}
