import { schemaSteps } from '../../adapters/postgres/index.ts';
import { type AnyRoute, type BuildContract, describeBuild, routes } from '../../contract/index.ts';
import type { App } from '../../define/index.ts';
import { SERVICES } from '../settings.ts';
import { VERSION } from '../version.ts';

/** What this build says to its neighbours and expects of them, with this app. */
export async function contractOf(app: App): Promise<BuildContract> {
  const all: readonly AnyRoute[] = Object.values(routes);
  return describeBuild({
    platform: VERSION,
    services: SERVICES.map(({ name, calls }) => ({
      name,
      // What the gateway passes on its callers know as its own.
      provides: name === 'gateway' ? all : all.filter(({ service }) => service === name),
      calls: calls ?? [],
    })),
    app,
    migrations: await schemaSteps(SERVICES.map(({ migrations }) => migrations)),
  });
}
