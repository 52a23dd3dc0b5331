import type { FinishedSpan } from '../runtime/index.ts';

/** A span with those that it called or caused. */
export interface SpanNode {
  readonly span: FinishedSpan;
  /** It is of a trace of its own, which a record or a job ties to the one above. */
  readonly isLinked: boolean;
  readonly children: SpanNode[];
}

/**
 * Puts the spans of a trace, and those of other traces that are linked to it, under the ones that called or caused them. A
 * span whose parent nobody keeps stands at the top.
 */
export function spanTree(spans: readonly FinishedSpan[]): SpanNode[] {
  const byId = new Map<string, SpanNode>();
  for (const span of spans) {
    if (!byId.has(span.spanId)) byId.set(span.spanId, { span, isLinked: false, children: [] });
  }
  const tops: SpanNode[] = [];
  for (const node of [...byId.values()].sort((left, right) => left.span.startMs - right.span.startMs)) {
    const parent = node.span.parentId === null ? undefined : byId.get(node.span.parentId);
    const causes = node.span.links.flatMap(({ spanId }) => byId.get(spanId) ?? []);
    if (parent !== undefined) parent.children.push(node);
    else if (causes[0] !== undefined) causes[0].children.push({ ...node, isLinked: true });
    else tops.push(node);
  }
  return tops;
}

/** One line of the tree: how it is drawn, and the span. */
export interface SpanLine {
  readonly text: string;
  readonly span: FinishedSpan;
}

/** The lines of a tree from the top, with branches drawn; a linked span begins with `~`. */
export function spanLines(nodes: readonly SpanNode[]): SpanLine[] {
  const lines: SpanLine[] = [];
  const draw = ({ span, isLinked, children }: SpanNode, own: string, below: string): void => {
    lines.push({ text: `${own}${isLinked ? '~ ' : ''}${span.name}`, span });
    for (const [index, child] of children.entries()) {
      const isLast = index === children.length - 1;
      draw(child, `${below}${isLast ? '└─ ' : '├─ '}`, `${below}${isLast ? '   ' : '│  '}`);
    }
  };
  for (const node of nodes) draw(node, '', '');
  return lines;
}
