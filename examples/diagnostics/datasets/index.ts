import { join } from 'node:path';
import type { CaseFile } from './case-file.ts';
import { readHeart } from './heart/heart.ts';
import { readHypothyroid } from './hypothyroid/hypothyroid.ts';
import { readPima } from './pima/pima.ts';
import { readWdbc } from './wdbc/wdbc.ts';

interface Entry {
  readonly read: (folder: string) => Promise<CaseFile>;
  /** The module of its app. */
  readonly app: string;
}

const appIn = (...folder: string[]): string => join(import.meta.dirname, ...folder, 'app.ts');

/** Data sets by their names on the command line. */
const DATASETS: Readonly<Record<string, Entry>> = {
  wdbc: { read: readWdbc, app: appIn('..') },
  pima: { read: readPima, app: appIn('pima') },
  heart: { read: readHeart, app: appIn('heart') },
  hypothyroid: { read: readHypothyroid, app: appIn('hypothyroid') },
};

export const DATASET_NAMES: readonly string[] = Object.keys(DATASETS);

/** Where the data set lies that comes with the example. */
export const OWN_FOLDER: string = join(import.meta.dirname, '..', 'data');

/** The module of the app of a data set. */
export function appOf(name: string): string {
  return entryOf(name).app;
}

/** Reads a data set. Rejects with a CaseFileError when a file is not what it should be. */
export function readCases(name: string, folder: string): Promise<CaseFile> {
  return entryOf(name).read(folder);
}

function entryOf(name: string): Entry {
  const entry = DATASETS[name];
  if (entry === undefined) throw new RangeError(`There is no data set '${name}'`);
  return entry;
}
