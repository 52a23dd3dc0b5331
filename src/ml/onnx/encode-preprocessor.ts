import type {
  CodesStep,
  NumericStep,
  OneHotStep,
  PreprocessorDescription,
  StepDescription,
  TargetStep,
} from '../preprocess/description.ts';
import type { GraphPart, NodeToEncode } from './encode-model.ts';
import {
  castNode,
  doubleTensor,
  floatAttribute,
  floatsAttribute,
  integerAttribute,
  integerTensor,
  integersAttribute,
  textsAttribute,
} from './encode-model.ts';
import type { ProtobufWriter } from './protobuf-writer.ts';
import { CATEGORIES_NAME, DATA_TYPE, FEATURES_NAME, INPUT_NAME, ML_DOMAIN } from './schema.ts';

/** The nodes of a preprocessor, which end in the value `features`, and what they read. */
export interface PreprocessorPart extends GraphPart {
  /** Columns of the float32 input, in the order of their first use. */
  readonly numbers: readonly string[];
  /** Columns of the text input. */
  readonly categories: readonly string[];
  readonly featureCount: number;
}

/** Collects the blocks that stand side by side before the last node puts their columns in order. */
interface Blocks {
  readonly nodes: NodeToEncode[];
  readonly initializers: ProtobufWriter[];
  readonly values: string[];
  /** Columns of all blocks so far. */
  width: number;
}

/**
 * @internal The nodes of a preprocessor. All numeric columns go through the same nodes, side by side, in
 * float64. Each categorical column is looked up by LabelEncoder, which compares bytes and needs no locale;
 * the empty text is the missing category. A one-hot encoding compares the number of the category with all. Codes
 * are numbers already: all columns of them are compared side by side.
 *
 * @throws RangeError when there are no output columns, or a category has a lone surrogate or a zero in it.
 */
export function preprocessorPart({ steps }: PreprocessorDescription): PreprocessorPart {
  const isNumber = ({ kind }: StepDescription): boolean => kind === 'numeric' || kind === 'codes';
  const numbers = [...new Set(steps.filter(isNumber).map(({ column }) => column))];
  const categories = [...new Set(steps.filter((step) => !isNumber(step)).map(({ column }) => column))];
  const blocks: Blocks = { nodes: [], initializers: [], values: [], width: 0 };
  const numeric = steps.filter((step) => step.kind === 'numeric');
  const first = numericBlocks(numeric, numbers, blocks);
  const coded = steps.filter((step) => step.kind === 'codes');
  let nextCode = codesBlock(coded, numbers, blocks);
  const order: number[] = [];
  let numericSeen = 0;
  steps.forEach((step, index) => {
    if (step.kind === 'numeric') {
      order.push(first.values + numericSeen);
      if (step.indicator) order.push(first.missing + numericSeen);
      numericSeen += 1;
      return;
    }
    if (step.kind === 'codes') {
      step.categories.forEach((_, code) => order.push(nextCode + code));
      nextCode += step.categories.length;
      return;
    }
    const start = blocks.width;
    categoricalBlocks(step, { index, column: categories.indexOf(step.column) }, blocks);
    for (let at = start; at < blocks.width; at += 1) order.push(at);
  });
  if (order.length === 0) throw new RangeError('A preprocessor without output columns cannot be written');
  const axis = [integerAttribute('axis', 1)];
  return {
    numbers,
    categories,
    featureCount: order.length,
    nodes: [
      ...blocks.nodes,
      { operator: 'Concat', inputs: blocks.values, output: 'columns', attributes: axis },
      { operator: 'Gather', inputs: ['columns', 'order'], output: FEATURES_NAME, attributes: axis },
    ],
    initializers: [...blocks.initializers, integerTensor('order', [order.length], order)],
  };
}

/** The standardised numbers of all numeric steps and, when a step wants them, whether each is missing. */
function numericBlocks(
  steps: readonly NumericStep[],
  numbers: readonly string[],
  blocks: Blocks,
): { readonly values: number; readonly missing: number } {
  const count = steps.length;
  if (count === 0) return { values: 0, missing: 0 };
  blocks.nodes.push(
    {
      operator: 'Gather',
      inputs: [INPUT_NAME, 'number_columns'],
      output: 'numbers',
      attributes: [integerAttribute('axis', 1)],
    },
    { operator: 'IsNaN', inputs: ['numbers'], output: 'number_missing' },
    castNode('numbers', 'wide_numbers', DATA_TYPE.double),
    { operator: 'Where', inputs: ['number_missing', 'fills', 'wide_numbers'], output: 'filled_numbers' },
    { operator: 'Sub', inputs: ['filled_numbers', 'number_means'], output: 'centred_numbers' },
    { operator: 'Div', inputs: ['centred_numbers', 'number_scales'], output: 'scaled_numbers' },
    castNode('scaled_numbers', 'number_features', DATA_TYPE.float),
  );
  const column = (of: (step: NumericStep) => number): number[] => steps.map(of);
  blocks.initializers.push(
    integerTensor(
      'number_columns',
      [count],
      column((step) => numbers.indexOf(step.column)),
    ),
    doubleTensor(
      'fills',
      [count],
      column((step) => step.fill ?? Number.NaN),
    ),
    doubleTensor(
      'number_means',
      [count],
      column((step) => step.mean),
    ),
    doubleTensor(
      'number_scales',
      [count],
      column((step) => step.scale),
    ),
  );
  const values = addBlock(blocks, 'number_features', count);
  if (!steps.some((step) => step.indicator)) return { values, missing: values };
  blocks.nodes.push(castNode('number_missing', 'number_indicators', DATA_TYPE.float));
  return { values, missing: addBlock(blocks, 'number_indicators', count) };
}

