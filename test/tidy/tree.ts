import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const ROOT: string = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const SKIPPED = new Set(['node_modules', 'dist', '.git', '.tandem', '.types']);

/** Paths of all files below a folder, relative to the root, sorted. */
export function filesBelow(folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name)) found.push(...filesBelow(path));
    } else found.push(path);
  }
  return found.sort();
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** What a file imports: relative imports as paths from the root, others by their specifier. */
export function importsOf(path: string): string[] {
  const name = `['"]([\\w@./:#-]+)['"]`;
  const pattern = new RegExp(
    [
      `(?:^(?:import|export)\\b[^'"\`;]*?|^\\} )from\\s+${name}`,
      `^import\\s+${name}`,
      `\\bimport\\(\\s*${name}`,
      `new URL\\(\\s*${name}`,
    ].join('|'),
    'gm',
  );
  return [...read(path).matchAll(pattern)].map((match) => {
    const specifier = match.slice(1).find((group) => group !== undefined) ?? '';
    return specifier.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(path), specifier)) : specifier;
  });
}
