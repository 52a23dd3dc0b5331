import type { ServiceName } from '../../contract/index.ts';

/** A process that serves a service at an address. */
export interface Instance {
  readonly service: ServiceName;
  /** Unique for each start of a process. */
  readonly id: string;
  /** Base address for calls. */
  readonly url: string;
  /**
   * Whether it can do its job now; callers turn to one that cannot only when there is no other. Default true.
   */
  readonly ready?: boolean;
  /** The build that it runs, as its answers name it in `x-tandem-build`. */
  readonly build?: string;
  /** Public half of the key that its process signs its calls with: Ed25519, base64url. Default: it signs nothing. */
  readonly key?: string;
}

/** A service that was called when no process served it. */
export interface Need {
  readonly service: ServiceName;
  /** Since when, by the store's clock in milliseconds since 1970: the first call of those that found none. */
  readonly sinceMs: number;
  /** How long ago the last such call was, by the store's clock, in milliseconds. */
  readonly agoMs: number;
}

/** The channel on which instances that come and go are signalled. */
export const INSTANCES_SIGNAL = 'tandem_instances';
/** The channel on which needs are signalled. */
export const NEEDS_SIGNAL = 'tandem_needs';
/**
 * A service that was not asked for again within this is needed no more, in milliseconds: whoever waits for
 * one says so each second.
 */
export const NEED_MS = 30_000;

/** Which processes serve what, with leases by the store's clock: one that dies is gone when its lease ends. */
export interface Instances {
  /** Announces the instances, or extends the leases of those announced before. Signals when one is new or its readiness changed. */
  announce(instances: readonly Instance[], leaseMs: number): Promise<void>;
  /** Makes the keys of instances known that will call others before they can be called themselves. */
  introduce(instances: readonly Instance[]): Promise<void>;
  /** Takes back all instances with this id at once, and signals it. */
  withdraw(id: string): Promise<void>;
  /** Every instance whose lease is live. */
  live(): Promise<readonly Instance[]>;
  /** What is known of a process: also before its first lease, and for ten minutes after its last. */
  find(id: string): Promise<readonly Instance[]>;
  /** Says that a call waits for a service that nobody serves, and signals it. */
  need(service: ServiceName): Promise<void>;
  /** The services that were needed within {@link NEED_MS}, whether somebody serves them by now or not. */
  needs(): Promise<readonly Need[]>;
}
