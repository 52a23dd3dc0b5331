import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { type ClientOptions, dataDirOf } from '../client.ts';
import { buildName } from '../deploy/build.ts';
import { BuildStore } from '../deploy/build-store.ts';
import { type Deployment, isMoving } from '../deploy/deployment.ts';
import type { Output } from '../output.ts';
import { findService } from '../settings.ts';
import { openControl } from '../supervisor/control.ts';
import type { UpState } from '../supervisor/state-file.ts';

/** How often it is looked how far it is, in milliseconds. */
const LOOK_MS = 250;

export interface DeployVerbOptions extends ClientOptions {
  /** Folder or tarball of the build. */
  readonly version?: string | undefined;
  /** Whether to go back to what ran before instead. */
  readonly rollback?: boolean | undefined;
  /** Whether to look only whether it could be deployed. */
  readonly check?: boolean | undefined;
}

/**
 * `tandem deploy`: rolls services to another build, one by one; waits until that is done. Rejects with BUILD_INCOMPATIBLE
 * when it cannot run beside what runs, BUILD_ROLLED_BACK when it failed and the one before is back.
 */
export async function deploy(
  services: readonly string[],
  options: DeployVerbOptions,
  output: Output,
): Promise<void> {
  const names = [...new Set(services.map((service) => findService(service).name))];
  const { version, rollback = false, check = false } = options;
  if ((version === undefined) !== rollback) {
    throw new PlatformError('CONFIGURATION', 'expected either --version DIR|TARBALL or --rollback');
  }
  const dataDir = dataDirOf(options);
  const control = await openControl(dataDir);
  output.progress(version === undefined ? 'looking' : `taking in ${version}`);
  const stored = version === undefined ? undefined : await new BuildStore(dataDir).take(version);
  output.progress('looking whether it can run beside what runs');
  let state = await control.deploy({ services: names, digest: stored?.digest ?? null, check });
  if (check) {
    const result = { services: names, digest: stored?.digest ?? null, compatible: true };
    output.result(result, () => `${names.join(', ')}: it can be deployed`);
    return;
  }
  for (; names.some((name) => isMoving(deploymentOf(state, name))); state = await control.state()) {
    output.progress(names.map((name) => `${name}: ${deploymentOf(state, name)?.phase ?? '-'}`).join(', '));
    await sleep(LOOK_MS);
  }
  const all = names.map((name) => ({ service: name, deployment: deploymentOf(state, name) }));
  const failed = all.filter(({ deployment }) => !isDone(deployment));
  if (failed.length === 0) {
    output.result(
      all.map(({ service, deployment }) => ({ service, build: deployment?.to, phase: deployment?.phase })),
      () => all.map(({ service, deployment }) => `${service}: runs ${nameOf(deployment?.to)}`).join('\n'),
    );
    return;
  }
  const texts = all.map(({ service, deployment }) => {
    if (isDone(deployment)) return `${service} runs ${nameOf(deployment?.to)}`;
    return `${service}: ${nameOf(deployment?.to)} was ${deployment?.phase ?? 'lost'}: ${deployment?.reason ?? ''}`;
  });
  throw new PlatformError('BUILD_ROLLED_BACK', texts.join('; '), { details: { services: all } });
}

function deploymentOf(state: UpState, service: ServiceName): Deployment | null {
  return state.services[service]?.deployment ?? null;
}

function isDone(deployment: Deployment | null): boolean {
  return deployment?.phase === 'probation' || deployment?.phase === 'done';
}

function nameOf(build: Deployment['to'] | undefined): string {
  return build === undefined ? 'nothing' : buildName(build);
}
