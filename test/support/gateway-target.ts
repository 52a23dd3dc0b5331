import { readStateSync } from '../../src/cli/supervisor/state-file.ts';
import type { Target, TargetRecipe } from '../chaos/support/target.ts';

/** The recipe for the front door of a `tandem up`, as its users know it. */
export function gatewayTarget(dataDir: string): TargetRecipe {
  return { module: import.meta.url, options: { dataDir } };
}

/** One address, asked for once: a user's does not change. */
export function target({ dataDir = '' }: TargetRecipe['options']): Target {
  let address: string | undefined;
  return {
    addresses() {
      address ??= readStateSync(dataDir)
        ?.processes.find(({ service, url }) => service === 'gateway' && url !== null)
        ?.url?.replace(/\/$/, '');
      return address === undefined ? [] : [address];
    },
    headers: () => ({}),
  };
}
