import type { CategoryCoding } from '../gbdt/categories.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { attributeOf, onlyAttributes } from './graph-reader.ts';
import { ML_DOMAIN } from './schema.ts';

const LABEL_ENCODER = `${ML_DOMAIN}.LabelEncoder`;

/**
 * @internal The categorical columns of a graph that `encodeTrees` writes, in the order in which their ranks
 * stand behind the inputs; none when the value is the input of the graph itself.
 *
 * @throws UnsupportedGraph when the value comes from anything else.
 */
export function codingsOf(reader: GraphReader, value: string, inputCount: number): CategoryCoding[] {
  const input = reader.graph.inputs[0]?.name ?? '';
  if (value === input) return [];
  const concat = reader.graph.nodes.find(({ outputs }) => outputs.includes(value));
  if (concat?.operator !== 'Concat' || concat.inputs[0] !== input || concat.inputs.length < 2) {
    throw new UnsupportedGraph('The ensemble must read the input of the graph, or it and ranks', 'Concat');
  }
  onlyAttributes(concat, ['axis']);
  requireColumns(attributeOf(concat, 'axis').integer, 'Concat');
  return concat.inputs.slice(1).map((rank) => codingOf(reader, rank, inputCount));
}

function codingOf(reader: GraphReader, rank: string, inputCount: number): CategoryCoding {
  const input = reader.graph.inputs[0]?.name ?? '';
  const encoder = reader.producer(rank, LABEL_ENCODER, 1);
  onlyAttributes(encoder, ['keys_floats', 'values_floats', 'default_float']);
  const gather = reader.producer(encoder.inputs[0] as string, 'Gather', 2);
  onlyAttributes(gather, ['axis']);
  requireColumns(attributeOf(gather, 'axis').integer, 'Gather');
  const feature = reader.integer(gather.inputs[1] as string);
  if (gather.inputs[0] !== input || !(feature >= 0 && feature < inputCount)) {
    throw new UnsupportedGraph(`Gather must read one of the ${inputCount} inputs, not ${feature}`, 'Gather');
  }
  const codes = Float32Array.from(attributeOf(encoder, 'keys_floats').floats);
  const ranks = Float32Array.from(attributeOf(encoder, 'values_floats').floats);
  const ascending = codes.every((code, index) => index === 0 || code > (codes[index - 1] as number));
  const sound = ascending && ranks.length === codes.length && !Number.isNaN(codes[0]);
  if (!sound || !Number.isNaN(attributeOf(encoder, 'default_float').float ?? 0)) {
    throw new UnsupportedGraph(
      'LabelEncoder must have ascending keys, a value for each, and NaN for all others',
      LABEL_ENCODER,
    );
  }
  return { feature, codes, ranks };
}

function requireColumns(axis: number | undefined, operator: string): void {
  if (axis !== 1) throw new UnsupportedGraph(`${operator} must be along axis 1`, operator);
}
