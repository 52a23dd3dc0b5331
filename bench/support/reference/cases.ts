import type { Matrix, Table } from '../../../src/ml/index.ts';
import { linesOf } from './data-folder.ts';

/** A data set of two classes. */
export interface Cases {
  readonly table: Table;
  /** 1 for the positive class. */
  readonly labels: Uint8Array;
}

type Column = Table['columns'][number];

/** Texts of one column, before it is known what they are. */
interface RawColumn {
  readonly name: string;
  readonly numeric: boolean;
  readonly texts: readonly string[];
}

const MISSING = new Set(['NA', '?', '']);

/** WDBC: a line of counts first; the last column is 0 for malignant, the positive class. */
export function readWdbc(): Cases {
  const rows = rowsOf('diagnostics/wdbc_breast_cancer.csv').slice(1);
  return casesOf(numericColumns(rows), { target: 30, isPositive: (text) => text === '0' });
}

/** Pima of mlbench, missing values as they are or as the zeros that they were in the original. */
export function readPima(zerosAreMissing: boolean): Cases {
  const [, ...rows] = rowsOf('diagnostics/pima_with_missing.csv');
  const filled = rows.map((row) => row.map((text) => (text === 'NA' && !zerosAreMissing ? '0' : text)));
  return casesOf(numericColumns(filled), { target: 8, isPositive: (text) => text === 'pos' });
}

/** Pima of MASS: the part to learn from or the part to test with. */
export function readMassPima(part: 'tr' | 'te'): Cases {
  const [, ...rows] = rowsOf(`diagnostics/MASS_Pima.${part}.csv`);
  return casesOf(numericColumns(rows), { target: 7, isPositive: (text) => text === 'Yes' });
}

/** Statlog heart in sparse form: label, then `index:value`; what is absent is 0. */
export function readHeart(): Cases {
  const rows = linesOf('diagnostics/heart_scale').map((line) => {
    const [label = '', ...entries] = line.trim().split(/\s+/);
    const row = Array.from({ length: 14 }, () => '0');
    for (const entry of entries) {
      const [index, value = ''] = entry.split(':');
      row[Number(index) - 1] = value;
    }
    row[13] = label;
    return row;
  });
  return casesOf(numericColumns(rows), { target: 13, isPositive: (text) => text === '+1' });
}

export function readHaberman(): Cases {
  const rows = rowsOf('diagnostics/haberman.csv');
  return casesOf(numericColumns(rows), { target: 3, isPositive: (text) => text === '2' });
}

/** Hypothyroid: any kind of it against none. */
export function readHypothyroid(): Cases {
  const columns = readArff('diagnostics/hypothyroid.arff');
  return casesOf(columns, { target: columns.length - 1, isPositive: (text) => text !== 'negative' });
}

export function readGermanCredit(): Cases {
  const columns = readArff('credit/german_credit-g.arff');
  return casesOf(columns, { target: columns.length - 1, isPositive: (text) => text === 'bad' });
}

export function readCreditData(): Cases {
  const [names = [], ...rows] = rowsOf('credit/modeldata_credit_data.csv');
  const texts = new Set(['Status', 'Home', 'Marital', 'Records', 'Job']);
  const columns = names.map((name, index) => ({
    name,
    numeric: !texts.has(name),
    texts: rows.map((row) => row[index] ?? ''),
  }));
  return casesOf(columns, { target: 0, isPositive: (text) => text === 'bad' });
}

/** The given rows of a table. */
export function tableRows(table: Table, rows: Int32Array): Table {
  return {
    rows: rows.length,
    columns: table.columns.map((column): Column => {
      if (column.kind === 'numeric') {
        return { ...column, values: Float64Array.from(rows, (row) => column.values[row] as number) };
      }
      return { ...column, values: Array.from(rows, (row) => column.values[row] ?? null) };
    }),
  };
}

