import type { ServiceName } from '../../contract/index.ts';
import type { Clock, Random } from '../ports/index.ts';

/** Limits of choosing among the instances of a service. */
export const BALANCER_LIMITS = {
  /** An address that failed this often in a row is left out for a while. */
  failuresMax: 2,
  /** For how long, in milliseconds, the first time; doubled each further time. */
  ejectMs: 500,
  /** Longest time that an address is left out, in milliseconds. */
  ejectMsMax: 30_000,
  /** Second tries may be this share of all calls, so that they do not make an overload worse. */
  retryShare: 0.2,
  /** So many second tries are always allowed in a row. */
  retriesSaved: 20,
} as const;

interface Endpoint {
  inFlight: number;
  failures: number;
  /** How often it was left out since it last answered. */
  ejections: number;
  /** Left out until then, by the monotonic clock. */
  ejectedUntilMs: number;
}

/** One call to an address; told how it ended, once. */
export interface Pick {
  readonly address: URL;
  /** `failed`: the address could not be reached or was not available, which says that another one may do better. */
  end(failed: boolean): void;
}

export interface BalancerParts {
  /** Base addresses of a service at this moment. */
  readonly addresses: (service: ServiceName) => readonly URL[];
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Picks the less loaded of two addresses of a service, by calls under way from here (Mitzenmacher 2001: two choices
 * already avoid the herd). Addresses that fail are left out for a while; when all are, all are tried again.
 */
export class Balancer {
  readonly #parts: BalancerParts;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #savings = new Map<ServiceName, number>();

  constructor(parts: BalancerParts) {
    this.#parts = parts;
  }

  /** `undefined` when the service has no address. `avoid` is picked only if there is no other. */
  pick(service: ServiceName, avoid?: URL): Pick | undefined {
    const all = this.#parts.addresses(service);
    const now = this.#parts.clock.monotonic();
    const usable = all.filter((address) => this.#endpoint(address).ejectedUntilMs <= now);
    const others = (usable.length > 0 ? usable : all).filter(({ href }) => href !== avoid?.href);
    const address = this.#lessLoaded(others.length > 0 ? others : all);
    if (address === undefined) return undefined;
    this.#save(service, BALANCER_LIMITS.retryShare);
    const endpoint = this.#endpoint(address);
    endpoint.inFlight += 1;
    return {
      address,
      end: (failed) => {
        endpoint.inFlight -= 1;
        this.#judge(endpoint, failed);
      },
    };
  }

  /** Whether a second try is within the budget of the service; takes it if so. */
  mayRetry(service: ServiceName): boolean {
    const saved = this.#savings.get(service) ?? BALANCER_LIMITS.retriesSaved;
    if (saved < 1) return false;
    this.#savings.set(service, saved - 1);
    return true;
  }

  #save(service: ServiceName, share: number): void {
    const saved = this.#savings.get(service) ?? BALANCER_LIMITS.retriesSaved;
    this.#savings.set(service, Math.min(BALANCER_LIMITS.retriesSaved, saved + share));
  }

  #lessLoaded(addresses: readonly URL[]): URL | undefined {
    if (addresses.length <= 1) return addresses[0];
    const first = Math.floor(this.#parts.random.float() * addresses.length);
    const step = 1 + Math.floor(this.#parts.random.float() * (addresses.length - 1));
    const [a, b] = [addresses[first], addresses[(first + step) % addresses.length]];
    if (a === undefined || b === undefined) return a ?? b;
    return this.#endpoint(a).inFlight <= this.#endpoint(b).inFlight ? a : b;
  }

  #judge(endpoint: Endpoint, failed: boolean): void {
    if (!failed) {
      endpoint.failures = 0;
      endpoint.ejections = 0;
      return;
    }
    endpoint.failures += 1;
    if (endpoint.failures < BALANCER_LIMITS.failuresMax) return;
    const { ejectMs, ejectMsMax } = BALANCER_LIMITS;
    endpoint.ejectedUntilMs =
      this.#parts.clock.monotonic() + Math.min(ejectMsMax, ejectMs * 2 ** Math.min(endpoint.ejections, 16));
    endpoint.ejections += 1;
    endpoint.failures = 0;
  }

  #endpoint(address: URL): Endpoint {
    let endpoint = this.#endpoints.get(address.href);
    if (endpoint === undefined) {
      endpoint = { inFlight: 0, failures: 0, ejections: 0, ejectedUntilMs: 0 };
      this.#endpoints.set(address.href, endpoint);
    }
    return endpoint;
  }
}
