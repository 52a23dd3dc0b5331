import type { ServiceName } from '../../contract/index.ts';

/** A process that serves a service at an address. */
export interface Instance {
  readonly service: ServiceName;
  /** Unique for each start of a process. */
  readonly id: string;
  /** Base address for calls. */
  readonly url: string;
}

/** The channel on which instances that come and go are signalled. */
export const INSTANCES_SIGNAL = 'tandem_instances';

/** Which processes serve what, with leases by the store's clock: one that dies is gone when its lease ends. */
export interface Instances {
  /** Announces the instances, or extends the leases of those announced before. Signals when one is new. */
  announce(instances: readonly Instance[], leaseMs: number): Promise<void>;
  /** Takes back all instances with this id at once, and signals it. */
  withdraw(id: string): Promise<void>;
  /** Every instance whose lease is live. */
  live(): Promise<readonly Instance[]>;
}
