import { describe, expect, it } from 'vitest';
import { systemClock } from '../../adapters/system/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { ProcessRecord } from '../supervisor/state-file.ts';
import type { Build } from './build.ts';
import { type Look, watchCanary } from './canary.ts';
import { orderSteps } from './plan.ts';
import { type RolloutEnd, type RolloutFleet, rollOut, type RolloutSlot } from './rollout.ts';
import type { Traffic } from './traffic.ts';
import { type BuildContract, type Party, SERVICE_NAMES, type ServiceName } from '../../contract/index.ts';

/** A clock whose time passes as soon as somebody waits for it. */
function hastyClock(): Clock {
  let now = 0;
  return {
    ...systemClock(),
    monotonic: () => now,
    async sleep(ms) {
      await new Promise((resolve) => setImmediate(resolve));
      now += ms;
    },
  };
}

const build = (id: string): Build => ({ id, label: id, main: '', app: '', parts: [] });
const [OLD, NEW] = [build('old'), build('new')];

class FakeSlot implements RolloutSlot {
  readonly build: Build;
  readonly becameReady: Promise<boolean>;
  restarts = 0;
  /** How often its progress is another one when it is looked at. */
  steps = 0;

  get progress(): number {
    this.steps = Math.max(0, this.steps - 1);
    return this.steps;
  }

  constructor(of: Build, becameReady: Promise<boolean>) {
    this.build = of;
    this.becameReady = becameReady;
  }

  record(): ProcessRecord {
    return {
      service: 'serve',
      slot: 1,
      build: this.build.id,
      state: 'ready',
      pid: 1,
      started: '',
      url: null,
      restarts: this.restarts,
      problem: null,
      lastEnd: null,
    };
  }
}

/** Processes that do as they are told; the diary says in which order. */
class FakeFleet implements RolloutFleet<FakeSlot> {
  readonly replicas: number;
  readonly diary: string[] = [];
  #slots: FakeSlot[];
  readonly #ready: (number: number) => Promise<boolean>;
  #started = 0;

  constructor(replicas: number, ready: (number: number) => Promise<boolean> = async () => true) {
    this.replicas = replicas;
    this.#slots = Array.from({ length: replicas }, () => new FakeSlot(OLD, Promise.resolve(true)));
    this.#ready = ready;
  }

  active(): readonly FakeSlot[] {
    return this.#slots;
  }

