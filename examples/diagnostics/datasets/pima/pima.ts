import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CaseFile, CaseFileError, linesOf, numberOf, wordOf } from '../case-file.ts';

const COLUMNS = ['pregnant', 'glucose', 'pressure', 'triceps', 'insulin', 'mass', 'pedigree', 'age'] as const;
const HEADER = [...COLUMNS, 'diabetes'].join(',');

/** Diabetes among Pima women, in the form of mlbench's `PimaIndiansDiabetes2`: `NA` is missing. */
export async function readPima(folder: string): Promise<CaseFile> {
  const path = join(folder, 'pima_with_missing.csv');
  const [header, ...lines] = linesOf(await readFile(path, 'utf8'));
  if (header?.line !== HEADER)
    throw new CaseFileError(`${path}: expected the line '${HEADER}' first; got '${header?.line ?? ''}'`);
  return {
    name: 'pima',
    title: 'diabetes within five years, from an examination',
    vector: 'examination',
    findings: { positive: 'diabetes', negative: 'none' },
    batchCases: 64,
    aucReference: 0.8346,
    cases: lines.map(({ line, number }) => {
      const cells = line.split(',');
      const place = `${path}, line ${String(number)}`;
      return {
        values: Object.fromEntries(
          COLUMNS.map((name, column) => [name, numberOf(cells[column], place, 'NA')]),
        ),
        isPositive: wordOf(cells[COLUMNS.length], place, ['pos', 'neg']) === 'pos',
      };
    }),
  };
}
