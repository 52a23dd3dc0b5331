/** What is measured of a case; null is missing. */
export type CaseValue = number | string | boolean | null;

export interface ClinicalCase {
  /** The fields of the app's source `cases`, but its id, time and key. */
  readonly values: Readonly<Record<string, CaseValue>>;
  /** What it will turn out to be. */
  readonly isPositive: boolean;
}

/** A data set: cases with what they turned out to be, and what the runs must know of it. */
export interface CaseFile {
  /** Name on the command line. */
  readonly name: string;
  /** What it is about, for people. */
  readonly title: string;
  /** Name of the app's vector. */
  readonly vector: string;
  /** The two findings. The positive one is the name of the app's label too. */
  readonly findings: { readonly positive: string; readonly negative: string };
  readonly cases: readonly ClinicalCase[];
  /** Cases of a batch. */
  readonly batchCases: number;
  /** Area under the ROC curve in 10-fold cross-validation that others reach on it; undefined: none is known. */
  readonly aucReference: number | undefined;
}

/** A file that is not what it should be: the message says where, what was expected and what came. */
export class CaseFileError extends Error {
  override readonly name = 'CaseFileError';
}

/** A number of a cell; null where it is one of the marks of a missing value. */
export function numberOf(
  cell: string | undefined,
  place: string,
  missing: string | undefined,
): number | null {
  if (cell !== undefined && cell === missing) return null;
  const value = cell === undefined || cell.trim() === '' ? Number.NaN : Number(cell);
  if (!Number.isFinite(value)) throw new CaseFileError(`${place}: expected a number; got '${cell ?? ''}'`);
  return value;
}

/** One of several words in a cell. */
export function wordOf<const TWord extends string>(
  cell: string | undefined,
  place: string,
  words: readonly TWord[],
): TWord {
  const word = words.find((known) => known === cell);
  if (word === undefined)
    throw new CaseFileError(`${place}: expected ${words.join(' or ')}; got '${cell ?? ''}'`);
  return word;
}

/** The lines of a text with their numbers from 1, without empty ones. */
export function linesOf(text: string): { readonly line: string; readonly number: number }[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '');
}