  add(of: Build): FakeSlot {
    this.#started += 1;
    const slot = new FakeSlot(of, of === NEW ? this.#ready(this.#started) : Promise.resolve(true));
    this.#slots.push(slot);
    this.diary.push(`+${of.id}`);
    return slot;
  }

  async remove(slot: FakeSlot): Promise<void> {
    this.#slots = this.#slots.filter((other) => other !== slot);
    this.diary.push(`-${slot.build.id}`);
  }

  get builds(): string[] {
    return this.#slots.map((slot) => slot.build.id);
  }
}

async function roll(fleet: FakeFleet, clock = hastyClock()): Promise<RolloutEnd> {
  return rollOut({
    service: 'serve',
    from: OLD,
    to: NEW,
    fleet,
    watched: false,
    clock,
    signal: new AbortController().signal,
    enter: async (phase) => void fleet.diary.push(phase),
  });
}

describe('a roll-out', () => {
  it('starts one more before it ends one, and never has fewer than there are to be', async () => {
    const fleet = new FakeFleet(3);
    expect(await roll(fleet)).toEqual({ how: 'done' });
    expect(fleet.builds).toEqual(['new', 'new', 'new']);
    expect(fleet.diary.join(' ')).toBe('starting +new replacing -old +new -old +new -old');
  });

  it('leaves the old ones when the first new one does not become ready', async () => {
    for (const ready of [async () => false, () => new Promise<boolean>(() => undefined)]) {
      const fleet = new FakeFleet(2, ready);
      expect(await roll(fleet)).toMatchObject({ how: 'rolled back' });
      expect(fleet.builds).toEqual(['old', 'old']);
      expect(fleet.diary).toEqual(['starting', '+new', 'rolling back', '-new']);
    }
  });

  it('waits longer for one that comes nearer to being ready, and no longer once it does not', async () => {
    const clock = hastyClock();
    const rollSlow = async (steps: number, readyMs: number): Promise<string> => {
      const begun = clock.monotonic();
      const ready = async (): Promise<boolean> => {
        while (clock.monotonic() < begun + readyMs) await new Promise((resolve) => setImmediate(resolve));
        return true;
      };
      const fleet = new FakeFleet(1, ready);
      const add = fleet.add.bind(fleet);
      fleet.add = (of) => Object.assign(add(of), { steps: of === NEW ? steps : 0 });
      return (await roll(fleet, clock)).how;
    };
    expect(await rollSlow(0, 60_000)).toBe('rolled back');
    expect(await rollSlow(1_000, 60_000)).toBe('done');
    // Two looks in a second, and then no more progress for 18 s.
    expect(await rollSlow(60, 60_000)).toBe('rolled back');
  });

  it('brings the old ones back when a later one does not', async () => {
    const fleet = new FakeFleet(2, async (number) => number === 1);
    expect(await roll(fleet)).toMatchObject({ how: 'rolled back', reason: expect.stringContaining('ended') });
    expect(fleet.builds).toEqual(['old', 'old']);
  });

  it('has nothing to do where nothing runs', async () => {
    const fleet = new FakeFleet(0);
    expect(await roll(fleet)).toEqual({ how: 'done' });
    expect(fleet.diary).toEqual([]);
  });
});

describe('a canary', () => {
  const traffic = (requests: number, errors = 0, waiting = 1): Traffic => ({
    waiting,
    routes: new Map([['decide', { requests, errors, seconds: requests / 100 }]]),
  });

  /** Watches a new process that looks as told, beside an old one that answers 50 requests between two looks. */
  async function watch(look: (times: number) => Look | 'ended'): Promise<string | undefined> {
    let times = 0;
    const slot = new FakeSlot(NEW, Promise.resolve(true));
    return watchCanary({
      fresh: () => ({ ...slot.record(), url: 'new' }),
      old: () => [{ ...slot.record(), url: 'old' }],
      async look(url) {
        if (url === 'old') return { problem: undefined, traffic: traffic(50 * times) };
        times += 1;
        const found = look(times);
        if (found !== 'ended') return found;
        slot.restarts = 1;
        return { problem: 'gone', traffic: undefined };
      },
      clock: hastyClock(),
      signal: new AbortController().signal,
    });
  }

  it.each([
    [
      'does as the old one',
      (times: number): Look => ({ problem: undefined, traffic: traffic(50 * times) }),
      undefined,
    ],
    [
      'is unready once',
      (times: number): Look => ({ problem: times === 3 ? 'busy' : undefined, traffic: traffic(50 * times) }),
      undefined,
    ],
    [
      'becomes unready',
      (times: number): Look => ({ problem: times > 3 ? 'broken' : undefined, traffic: undefined }),
      'not ready any more: broken',
    ],
    [
      'ends',
      (times: number): Look | 'ended' =>
        times < 4 ? { problem: undefined, traffic: traffic(times) } : 'ended',
      'the new process ended',
    ],
    [
      'answers nothing',
      (times: number): Look => ({ problem: undefined, traffic: traffic(0, 0, 20 * times) }),
      'answers none of the',
    ],
    [
      'answers errors',
      (times: number): Look => ({ problem: undefined, traffic: traffic(50 * times, 40 * times) }),
      'answers of the new process were errors',
    ],
  ])('that %s', async (_, look, expected) => {
    const found = await watch(look);
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(expected);
  });
});

describe('the order of several services', () => {
  const nothing: BuildContract = {
    format: 1,
    platform: '1',
    services: {},
    app: { name: 'a', sources: {}, vectors: {}, labels: {}, models: {}, decisions: {} },
    migrations: {},
  };
  const withVector = { ...nothing, app: { ...nothing.app, vectors: { v: 'sha256:1' } } };
  const partyOf = (service: ServiceName, of: Build): Party => ({
    service,
    build: of.id,
    contract: of === NEW ? withVector : nothing,
  });
  const running = new Map(SERVICE_NAMES.map((service) => [service, [OLD]]));
  const step = (service: ServiceName) => ({ service, from: OLD, to: NEW });

  it('has those first that the others need', () => {
    const steps = orderSteps({ steps: [step('serve'), step('train'), step('features')], running, partyOf });
    expect(steps.map(({ service }) => service)).toEqual(['features', 'serve', 'train']);
  });

  it('is refused with all reasons when there is none', () => {
    expect(() => orderSteps({ steps: [step('serve'), step('train')], running, partyOf })).toThrow(
      /serve \(new\) needs vector 'v'[\s\S]*train \(new\) needs vector 'v'/,
    );
  });
});
