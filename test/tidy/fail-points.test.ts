import { describe, expect, it } from 'vitest';
import { FAIL_POINTS } from '../../src/runtime/fail-points.ts';
import { filesBelow, read } from './tree.ts';

/** Where the code passes a fail-point: name and file. */
const passed = filesBelow('src')
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  .flatMap((path) =>
    [...read(path).matchAll(/\.pass\(\s*'([^']+)'/g)].map((match) => [match[1], path.slice(4)]),
  );

describe('fail-points', () => {
  it('are passed exactly where the list says', () => {
    const listed = FAIL_POINTS.map(({ name, file }) => [name, file]);
    expect(listed.length).toBeGreaterThanOrEqual(25);
    const inOrder = (pairs: readonly (readonly (string | undefined)[])[]): string[] =>
      pairs.map((pair) => pair.join(' in ')).sort((left, right) => left.localeCompare(right));
    expect(inOrder(passed)).toEqual(inOrder(listed));
  });

  it('are awaited everywhere: one that pauses or fails would do nothing otherwise', () => {
    const calls = filesBelow('src').flatMap((path) =>
      path.endsWith('.ts') && !path.endsWith('.test.ts')
        ? [...read(path).matchAll(/^.*failPoints\.pass\(.*$/gim)].map((match) => match[0].trim())
        : [],
    );
    expect(calls.length).toBe(FAIL_POINTS.length);
    expect(calls.filter((line) => !line.startsWith('await '))).toEqual([]);
  });

  it('are described on their page', () => {
    const page = read('docs/reference/fail-points.md');
    const rows = [...page.matchAll(/^\| `([a-z.]+)` \| `([^`]+)` \| (.+) \|$/gm)].map((match) => ({
      name: match[1],
      file: `${match[2] ?? ''}`,
      text: match[3],
    }));
    expect(rows).toEqual(FAIL_POINTS.map((point) => ({ ...point })));
  });
});
