import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The reference data may not be passed on, so it lies beside the repository. */
const FOLDER = resolve(process.env['TANDEM_SHARED'] ?? '../shared', 'data');

/** Whether all files are there; says loudly what is skipped when one is not. */
export function hasData(what: string, names: readonly string[]): boolean {
  const absent = names.find((name) => !existsSync(join(FOLDER, name)));
  if (absent === undefined) return true;
  console.error(`SKIPPED: ${what}: there is no ${join(FOLDER, absent)} (TANDEM_SHARED)`);
  return false;
}

/** The lines of a text file, unpacked when its name ends in `.gz`, without the empty one at the end. */
export function linesOf(name: string): string[] {
  const bytes = readFileSync(join(FOLDER, name));
  const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return text.trimEnd().split(/\r?\n/);
}
