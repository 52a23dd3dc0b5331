import { STATE_PARTITIONS } from '../../../contract/index.ts';
import type { ServiceHost } from '../../../runtime/index.ts';
import type { FeaturesOptions } from '../options.ts';
import type { Plan } from '../plan.ts';
import { plainDefinitions } from './definitions.ts';
import { LocalState } from './local-state.ts';
import type { StateHost } from './state-host.ts';
import { ThreadedState } from './threaded-state.ts';

export interface MakeStateOptions {
  /** Partitions of each source. */
  readonly partitions: ReadonlyMap<string, number>;
  /** How far behind its clock it can be read, in milliseconds. */
  readonly readBehindMs: number;
  /** The newest snapshot of the core, for a thread that begins anew. */
  readonly core: () => Promise<Uint8Array | undefined>;
}

/** The online state of this process: in as many threads as the options say, 0 for the one that runs the service. */
export function makeState(
  host: ServiceHost<FeaturesOptions>,
  plan: Plan,
  { partitions, readBehindMs, core }: MakeStateOptions,
): StateHost {
  const { clock, options, threads, logger, metrics } = host;
  const state = {
    partitions,
    readBehindMs,
    statePartitions: STATE_PARTITIONS,
    eventClock: options.clock === 'event',
  };
  if (options.threads === 0) {
    const { applySliceMs: sliceMs } = options;
    const turn = (): Promise<void> => clock.sleep(0);
    return new LocalState(plan, state, { sliceMs, monotonic: () => clock.monotonic(), turn });
  }
  const definitions = plainDefinitions(host.app);
  const { threads: count } = options;
  return new ThreadedState({ plan, definitions, state, threads, count, clock, logger, metrics, core });
}
