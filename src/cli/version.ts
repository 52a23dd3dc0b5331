import { readFileSync } from 'node:fs';

/**
 * The version of this package, from its manifest: two folders up in the sources and in what they compile to.
 */
export const VERSION: string = readVersion();

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return manifest.version;
}
