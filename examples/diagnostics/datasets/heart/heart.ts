import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CaseFile, CaseFileError, linesOf, numberOf, wordOf } from '../case-file.ts';

const COLUMNS = [
  'age',
  'sex',
  'chestPain',
  'restingPressure',
  'cholesterol',
  'fastingSugar',
  'restingEcg',
  'heartRateMax',
  'exerciseAngina',
  'stDepression',
  'stSlope',
  'vessels',
  'thal',
] as const;

/** The Statlog heart data as liblinear ships it: sparse libsvm text, scaled to [-1, 1]; an absent index is 0. */
export async function readHeart(folder: string): Promise<CaseFile> {
  const path = join(folder, 'heart_scale');
  return {
    name: 'heart',
    title: 'heart disease, from an examination under stress',
    vector: 'examination',
    findings: { positive: 'disease', negative: 'healthy' },
    batchCases: 30,
    aucReference: 0.9107,
    cases: linesOf(await readFile(path, 'utf8')).map(({ line, number }) => {
      const place = `${path}, line ${String(number)}`;
      const [finding, ...cells] = line.trim().split(/\s+/);
      const values: Record<string, number> = Object.fromEntries(COLUMNS.map((name) => [name, 0]));
      for (const cell of cells) {
        const [index = '', value] = cell.split(':');
        const name = COLUMNS[Number(index) - 1];
        if (name === undefined) {
          throw new CaseFileError(
            `${place}: expected an index from 1 to ${String(COLUMNS.length)}; got '${index}'`,
          );
        }
        values[name] = numberOf(value, place, undefined) ?? 0;
      }
      return { values, isPositive: wordOf(finding, place, ['+1', '-1']) === '+1' };
    }),
  };
}
