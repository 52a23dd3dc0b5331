import { readFileSync } from 'node:fs';
import { adminKeyFile } from '../../../src/cli/admin-key.ts';
import type { ServiceName } from '../../../src/contract/index.ts';
import { readStateSync } from '../../../src/cli/supervisor/state-file.ts';

/** Where requests of a chaos run go, and with what credentials. */
export interface Target {
  /** Base addresses of the service at this moment. */
  addresses(service: ServiceName): readonly string[];
  /** Headers of every request to it. */
  headers(service: ServiceName): Readonly<Record<string, string>>;
}

/**
 * A target for another process: a module whose export `target` makes it of the options. The load runs in a
 * process of its own, where no function of this one is.
 */
export interface TargetRecipe {
  readonly module: string;
  readonly options: Readonly<Record<string, string>>;
}

/** What the module of a {@link TargetRecipe} exports. */
export interface TargetModule {
  target(options: TargetRecipe['options']): Target;
}

/** The recipe for the ports of the processes themselves, as the state of a `tandem up` has them. */
export function directTarget(dataDir: string): TargetRecipe {
  return { module: import.meta.url, options: { dataDir } };
}

export async function makeTarget(recipe: TargetRecipe): Promise<Target> {
  const loaded = (await import(recipe.module)) as TargetModule;
  return loaded.target(recipe.options);
}

/** How long a list of addresses is used before the state is read again, in milliseconds. */
const FRESH_MS = 100;

/**
 * Every process that has an address, also one that is not ready: a client finds that out.
 *
 * @public loaded by name, see {@link makeTarget}
 */
export function target(options: TargetRecipe['options']): Target {
  const { dataDir = '' } = options;
  let key: string | undefined;
  let readAt = -Infinity;
  let found = new Map<ServiceName, readonly string[]>();
  return {
    addresses(service) {
      if (performance.now() - readAt > FRESH_MS) {
        readAt = performance.now();
        const processes = readStateSync(dataDir)?.processes ?? [];
        const known = new Map<ServiceName, string[]>();
        for (const { service: name, url, state } of processes) {
          if (url === null || state === 'stopping') continue;
          known.set(name, [...(known.get(name) ?? []), url.replace(/\/$/, '')]);
        }
        found = known;
      }
      return found.get(service) ?? [];
    },
    headers() {
      // The key is there before the first process that asks for it.
      key ??= readFileSync(adminKeyFile(dataDir), 'utf8').trim();
      return { authorization: `Bearer ${key}` };
    },
  };
}
