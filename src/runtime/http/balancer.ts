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
  /** For how long an address whose instance said that it stops is left out, in milliseconds. */
  leaveMs: 5_000,
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
  /** When that was decided: calls that began before say nothing new. */
  ejectedAtMs: number;
  /** A call is under way that shows whether an address that was left out answers again. */
  isProbed: boolean;
}

/** One call to an address; told how it ended, once. */
export interface Pick {
  readonly address: URL;
  /**
   * `failed`: the address could not be reached, was not available or did not answer in time, which says that
   * another one may do better. `leaving`: the instance said that it stops. `strange`: whoever answered is not the service.
   */
  end(how: PickEnd): void;
}

/** How a call to an address ended. */
export type PickEnd = 'answered' | 'failed' | 'leaving' | 'strange';

export interface BalancerParts {
  /** Base addresses of a service at this moment. */
  readonly addresses: (service: ServiceName) => readonly URL[];
  readonly clock: Clock;
  readonly random: Random;
  /** Is told the origin of an address that no service has any more. */
  readonly forget?: (origin: string) => void;
}

/**
 * Picks the less loaded of two addresses of a service, by calls under way from here (Mitzenmacher 2001: two choices
 * already avoid the herd). Addresses that fail are left out for a while, after which a single call shows whether they
 * answer again; when all are left out, all are tried. Addresses that left the list are forgotten.
 */
export class Balancer {
  readonly #parts: BalancerParts;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #savings = new Map<ServiceName, number>();
  /** The lists as they were at the last look. */
  readonly #lists = new Map<ServiceName, readonly URL[]>();

  constructor(parts: BalancerParts) {
    this.#parts = parts;
  }

  /** `undefined` when the service has no address. `avoid` is picked only if there is no other. */
  pick(service: ServiceName, avoid?: URL): Pick | undefined {
    const all = this.#list(service);
    const now = this.#parts.clock.monotonic();
    const usable = all.filter((address) => isUsable(this.#endpoint(address), now));
    const others = (usable.length > 0 ? usable : all).filter(({ href }) => href !== avoid?.href);
    const address = this.#lessLoaded(others.length > 0 ? others : all);
    if (address === undefined) return undefined;
    this.#save(service, BALANCER_LIMITS.retryShare);
    const endpoint = this.#endpoint(address);
    endpoint.inFlight += 1;
    const isProbe = endpoint.ejections > 0 && !endpoint.isProbed;
    if (isProbe) endpoint.isProbed = true;
    return {
      address,
      end: (how) => {
        endpoint.inFlight -= 1;
        if (isProbe) endpoint.isProbed = false;
        if (now > endpoint.ejectedAtMs) this.#judge(endpoint, how);
      },
    };
  }

  /** Whether the service has an address beside this one that is not left out. */
  hasOther(service: ServiceName, than: URL): boolean {
    const now = this.#parts.clock.monotonic();
    const isOther = (url: URL): boolean => url.href !== than.href && isUsable(this.#endpoint(url), now);
    return this.#list(service).some(isOther);
  }

  /** Looks at the lists of all services again, and forgets addresses that are in none of them any more. */
  refresh(): void {
    for (const service of this.#lists.keys()) this.#lists.set(service, this.#parts.addresses(service));
    const urls = [...this.#lists.values()].flat();
    const known = new Set(urls.map(({ href }) => href));
    const gone = [...this.#endpoints.keys()].filter((href) => !known.has(href));
    if (gone.length === 0) return;
    const origins = new Set(urls.map(({ origin }) => origin));
    for (const href of gone) {
      this.#endpoints.delete(href);
      const { origin } = new URL(href);
      if (!origins.has(origin)) this.#parts.forget?.(origin);
    }
  }

  #list(service: ServiceName): readonly URL[] {
    const urls = this.#parts.addresses(service);
    const before = this.#lists.get(service);
    if (before === urls) return urls;
    this.#lists.set(service, urls);
    if (before !== undefined) this.refresh();
    return urls;
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

  #judge(endpoint: Endpoint, how: PickEnd): void {
    const { ejectMs, ejectMsMax, leaveMs, failuresMax } = BALANCER_LIMITS;
    if (how === 'answered') {
      endpoint.failures = 0;
      endpoint.ejections = 0;
      endpoint.ejectedUntilMs = 0;
      return;
    }
    endpoint.failures += 1;
    if (how === 'failed' && endpoint.ejections === 0 && endpoint.failures < failuresMax) return;
    const grownMs = Math.min(ejectMsMax, ejectMs * 2 ** Math.min(endpoint.ejections, 16));
    endpoint.ejectedAtMs = this.#parts.clock.monotonic();
    endpoint.ejectedUntilMs = endpoint.ejectedAtMs + (how === 'leaving' ? leaveMs : grownMs);
    endpoint.ejections += 1;
    endpoint.failures = 0;
  }

  #endpoint(address: URL): Endpoint {
    let endpoint = this.#endpoints.get(address.href);
    if (endpoint === undefined) {
      endpoint = {
        inFlight: 0,
        failures: 0,
        ejections: 0,
        ejectedUntilMs: 0,
        ejectedAtMs: -Infinity,
        isProbed: false,
      };
      this.#endpoints.set(address.href, endpoint);
    }
    return endpoint;
  }
}

/** An address that was left out gets one call at a time until it answers. */
function isUsable({ ejectedUntilMs, ejections, isProbed }: Endpoint, nowMs: number): boolean {
  return ejectedUntilMs <= nowMs && (ejections === 0 || !isProbed);
}
