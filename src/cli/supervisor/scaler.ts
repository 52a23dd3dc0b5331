import type { ServiceName } from '../../contract/index.ts';
import type { ReplicaRange } from '../../define/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { decide, type Observation, type Recommendation, type SignalReading } from './autoscaler.ts';
import type { OutsideLook } from './outside.ts';
import { combineSignals, type ProcessSignals } from './signals.ts';

/** Times of scaling, in milliseconds. */
export const SCALER_TIMES = {
  /** Between two looks at processes. */
  lookMs: 250,
  /** Between two looks at what does not come from processes. */
  outsideMs: 1_000,
  /** What a process said stands in for it for so long when it does not answer. */
  staleMs: 5_000,
  /** A call that found no process counts for so long. */
  needMs: 5_000,
} as const;

/** One service as the scaler sees it. */
export interface ScaledService {
  readonly service: ServiceName;
  readonly range: ReplicaRange;
  /** Processes that load asks for, whether the machine has room for them or not. */
  readonly wanted: number;
  /** Whether its processes are being replaced: then their number stays. */
  readonly restarting: boolean;
  /** Addresses of the processes that are ready. */
  readonly ready: readonly string[];
}

/** What a look at a service led to. */
export interface ScalingOrder {
  readonly wanted: number;
  /** Why it is another number than before; `undefined` when it is the same. */
  readonly reason: string | undefined;
  /** What asks for most; `undefined` when nothing is known. */
  readonly signal: SignalReading | undefined;
}

export interface ScalerParts {
  readonly services: () => readonly ScaledService[];
  readonly apply: (service: ServiceName, order: ScalingOrder) => void;
  readonly ask: (url: string, service: ServiceName) => Promise<ProcessSignals | undefined>;
  /** What does not come from processes of the service. */
  readonly outside: () => Promise<OutsideLook>;
  /** Only what was not asked for in this long may go, in milliseconds. */
  readonly downAfterMs: number;
  readonly clock: Clock;
}

interface Past {
  history: readonly Recommendation[];
  wentDownMs: number | undefined;
}

interface Heard {
  readonly atMs: number;
  readonly signals: ProcessSignals;
}

/** Asks every process for its load four times a second, and orders as many as that takes. */
export class Scaler {
  readonly #parts: ScalerParts;
  readonly #stopping = new AbortController();
  readonly #past = new Map<ServiceName, Past>();
  #heard: ReadonlyMap<string, Heard> = new Map();
  #outside: OutsideLook = { signals: new Map(), needs: new Map() };
  #outsideAtMs = -Infinity;
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: ScalerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const nextMs = clock.monotonic() + SCALER_TIMES.lookMs;
      await this.look();
      await clock.sleep(Math.max(0, nextMs - clock.monotonic()), signal);
    }
  }

  /** One look at every service. */
  async look(): Promise<void> {
    const { services, apply, clock, downAfterMs } = this.#parts;
    const before = services();
    const [found] = await Promise.all([this.#lookOutside(), this.#listen(before)]);
    if (this.#stopping.signal.aborted) return;
    // Anew: while the processes were asked, somebody may have given an order.
    for (const scaled of services()) {
      const { service, range, wanted } = scaled;
      if (scaled.restarting) continue;
      const past = this.#past.get(service) ?? { history: [], wentDownMs: undefined };
      const nowMs = clock.monotonic();
      const observed = this.#observe(scaled, found);
      const decision = decide({ nowMs, range, replicas: wanted, observed, downAfterMs, ...past });
      const { replicas, history, reason, signal } = decision;
      this.#past.set(service, { history, wentDownMs: replicas < wanted ? nowMs : past.wentDownMs });
      apply(service, { wanted: replicas, reason, signal });
    }
  }

  async #lookOutside(): Promise<OutsideLook> {
    const { outside, clock } = this.#parts;
    const nowMs = clock.monotonic();
    if (nowMs - this.#outsideAtMs >= SCALER_TIMES.outsideMs) {
      this.#outsideAtMs = nowMs;
      this.#outside = await outside();
    }
    return this.#outside;
  }

  async #listen(services: readonly ScaledService[]): Promise<void> {
    const { ask, clock } = this.#parts;
    const processes = services.flatMap(({ service, ready }) => ready.map((url) => ({ service, url })));
    const heard = await Promise.all(
      processes.map(async ({ service, url }): Promise<[string, Heard] | undefined> => {
        const signals = await ask(url, service);
        if (signals !== undefined) return [url, { atMs: clock.monotonic(), signals }];
        const last = this.#heard.get(url);
        return last === undefined ? undefined : [url, last];
      }),
    );
    this.#heard = new Map(heard.flatMap((one) => (one === undefined ? [] : [one])));
  }

  /** `undefined` while it is not known what each ready process has to do. */
  #observe({ ready, service }: ScaledService, { signals, needs }: OutsideLook): Observation | undefined {
    const nowMs = this.#parts.clock.monotonic();
    const fresh = ready.flatMap((url) => {
      const heard = this.#heard.get(url);
      return heard !== undefined && nowMs - heard.atMs <= SCALER_TIMES.staleMs ? [heard.signals] : [];
    });
    if (fresh.length < ready.length) return undefined;
    const outside = signals.get(service) ?? [];
    // What is known from outside is newer than what a process passes on.
    const known = new Set(outside.map(({ name }) => name));
    const own = combineSignals(service, fresh).filter(({ name }) => !known.has(name));
    return {
      ready: ready.length,
      signals: [...outside, ...own],
      isNeeded: (needs.get(service) ?? Infinity) <= SCALER_TIMES.needMs,
    };
  }
}
