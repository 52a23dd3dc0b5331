import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CaseFile, CaseFileError, type CaseValue, linesOf, numberOf, wordOf } from '../case-file.ts';

/** Fields by the attributes of the file, in its order, and what each holds. TBG was never measured. */
const ATTRIBUTES: readonly (readonly [attribute: string, field: string, kind: 'number' | 'flag' | 'text'])[] =
  [
    ['age', 'age', 'number'],
    ['sex', 'sex', 'text'],
    ['on thyroxine', 'onThyroxine', 'flag'],
    ['query on thyroxine', 'queryOnThyroxine', 'flag'],
    ['on antithyroid medication', 'onAntithyroid', 'flag'],
    ['sick', 'sick', 'flag'],
    ['pregnant', 'pregnant', 'flag'],
    ['thyroid surgery', 'thyroidSurgery', 'flag'],
    ['I131 treatment', 'i131Treatment', 'flag'],
    ['query hypothyroid', 'queryHypothyroid', 'flag'],
    ['query hyperthyroid', 'queryHyperthyroid', 'flag'],
    ['lithium', 'lithium', 'flag'],
    ['goitre', 'goitre', 'flag'],
    ['tumor', 'tumor', 'flag'],
    ['hypopituitary', 'hypopituitary', 'flag'],
    ['psych', 'psych', 'flag'],
    ['TSH measured', 'tshMeasured', 'flag'],
    ['TSH', 'tsh', 'number'],
    ['T3 measured', 't3Measured', 'flag'],
    ['T3', 't3', 'number'],
    ['TT4 measured', 'tt4Measured', 'flag'],
    ['TT4', 'tt4', 'number'],
    ['T4U measured', 't4uMeasured', 'flag'],
    ['T4U', 't4u', 'number'],
    ['FTI measured', 'ftiMeasured', 'flag'],
    ['FTI', 'fti', 'number'],
    ['TBG measured', '', 'flag'],
    ['TBG', '', 'number'],
    ['referral source', 'referral', 'text'],
  ];
const MISSING = '?';
/** All but the first are hypothyroid. */
const CLASSES = [
  'negative',
  'compensated_hypothyroid',
  'primary_hypothyroid',
  'secondary_hypothyroid',
] as const;

/** Thyroid disease records of the Garavan Institute, in the form of Weka's `hypothyroid.arff`. */
export async function readHypothyroid(folder: string): Promise<CaseFile> {
  const path = join(folder, 'hypothyroid.arff');
  const lines = linesOf(await readFile(path, 'utf8')).filter(({ line }) => !line.startsWith('%'));
  const begin = lines.findIndex(({ line }) => line.trim().toLowerCase() === '@data');
  const declared = lines
    .slice(0, Math.max(0, begin))
    .flatMap(({ line }) => /^@attribute\s+'([^']+)'/i.exec(line)?.[1] ?? []);
  const expected = [...ATTRIBUTES.map(([attribute]) => attribute), 'Class'];
  if (declared.join() !== expected.join()) {
    throw new CaseFileError(
      `${path}: expected the attributes ${expected.join(', ')}; got ${declared.join(', ') || 'none'}`,
    );
  }
  return {
    name: 'hypothyroid',
    title: 'hypothyroidism, from laboratory values and history',
    vector: 'referral',
    findings: { positive: 'hypothyroid', negative: 'negative' },
    batchCases: 384,
    aucReference: 0.9994,
    cases: lines.slice(begin + 1).map(({ line, number }) => {
      const place = `${path}, line ${String(number)}`;
      const cells = line.split(',').map((cell) => cell.trim());
      if (cells.length !== expected.length) {
        throw new CaseFileError(
          `${place}: expected ${String(expected.length)} values; got ${String(cells.length)}`,
        );
      }
      const values: Record<string, CaseValue> = {};
      for (const [column, [attribute, field, kind]] of ATTRIBUTES.entries()) {
        if (field !== '') values[field] = valueOf(cells[column], `${place}, ${attribute}`, kind);
      }
      return { values, isPositive: wordOf(cells.at(-1), place, CLASSES) !== CLASSES[0] };
    }),
  };
}

function valueOf(cell: string | undefined, place: string, kind: 'number' | 'flag' | 'text'): CaseValue {
  if (cell === MISSING) return null;
  switch (kind) {
    case 'number':
      return numberOf(cell, place, MISSING);
    case 'flag':
      return wordOf(cell, place, ['f', 't']) === 't';
    case 'text':
      return cell ?? null;
  }
}
