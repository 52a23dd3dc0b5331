import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AUTOSCALER,
  type AutoscalerInput,
  decide,
  type Observation,
  type Recommendation,
  type SignalReading,
} from './autoscaler.ts';

const DOWN_AFTER_MS = 60_000;

const inFlight = (value: number, target = 8): SignalReading => ({
  name: 'requests_in_flight',
  value,
  target,
  of: 'process',
});
const jobs = (value: number): SignalReading => ({ name: 'open_jobs', value, target: 1, of: 'service' });

/** Looks at a service whose processes are ready at once. */
class Simulation {
  everyMs = 1_000;
  replicas: number;
  nowMs = 0;
  history: readonly Recommendation[] = [];
  wentDownMs: number | undefined;
  readonly changes: { readonly atMs: number; readonly to: number; readonly reason: string }[] = [];
  readonly range: AutoscalerInput['range'];

  constructor(range: AutoscalerInput['range'], replicas = range.min) {
    this.range = range;
    this.replicas = replicas;
  }

  look(observed: Observation | undefined): void {
    this.nowMs += this.everyMs;
    const { nowMs, range, replicas, history, wentDownMs } = this;
    const decision = decide({
      nowMs,
      range,
      replicas,
      observed,
      history,
      wentDownMs,
      downAfterMs: DOWN_AFTER_MS,
    });
    this.history = decision.history;
    if (decision.replicas === replicas) return;
    if (decision.replicas < replicas) this.wentDownMs = nowMs;
    this.replicas = decision.replicas;
    this.changes.push({ atMs: nowMs, to: decision.replicas, reason: decision.reason ?? '' });
  }

  /** A load that the processes share evenly. */
  share(total: number, looks: number): void {
    for (let look = 0; look < looks; look += 1) {
      const ready = this.replicas;
      this.look({ ready, signals: ready === 0 ? [] : [inFlight(total / ready)], isNeeded: false });
    }
  }
}

describe('decide', () => {
  it('follows ten times the load within four looks', () => {
    const service = new Simulation({ min: 1, max: 16 });
    service.share(4, 100);
    expect(service.replicas).toBe(1);
    service.share(80, 4);
    expect(service.replicas).toBe(10);
    expect(service.changes[0]?.reason).toBe('requests in flight 80 of each process, target 8: 10 wanted');
  });

  it('waits for a second when the target is only just missed, and lets a little pass', () => {
    const service = new Simulation({ min: 1, max: 8 });
    service.share(8.5, 100);
    expect(service.replicas).toBe(1);
    service.share(10, 1);
    expect(service.replicas).toBe(1);
    service.share(8, 1);
    service.share(10, 2);
    expect(service.replicas).toBe(2);
  });

  it('is sure after a second of looks that all ask for more, however many they are', () => {
    const service = new Simulation({ min: 1, max: 8 });
    service.everyMs = 250;
    service.share(8, 8);
    service.share(10, 4);
    expect(service.replicas).toBe(1);
    service.share(8, 1);
    service.share(10, 4);
    expect(service.replicas).toBe(1);
    service.share(10, 1);
    expect(service.replicas).toBe(2);
  });

  it('goes down one by one, only after a minute in which nobody asked for more', () => {
    const service = new Simulation({ min: 1, max: 8 });
    service.share(32, 10);
    expect(service.replicas).toBe(4);
    const quietMs = service.nowMs;
    service.share(2, 200);
    expect(service.replicas).toBe(1);
    const down = service.changes.slice(-3);
    expect(down.map(({ to }) => to)).toEqual([3, 2, 1]);
    expect((down[0]?.atMs ?? 0) - quietMs).toBeGreaterThanOrEqual(DOWN_AFTER_MS);
    expect((down[1]?.atMs ?? 0) - (down[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(AUTOSCALER.downPauseMs);
    expect(down[0]?.reason).toBe('no more than 1 wanted for 60 s');
  });

  it('does not go down between bursts that come every half minute', () => {
    const service = new Simulation({ min: 1, max: 8 });
    for (let burst = 0; burst < 10; burst += 1) {
      service.share(32, 5);
      service.share(1, 25);
    }
    expect(service.changes).toHaveLength(1);
  });

  it('starts from zero at a job or a call that waits, and ends when there was nothing for a minute', () => {
    const service = new Simulation({ min: 0, max: 2 });
    const look = (open: number, isNeeded = false): void =>
      service.look({ ready: service.replicas, signals: [jobs(open)], isNeeded });
    look(0);
    expect(service.replicas).toBe(0);
    look(1);
    expect(service.replicas).toBe(1);
    for (let second = 0; second < 300; second += 1) look(1);
    expect(service.replicas).toBe(1);
    for (let second = 0; second < 70; second += 1) look(0);
    expect(service.replicas).toBe(0);
    expect(service.changes.at(-1)?.reason).toBe('nothing to do for 60 s');
    look(0, true);
    expect(service.replicas).toBe(1);
    expect(service.changes.at(-1)?.reason).toBe('a call waits for it');
    look(5);
    expect(service.replicas).toBe(2);
  });

  it('takes the signal that asks for most', () => {
    const signals = [
      inFlight(4),
      { name: 'queue_wait_milliseconds', value: 60, target: 20, of: 'process' } as const,
    ];
    const { replicas, signal } = decide({
      nowMs: 0,
      range: { min: 1, max: 8 },
      replicas: 1,
      observed: { ready: 1, signals, isNeeded: false },
      history: [],
      wentDownMs: undefined,
      downAfterMs: DOWN_AFTER_MS,
    });
    expect([replicas, signal?.name]).toEqual([3, 'queue_wait_milliseconds']);
  });

  it('comes into a range that was changed, at once', () => {
    const service = new Simulation({ min: 2, max: 4 }, 1);
    service.look(undefined);
    expect(service.replicas).toBe(2);
    const above = new Simulation({ min: 1, max: 2 }, 6);
    above.look(undefined);
    expect(above.replicas).toBe(2);
  });
});

const ranges = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 20 }))
  .map(([min, more]) => ({ min, max: min + more }));
