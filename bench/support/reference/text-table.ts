import { table } from '../../../src/cli/output.ts';

/** Prints a table for people on stderr: stdout is for the one line of JSON. */
export function printTable(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  console.error(`\n${title}\n${table(head, rows)}`);
}
