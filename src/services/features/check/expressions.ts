import type { ExpressionNode, Feature } from '../../../define/index.ts';
import type { Plan } from '../plan.ts';

export type FieldNode = Extract<ExpressionNode, { op: 'field' }>;
export type LiteralNode = Extract<ExpressionNode, { op: 'literal' }>;

/** Every expression of the plan's groups, vectors and labels. */
export function expressionsOf(plan: Plan): ExpressionNode[] {
  const ofGroups = plan.groups.flatMap(({ group, all }) => [
    ...(group.where === undefined ? [] : [group.where]),
    ...all.flatMap(({ feature }) => expressionsOfFeature(feature)),
  ]);
  const ofVectors = [...plan.vectors.values()].flatMap((item) =>
    item.vector.values.flatMap((value) => (value.from === 'candidate' ? [value.expression] : [])),
  );
  const ofLabels = plan.labels.flatMap(({ label }) => label.where ?? []);
  return [...ofGroups, ...ofVectors, ...ofLabels];
}

/** What a feature looks at. */
export function expressionsOfFeature({ input, filter, expression }: Feature): ExpressionNode[] {
  return [input, filter, expression].filter((node) => node !== undefined);
}

/** The fields that an expression reads, each as often as it does. */
export function fieldsOf(node: ExpressionNode): FieldNode[] {
  return leavesOf(node).filter((leaf) => leaf.op === 'field');
}

/** The literals of an expression. */
export function literalsOf(node: ExpressionNode): LiteralNode[] {
  return leavesOf(node).filter((leaf) => leaf.op === 'literal');
}

function leavesOf(node: ExpressionNode): (FieldNode | LiteralNode)[] {
  switch (node.op) {
    case 'field':
    case 'literal':
      return [node];
    case 'call':
      return node.arguments.flatMap(leavesOf);
    case 'aggregate':
      // A group has put a field in its place.
      return [];
  }
}
