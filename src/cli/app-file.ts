import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { trainerFileDigests } from '../adapters/process/index.ts';
import { PlatformError } from '../contract/index.ts';
import { type App, withTrainerFiles } from '../define/index.ts';

/** Where an app is looked for when nobody says. */
export const APP_PLACES = ['app.ts', 'app.js', 'app.mjs', 'src/app.ts', 'src/app.js'];

/**
 * Loads the app: the default export of a TypeScript or JavaScript module, made by `defineApp`. Without `file`
 * it is looked for in the current folder. Rejects with CONFIGURATION when there is none, DEFINITION when it
 * does not load or a file that an external trainer needs is missing. Digests of those files become part of the models' hashes.
 */
export async function loadApp(
  file: string | undefined,
): Promise<{ readonly app: App; readonly path: string }> {
  const path = await findAppFile(file);
  let loaded: Readonly<Record<string, unknown>>;
  try {
    loaded = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new PlatformError('DEFINITION', `${path} could not be loaded: ${explain(error)}`, { cause: error });
  }
  const found = loaded['default'];
  if (isApp(found)) return { app: withFiles(found, dirname(path)), path };
  const named = Object.keys(loaded).find((name) => isApp(loaded[name]));
  const hint =
    named === undefined ? '' : ` It exports an app named '${named}': add 'export default ${named};'.`;
  throw new PlatformError(
    'DEFINITION',
    `${path}: expected the default export to be an app made by defineApp(), got ${what(found)}.${hint}`,
  );
}

async function findAppFile(file: string | undefined): Promise<string> {
  for (const place of file === undefined ? APP_PLACES : [file]) {
    const path = resolve(place);
    if (await isThere(path)) return path;
  }
  const text =
    file === undefined
      ? `There is no app in this folder (looked for ${APP_PLACES.join(', ')}). Name one with --app FILE.`
      : `--app: there is no file ${resolve(file)}`;
  throw new PlatformError('CONFIGURATION', text);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The app with the digests of the files beside it that its external trainers need. */
function withFiles(app: App, folder: string): App {
  return withTrainerFiles(app, (trainer) => trainerFileDigests(folder, trainer));
}

/** By its shape, not by `instanceof`: the app may have loaded a copy of the library of its own. */
function isApp(value: unknown): value is App {
  if (typeof value !== 'object' || value === null) return false;
  const { type, sources, models, decisions } = value as Partial<App>;
  return type === 'app' && [sources, models, decisions].every((items) => items instanceof Map);
}

function what(value: unknown): string {
  if (value === undefined) return 'none';
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  const { type } = value as { readonly type?: unknown };
  return typeof type === 'string' ? `a ${type}` : 'an object of another kind';
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return `${error.message} (only TypeScript that can be erased runs directly: no enums, namespaces, parameter properties)`;
  }
  // The first frame says where in the app it happened.
  const frame = /\n\s+at [^\n]*file:[^\n]*/.exec(error.stack ?? '')?.[0].trim() ?? '';
  return `${error.message}${frame === '' ? '' : ` ${frame}`}`;
}