/** A table as trees take it: numbers as they are, categories as codes; NaN is missing. */
export interface CodedTable {
  readonly features: Matrix;
  /** Columns of codes. */
  readonly categorical: readonly number[];
}

/** Codes the categories of a table by their place in code unit order, which says nothing about labels. */
export function codedTable(table: Table): CodedTable {
  const width = table.columns.length;
  const values = new Float32Array(table.rows * width);
  const categorical: number[] = [];
  table.columns.forEach((column, place) => {
    if (column.kind === 'numeric') {
      for (let row = 0; row < table.rows; row += 1) {
        values[row * width + place] = column.values[row] as number;
      }
      return;
    }
    categorical.push(place);
    const known = [...new Set(column.values)].filter((text) => text !== null).sort();
    const codes = new Map(known.map((text, code) => [text, code]));
    column.values.forEach((text, row) => {
      values[row * width + place] = (text === null ? undefined : codes.get(text)) ?? Number.NaN;
    });
  });
  return { features: { rows: table.rows, columns: width, values }, categorical };
}

/** The given rows of a matrix. */
export function matrixRows(features: Matrix, rows: Int32Array): Matrix {
  const { columns } = features;
  const values = new Float32Array(rows.length * columns);
  rows.forEach((row, place) => {
    values.set(features.values.subarray(row * columns, (row + 1) * columns), place * columns);
  });
  return { rows: rows.length, columns, values };
}

function rowsOf(name: string): string[][] {
  return linesOf(name).map((line) => line.split(','));
}

function numericColumns(rows: readonly (readonly string[])[]): RawColumn[] {
  return Array.from({ length: rows[0]?.length ?? 0 }, (_, index) => ({
    name: `column ${index}`,
    numeric: true,
    texts: rows.map((row) => row[index] ?? ''),
  }));
}

/** Turns all columns but the target into a table. Columns without any value are left out. */
function casesOf(
  columns: readonly RawColumn[],
  labelling: { readonly target: number; readonly isPositive: (text: string) => boolean },
): Cases {
  const target = columns[labelling.target]?.texts ?? [];
  const inputs = columns.filter(
    ({ texts }, index) => index !== labelling.target && texts.some((text) => !MISSING.has(text)),
  );
  return {
    labels: Uint8Array.from(target, (text) => (labelling.isPositive(text) ? 1 : 0)),
    table: { rows: target.length, columns: inputs.map(columnOf) },
  };
}

function columnOf({ name, numeric, texts }: RawColumn): Column {
  if (!numeric) {
    return { kind: 'categorical', name, values: texts.map((text) => (MISSING.has(text) ? null : text)) };
  }
  const values = Float64Array.from(texts, (text) => (MISSING.has(text) ? Number.NaN : Number(text)));
  return { kind: 'numeric', name, values };
}

/** The columns of an ARFF file, the format of Weka. */
function readArff(name: string): RawColumn[] {
  const attributes: { name: string; numeric: boolean }[] = [];
  const rows: string[][] = [];
  let inData = false;
  for (const line of linesOf(name)) {
    if (line === '' || line.startsWith('%')) continue;
    if (inData) {
      rows.push(splitQuoted(line));
      continue;
    }
    inData = /^@data/i.test(line);
    const [, quoted, plain, type = ''] = /^@attribute\s+(?:'([^']*)'|(\S+))\s+(.*)$/i.exec(line) ?? [];
    const attribute = quoted ?? plain;
    if (attribute !== undefined) attributes.push({ name: attribute, numeric: !type.startsWith('{') });
  }
  return attributes.map((attribute, index) => ({
    ...attribute,
    texts: rows.map((row) => row[index] ?? ''),
  }));
}

/** Values between commas, some in single quotes. */
function splitQuoted(line: string): string[] {
  return Array.from(line.matchAll(/(?:^|,)(?:'([^']*)'|([^,]*))/g), ([, quoted, plain]) =>
    (quoted ?? plain ?? '').trim(),
  );
}
