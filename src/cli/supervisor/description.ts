import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { assertReplicas, defineDeployment, type Deployment } from '../../define/index.ts';
import { findService } from '../settings.ts';

/** Where a deployment is looked for, beside the app. */
const PLACES = ['tandem.config.ts', 'tandem.config.js', 'tandem.config.mjs'];

/** A deployment and the file it comes from; one of each service when there is none. */
export interface Description {
  readonly deployment: Deployment;
  readonly file: string | null;
}

/**
 * Loads the description of the deployment beside the app: the default export of a module, made by
 * `defineDeployment`. Rejects with DEFINITION when there is one that does not load.
 */
export async function loadDescription(appFile: string): Promise<Description> {
  const file = await findFile(dirname(appFile));
  if (file === undefined) return { deployment: defineDeployment({}), file: null };
  let loaded: Readonly<Record<string, unknown>>;
  try {
    loaded = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new PlatformError('DEFINITION', `${file} could not be loaded: ${text}`, { cause: error });
  }
  const found = loaded['default'];
  if (isDeployment(found)) return { deployment: found, file };
  throw new PlatformError(
    'DEFINITION',
    `${file}: expected the default export to be a deployment made by defineDeployment()`,
  );
}

async function findFile(folder: string): Promise<string | undefined> {
  for (const place of PLACES) {
    const file = join(folder, place);
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}

/** By its shape, not by `instanceof`: the file may have loaded a copy of the library of its own. */
function isDeployment(value: unknown): value is Deployment {
  return typeof value === 'object' && value !== null && (value as Partial<Deployment>).type === 'deployment';
}

/** Reads `serve=2`, as `--replicas` has it. Throws CONFIGURATION. */
export function readReplicas(texts: readonly string[]): Map<ServiceName, number> {
  return new Map(
    texts.map((text) => {
      const [, service = '', count = ''] = /^(\w+)=(\d+)$/.exec(text) ?? [];
      if (service === '') {
        throw new PlatformError('CONFIGURATION', `--replicas: expected SERVICE=NUMBER, got '${text}'`);
      }
      const { name } = findService(service);
      return [name, checkReplicas(name, Number(count))];
    }),
  );
}

/** The number, if that many processes of the service may run. Throws CONFIGURATION. */
export function checkReplicas(service: ServiceName, replicas: number): number {
  try {
    assertReplicas(service, replicas);
    return replicas;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new PlatformError('CONFIGURATION', text, { cause: error });
  }
}
