import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Balancer, BALANCER_LIMITS } from './balancer.ts';

function urls(count: number): URL[] {
  return Array.from({ length: count }, (_, index) => new URL(`http://127.0.0.1:${String(1_000 + index)}`));
}

/** A balancer on a clock that is set by hand and chance that repeats. */
function setUp(addresses: readonly URL[]): { balancer: Balancer; time: { ms: number } } {
  const time = { ms: 0 };
  let state = 1;
  const balancer = new Balancer({
    addresses: () => addresses,
    clock: { now: () => time.ms, monotonic: () => time.ms, sleep: async () => undefined },
    random: { float: () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647, id: () => '' },
  });
  return { balancer, time };
}

describe('the balancer', () => {
  it('knows no address of a service without instances', () => {
    expect(setUp([]).balancer.pick('serve')).toBeUndefined();
  });

  it('keeps the load even: no address has far more calls under way than another', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.array(fc.nat(), { maxLength: 200 }), (count, ends) => {
        const { balancer } = setUp(urls(count));
        const loads = new Map<string, number>();
        const open = Array.from({ length: 60 * count }, () => balancer.pick('serve'));
        for (const pick of open)
          loads.set(pick?.address.href ?? '', (loads.get(pick?.address.href ?? '') ?? 0) + 1);
        for (const end of ends) open.splice(end % Math.max(1, open.length), 1)[0]?.end(false);
        expect(Math.max(...loads.values()) - Math.min(...loads.values())).toBeLessThan(25);
      }),
      { numRuns: 50, seed: 3 },
    );
  });

  it('leaves out an address that fails, for longer each time, and takes it back when it answers', () => {
    const [good, bad] = urls(2);
    const { balancer, time } = setUp([good, bad].filter((url) => url !== undefined));
    const usedBad = (): number => {
      let used = 0;
      for (let call = 0; call < 40; call += 1) {
        const pick = balancer.pick('serve');
        if (pick?.address === bad) used += 1;
        pick?.end(pick.address === bad);
      }
      return used;
    };
    expect(usedBad()).toBe(BALANCER_LIMITS.failuresMax);
    expect(usedBad()).toBe(0);
    time.ms += BALANCER_LIMITS.ejectMs;
    expect(usedBad()).toBe(BALANCER_LIMITS.failuresMax);
    time.ms += BALANCER_LIMITS.ejectMs;
    expect(usedBad()).toBe(0);
    time.ms += BALANCER_LIMITS.ejectMsMax;
    let back = 0;
    for (let call = 0; call < 40; call += 1) {
      const pick = balancer.pick('serve');
      if (pick?.address === bad) back += 1;
      pick?.end(false);
    }
    expect(back).toBeGreaterThan(10);
  });

  it('tries all when all fail: a guess is better than no call', () => {
    const { balancer } = setUp(urls(2));
    for (let call = 0; call < 20; call += 1) balancer.pick('serve')?.end(true);
    expect(balancer.pick('serve')).toBeDefined();
  });

  it('bounds second tries to a share of the calls', () => {
    const { balancer } = setUp(urls(1));
    let retries = 0;
    for (let call = 0; call < 1_000; call += 1) {
      balancer.pick('serve')?.end(true);
      if (balancer.mayRetry('serve')) retries += 1;
    }
    expect(retries).toBeLessThanOrEqual(BALANCER_LIMITS.retriesSaved + 1_000 * BALANCER_LIMITS.retryShare);
    expect(retries).toBeGreaterThan(100);
  });
});
