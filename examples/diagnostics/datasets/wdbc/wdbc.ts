import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CaseFile, CaseFileError, linesOf, numberOf, wordOf } from '../case-file.ts';

const PROPERTIES = [
  'radius',
  'texture',
  'perimeter',
  'area',
  'smoothness',
  'compactness',
  'concavity',
  'concavePoints',
  'symmetry',
  'fractalDimension',
] as const;
const COLUMNS: readonly string[] = ['', 'Error', 'Worst'].flatMap((suffix) =>
  PROPERTIES.map((property) => `${property}${suffix}`),
);
const HEADER = '569,30,malignant,benign';
/** The last column of a malignant case. */
const MALIGNANT = '0';

/** The Wisconsin diagnostic breast cancer data, in the form of scikit-learn's `breast_cancer.csv`. */
export async function readWdbc(folder: string): Promise<CaseFile> {
  const path = join(folder, 'wdbc_breast_cancer.csv');
  const [header, ...lines] = linesOf(await readFile(path, 'utf8'));
  if (header?.line !== HEADER)
    throw new CaseFileError(`${path}: expected the line '${HEADER}' first; got '${header?.line ?? ''}'`);
  return {
    name: 'wdbc',
    title: 'breast masses, from images of fine needle aspirates',
    vector: 'aspirate',
    findings: { positive: 'malignant', negative: 'benign' },
    batchCases: 48,
    aucReference: 0.9952,
    cases: lines.map(({ line, number }) => {
      const cells = line.split(',');
      const place = `${path}, line ${String(number)}`;
      if (cells.length !== COLUMNS.length + 1) {
        throw new CaseFileError(
          `${place}: expected ${String(COLUMNS.length + 1)} columns; got ${String(cells.length)}`,
        );
      }
      return {
        values: Object.fromEntries(
          COLUMNS.map((name, column) => [name, numberOf(cells[column], place, undefined)]),
        ),
        isPositive: wordOf(cells.at(-1), place, [MALIGNANT, '1']) === MALIGNANT,
      };
    }),
  };
}
