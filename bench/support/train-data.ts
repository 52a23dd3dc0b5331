import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SeededRandom } from '../../src/ml/index.ts';

export const COLUMNS = 30;
/** Margin of the base rate; gives about 13.8 % positive rows with the effects below. */
const INTERCEPT = -2.69;
/** Rows that are written together. */
const BLOCK_ROWS = 100_000;

/**
 * Writes rows of normal columns as `NAME.values`, float32 row after row, and `NAME.labels`, a byte for each, which depends on steps, waves,
 * products and tails of ten columns. Returns the share of positive rows.
 */
export async function writeData(
  folder: string,
  { name, rows, seed }: { readonly name: string; readonly rows: number; readonly seed: number },
): Promise<number> {
  const random = new SeededRandom(seed);
  const labels = new Uint8Array(rows);
  let positives = 0;
  await using file = await open(join(folder, `${name}.values`), 'w');
  for (let first = 0; first < rows; first += BLOCK_ROWS) {
    const count = Math.min(BLOCK_ROWS, rows - first);
    const values = new Float32Array(count * COLUMNS);
    for (let row = 0; row < count; row += 1) {
      const label = simulate(random, values.subarray(row * COLUMNS, (row + 1) * COLUMNS));
      labels[first + row] = label;
      positives += label;
    }
    await file.write(values);
  }
  await writeFile(join(folder, `${name}.labels`), labels);
  return positives / rows;
}

/** Draws the values of a row and its label. */
function simulate(random: SeededRandom, row: Float32Array): 0 | 1 {
  for (let column = 0; column < COLUMNS; column += 1) row[column] = random.normal();
  const x = (column: number): number => row[column] as number;
  const margin =
    INTERCEPT +
    0.9 * x(0) +
    Math.sin(2 * x(1)) +
    0.8 * (x(2) > 0 ? x(3) : -x(3)) +
    0.5 * x(4) * x(5) +
    (Math.abs(x(6)) > 1.5 ? 1 : 0) +
    0.3 * x(7) +
    0.3 * x(8) * x(9);
  return random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : 0;
}
