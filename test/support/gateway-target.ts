import { target as everyProcess, type Target, type TargetRecipe } from '../chaos/support/target.ts';

/** The recipe for the front door of a `tandem up`, as its users know it. */
export function gatewayTarget(dataDir: string): TargetRecipe {
  return { module: import.meta.url, options: { dataDir } };
}

/**
 * One address for every service, with the key that lies in the data directory.
 *
 * @public loaded by name, see `makeTarget`
 */
export function target(options: TargetRecipe['options']): Target {
  const processes = everyProcess(options);
  return {
    addresses: () => processes.addresses('gateway').slice(0, 1),
    headers: (service) => processes.headers(service),
  };
}
