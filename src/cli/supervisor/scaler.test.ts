import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../runtime/index.ts';
import type { OutsideLook } from './outside.ts';
import { type ScaledService, Scaler, SCALER_TIMES, type ScalingOrder } from './scaler.ts';
import type { ProcessSignals } from './signals.ts';

let nowMs: number;
let service: ScaledService;
let answers: Map<string, ProcessSignals>;
let outside: OutsideLook;
let orders: ScalingOrder[];
let scaler: Scaler;
let looksOutside: number;

const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };
const inFlight = (value: number): ProcessSignals => new Map([['requests_in_flight', { value, target: 8 }]]);
const nothing: OutsideLook = { signals: new Map(), needs: new Map() };

beforeEach(() => {
  nowMs = 0;
  looksOutside = 0;
  orders = [];
  answers = new Map();
  outside = nothing;
  service = {
    service: 'serve',
    range: { min: 1, max: 8 },
    wanted: 2,
    restarting: false,
    ready: ['http://one', 'http://two'],
  };
  scaler = new Scaler({
    services: () => [service],
    apply: (_, order) => {
      orders.push(order);
      service = { ...service, wanted: order.wanted };
    },
    ask: (url) => Promise.resolve(answers.get(url)),
    outside: () => {
      looksOutside += 1;
      return Promise.resolve(outside);
    },
    downAfterMs: 10_000,
    clock,
  });
});

/** Looks after a while in which what is outside is looked at anew, too. */
async function look(afterMs: number = SCALER_TIMES.outsideMs): Promise<ScalingOrder | undefined> {
  nowMs += afterMs;
  await scaler.look();
  return orders.at(-1);
}

describe('Scaler', () => {
  it('asks for as many processes as the work of all of them takes', async () => {
    answers = new Map([
      ['http://one', inFlight(10)],
      ['http://two', inFlight(30)],
    ]);
    expect(await look()).toMatchObject({ wanted: 5, signal: { value: 20, target: 8 } });
  });

  it('takes what a process last said when it misses one look, and does nothing when it misses many', async () => {
    answers = new Map([
      ['http://one', inFlight(1)],
      ['http://two', inFlight(1)],
    ]);
    await look();
    answers.delete('http://two');
    expect((await look())?.signal).toMatchObject({ value: 1 });
    // Alone, the one that answers would ask for many more.
    answers.set('http://one', inFlight(100));
    for (let quiet = 0; quiet < 10; quiet += 1) await look();
    const held = orders.at(-1);
    expect(held?.signal).toBeUndefined();
    const wanted = held?.wanted;
    answers = new Map();
    for (let quiet = 0; quiet < 60; quiet += 1) expect((await look())?.wanted).toBe(wanted);
  });

  it('sees a step of load within a quarter of a second, and looks into the database once a second', async () => {
    answers = new Map([
      ['http://one', inFlight(1)],
      ['http://two', inFlight(1)],
    ]);
    for (let turn = 0; turn < 8; turn += 1) await look(SCALER_TIMES.lookMs);
    expect(looksOutside).toBe(2);
    answers.set('http://one', inFlight(60));
    expect(await look(SCALER_TIMES.lookMs)).toMatchObject({ wanted: 6 });
  });

  it('leaves a service alone whose processes are being replaced', async () => {
    service = { ...service, restarting: true };
    await look();
    expect(orders).toEqual([]);
  });

  it('starts from zero by what is known without a process, and by a call that waits just now', async () => {
    service = { ...service, service: 'train', range: { min: 0, max: 2 }, wanted: 0, ready: [] };
    expect(await look()).toMatchObject({ wanted: 0 });
    outside = { ...nothing, needs: new Map([['train', SCALER_TIMES.needMs + 1]]) };
    expect(await look()).toMatchObject({ wanted: 0 });
    outside = { ...nothing, needs: new Map([['train', 100]]) };
    expect(await look()).toMatchObject({ wanted: 1, reason: 'a call waits for it' });
    outside = {
      ...nothing,
      signals: new Map([['train', [{ name: 'open_jobs', value: 2, target: 1, of: 'service' }]]]),
    };
    expect(await look()).toMatchObject({ wanted: 2, reason: 'open jobs 2, target 1: 2 wanted' });
  });

  it('does not let train go to zero while the database that knows its jobs is away', async () => {
    service = { ...service, service: 'train', range: { min: 0, max: 2 }, wanted: 1, ready: [] };
    for (let second = 0; second < 60; second += 1) {
      expect(await look()).toMatchObject({ wanted: 1 });
    }
  });
});
