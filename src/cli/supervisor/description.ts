import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import {
  defineDeployment,
  type Deployment,
  readReplicaRange,
  type ReplicaRange,
} from '../../define/index.ts';
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

/** Reads `serve=2` or `serve=1..4`, as `--replicas` has it. Throws CONFIGURATION. */
export function readReplicas(texts: readonly string[]): Map<ServiceName, ReplicaRange> {
  return new Map(
    texts.map((text) => {
      const [, service = '', range = ''] = /^(\w+)=([\d.]+)$/.exec(text) ?? [];
      const found = readRange(range);
      if (service === '' || found === undefined) {
        throw new PlatformError(
          'CONFIGURATION',
          `--replicas: expected SERVICE=NUMBER or SERVICE=FEWEST..MOST, got '${text}'`,
        );
      }
      const { name } = findService(service);
      return [name, checkRange(name, found)];
    }),
  );
}

/** Reads `3` or `2..8`; `undefined` when it is neither. */
export function readRange(text: string): number | ReplicaRange | undefined {
  const [, min = '', max] = /^(\d{1,6})(?:\.\.(\d{1,6}))?$/.exec(text) ?? [];
  if (min === '') return undefined;
  return max === undefined ? Number(min) : { min: Number(min), max: Number(max) };
}

/** The range, if that many processes of the service may run. Throws CONFIGURATION. */
export function checkRange(service: ServiceName, replicas: number | ReplicaRange): ReplicaRange {
  try {
    return readReplicaRange(service, replicas);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new PlatformError('CONFIGURATION', text, { cause: error });
  }
}