/** Whether each number is each of its codes; gives the place of the first column. */
function codesBlock(steps: readonly CodesStep[], numbers: readonly string[], blocks: Blocks): number {
  const columns = steps.flatMap(({ column, categories }) => categories.map(() => numbers.indexOf(column)));
  const codes = steps.flatMap(({ categories }) => categories.map((_, code) => code));
  if (codes.length === 0) return blocks.width;
  blocks.nodes.push(
    {
      operator: 'Gather',
      inputs: [INPUT_NAME, 'code_columns'],
      output: 'codes',
      attributes: [integerAttribute('axis', 1)],
    },
    castNode('codes', 'wide_codes', DATA_TYPE.double),
    { operator: 'Equal', inputs: ['wide_codes', 'known_codes'], output: 'equal_codes' },
    castNode('equal_codes', 'code_features', DATA_TYPE.float),
  );
  blocks.initializers.push(
    integerTensor('code_columns', [columns.length], columns),
    doubleTensor('known_codes', [codes.length], codes),
  );
  return addBlock(blocks, 'code_features', codes.length);
}

function categoricalBlocks(
  step: OneHotStep | TargetStep,
  place: { readonly index: number; readonly column: number },
  blocks: Blocks,
): void {
  const { index, column } = place;
  const { categories, indicator } = step;
  requireWritable(step);
  const isOneHot = step.kind === 'one-hot' && categories.length > 0;
  if (!isOneHot && step.kind !== 'target' && !indicator) return;
  blocks.initializers.push(integerTensor(`text_column_${index}`, [1], [column]));
  blocks.nodes.push({
    operator: 'Gather',
    inputs: [CATEGORIES_NAME, `text_column_${index}`],
    output: `text_${index}`,
    attributes: [integerAttribute('axis', 1)],
  });
  if (step.kind === 'target') {
    const known = step.fill === null ? -1 : categories.indexOf(step.fill);
    const keys = ['', ...categories];
    const values = [known < 0 ? step.otherwise : (step.values[known] as number), ...step.values];
    const lookup = { text: `text_${index}`, output: `mean_${index}`, keys };
    blocks.nodes.push(floatLookup(lookup, values, step.otherwise));
    addBlock(blocks, `mean_${index}`, 1);
  } else if (isOneHot) {
    addOneHot(step, index, blocks);
  }
  if (!indicator) return;
  const lookup = { text: `text_${index}`, output: `indicator_${index}`, keys: [''] };
  blocks.nodes.push(floatLookup(lookup, [1], 0));
  addBlock(blocks, `indicator_${index}`, 1);
}

/** Runtimes in C cut a text at its first zero, and UTF-8 cannot say a lone half of a surrogate pair. */
function requireWritable({ column, categories }: OneHotStep | TargetStep): void {
  for (const category of categories) {
    if (!category.isWellFormed() || category.includes('\0')) {
      const found = JSON.stringify(category);
      throw new RangeError(`Categories must be well-formed texts without zeros; "${column}" has ${found}`);
    }
  }
}

function floatLookup(
  lookup: { readonly text: string; readonly output: string; readonly keys: readonly string[] },
  values: readonly number[],
  otherwise: number,
): NodeToEncode {
  return {
    operator: 'LabelEncoder',
    domain: ML_DOMAIN,
    inputs: [lookup.text],
    output: lookup.output,
    attributes: [
      textsAttribute('keys_strings', lookup.keys),
      floatsAttribute('values_floats', values),
      floatAttribute('default_float', otherwise),
    ],
  };
}

function addOneHot(step: OneHotStep, index: number, blocks: Blocks): void {
  const { fill, categories } = step;
  const numbers = categories.map((_, at) => at);
  const filled = fill === null ? -1 : categories.indexOf(fill);
  blocks.nodes.push(
    {
      operator: 'LabelEncoder',
      domain: ML_DOMAIN,
      inputs: [`text_${index}`],
      output: `code_of_${index}`,
      attributes: [
        textsAttribute('keys_strings', filled < 0 ? categories : ['', ...categories]),
        integersAttribute('values_int64s', filled < 0 ? numbers : [filled, ...numbers]),
        // The number after the last category is that of none.
        integerAttribute('default_int64', categories.length),
      ],
    },
    { operator: 'Equal', inputs: [`code_of_${index}`, `codes_${index}`], output: `equal_${index}` },
    castNode(`equal_${index}`, `one_hot_${index}`, DATA_TYPE.float),
  );
  blocks.initializers.push(integerTensor(`codes_${index}`, [categories.length], numbers));
  addBlock(blocks, `one_hot_${index}`, categories.length);
}

/** Puts a block of columns beside the others and returns the place of its first. */
function addBlock(blocks: Blocks, value: string, width: number): number {
  const start = blocks.width;
  blocks.values.push(value);
  blocks.width += width;
  return start;
}
