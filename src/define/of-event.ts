import { AS_OF_FIELD, type ExpressionNode } from './expression.ts';

/** What an expression looks at beside the fields of an event, in words; `undefined` when there is nothing. */
export function beyondEvent(node: ExpressionNode): string | undefined {
  switch (node.op) {
    case 'aggregate':
      return `the value of ${node.spec.kind}`;
    case 'field':
      return node.name === AS_OF_FIELD ? 'asOf()' : undefined;
    case 'literal':
      return undefined;
    case 'call':
      return node.arguments.map(beyondEvent).find((found) => found !== undefined);
  }
}
