interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Between one sample and the next, in microseconds. */
  readonly timeDeltas: readonly number[];
}

/** Parts of a restart: the first whose words are in a function's place is the one that its time belongs to. */
const PARTS: readonly (readonly [part: string, place: RegExp])[] = [
  ['Load', /services\/features\/(snapshots|online\/sections)|#load$|objects\//],
  ['Read', /adapters\/postgres|node_modules\/pg|node:(zlib|net|internal\/stream)/],
  ['Decode', /features\/(record-reader|feed\.ts#readEvent)|contract\/event\.ts/],
  ['Apply', /features\/(online|feed|catch-up|rebuild)|contract\/partition/],
  ['Archive', /features\/(archive|offline)|adapters\/duckdb/],
];

/**
 * Seconds of a sampled CPU profile by part. What belongs to none, as the runtime's own functions, counts for whoever called it;
 * loading files and modules, waiting and collecting garbage have parts of their own.
 */
export function partsOf(text: string): Readonly<Record<string, number>> {
  const { nodes, samples, timeDeltas } = JSON.parse(text) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parts = new Map<number, string>();
  const visit = (node: ProfileNode, inherited: string): void => {
    const part = ownPart(node) ?? inherited;
    parts.set(node.id, part);
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) visit(child, part);
    }
  };
  const [root] = nodes;
  if (root !== undefined) visit(root, 'Other');
  const seconds: Record<string, number> = {};
  for (const [index, id] of samples.entries()) {
    const part = parts.get(id) ?? 'Other';
    seconds[part] = (seconds[part] ?? 0) + (timeDeltas[index] ?? 0) / 1e6;
  }
  return seconds;
}

function ownPart({ callFrame: { functionName, url } }: ProfileNode): string | undefined {
  if (functionName === '(idle)' || functionName === '(program)') return 'Idle';
  if (functionName === '(garbage collector)') return 'Garbage';
  const place = `${url}#${functionName}`;
  return PARTS.find(([, words]) => words.test(place))?.[0];
}
