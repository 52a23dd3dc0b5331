import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { openControl } from './control.ts';
import { readState } from './state-file.ts';

/** Times of waiting for a service that has no process, in milliseconds. */
const AWAKEN = {
  /** How long. */
  waitMsMax: 60_000,
  /** How often it is looked, and said again that somebody waits. */
  lookMs: 250,
} as const;

/**
 * Waits until a service of `tandem up` that load has brought to zero has a process again, after asking for one. Does
 * nothing for a service that has one, that may have none, or whose supervisor is gone. Rejects with UNAVAILABLE
 * when none comes.
 */
export async function awaken(dataDir: string, service: ServiceName): Promise<void> {
  for (const begun = performance.now(); ; await sleep(AWAKEN.lookMs)) {
    const state = await readState(dataDir);
    const record = state?.services[service];
    if (state === undefined || record === undefined || record.max === 0 || record.min > 0) return;
    if (state.processes.some((one) => one.service === service && one.state === 'ready')) return;
    if (performance.now() - begun > AWAKEN.waitMsMax) {
      const seconds = String(AWAKEN.waitMsMax / 1_000);
      const why = record.held ?? `see 'tandem status' and 'tandem logs ${service}'`;
      throw new PlatformError('UNAVAILABLE', `No process of ${service} started within ${seconds} s: ${why}`);
    }
    const control = await openControl(dataDir).catch(() => undefined);
    if (control === undefined) return;
    await control.need(service);
  }
}