const looks = fc.array(
  fc.oneof(
    fc.constant(undefined),
    fc.record({ value: fc.double({ min: 0, max: 1e6, noNaN: true }), isNeeded: fc.boolean() }),
  ),
  { maxLength: 150 },
);

describe('whatever the signals say', () => {
  it('the number stays in its range, goes up by bounded steps and down by one', () => {
    fc.assert(
      fc.property(ranges, looks, (range, seen) => {
        const service = new Simulation(range);
        for (const look of seen) {
          const before = service.replicas;
          service.look(look && { ready: before, signals: [inFlight(look.value)], isNeeded: look.isNeeded });
          expect(service.replicas).toBeGreaterThanOrEqual(range.min);
          expect(service.replicas).toBeLessThanOrEqual(range.max);
          expect(service.replicas).toBeGreaterThanOrEqual(before - 1);
          expect(service.replicas).toBeLessThanOrEqual(
            Math.max(before * AUTOSCALER.stepFactor, before + AUTOSCALER.stepMore),
          );
        }
      }),
    );
  });

  it('a constant load comes to a number that bears it, and stays there', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.double({ min: 0, max: 400, noNaN: true }),
        fc.integer({ min: 1, max: 64 }),
        (min, total, start) => {
          const range = { min, max: 64 };
          const service = new Simulation(range, Math.max(min, start));
          service.share(total, 600);
          const settled = service.replicas;
          const changes = service.changes.length;
          service.share(total, 300);
          expect(service.changes).toHaveLength(changes);
          expect(total / settled <= 8 * (1 + AUTOSCALER.tolerance) || settled === range.max).toBe(true);
          // Not more than it takes.
          expect(settled).toBeLessThanOrEqual(Math.max(min, Math.ceil(total / 8)));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a look at which a process did not answer changes nothing', () => {
    fc.assert(
      fc.property(ranges, looks, (range, seen) => {
        const service = new Simulation(range);
        for (const look of seen) {
          service.look(look && { ready: service.replicas, signals: [inFlight(look.value)], isNeeded: false });
          const before = service.replicas;
          service.look(undefined);
          expect(service.replicas).toBe(before);
        }
      }),
    );
  });
});
