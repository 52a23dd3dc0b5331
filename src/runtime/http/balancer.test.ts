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
        for (const end of ends) open.splice(end % Math.max(1, open.length), 1)[0]?.end('answered');
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
        pick?.end(pick.address === bad ? 'failed' : 'answered');
      }
      return used;
    };
    expect(usedBad()).toBe(BALANCER_LIMITS.failuresMax);
    expect(usedBad()).toBe(0);
    time.ms += BALANCER_LIMITS.ejectMs;
    expect(usedBad()).toBe(1);
    time.ms += BALANCER_LIMITS.ejectMs;
    expect(usedBad()).toBe(0);
    time.ms += BALANCER_LIMITS.ejectMsMax;
    let back = 0;
    for (let call = 0; call < 40; call += 1) {
      const pick = balancer.pick('serve');
      if (pick?.address === bad) back += 1;
      pick?.end('answered');
    }
    expect(back).toBeGreaterThan(10);
  });

  it('sends one call, not a herd, to see whether an address answers again', () => {
    const [good, bad] = urls(2);
    const { balancer, time } = setUp([good, bad].filter((url) => url !== undefined));
    const pickMany = () => Array.from({ length: 100 }, () => balancer.pick('serve'));
    for (const pick of pickMany()) pick?.end(pick.address === bad ? 'failed' : 'answered');
    time.ms += BALANCER_LIMITS.ejectMs;
    const picks = pickMany();
    const probes = picks.filter((pick) => pick?.address === bad);
    expect(probes).toHaveLength(1);
    // Those that began before it was left out say nothing about it now.
    for (const pick of picks) pick?.end('answered');
    expect(pickMany().filter((pick) => pick?.address === bad).length).toBeGreaterThan(30);
  });

  it('turns away from an instance that says it stops, and back to the one that comes after it', () => {
    const [first, second] = urls(2);
    const { balancer, time } = setUp([first, second].filter((url) => url !== undefined));
    for (let call = 0; call < 20; call += 1) {
      const pick = balancer.pick('serve');
      pick?.end(pick.address === first ? 'leaving' : 'answered');
    }
    expect(first !== undefined && second !== undefined && balancer.hasOther('serve', second)).toBe(false);
    for (let call = 0; call < 20; call += 1) expect(balancer.pick('serve')?.address).toBe(second);
    time.ms += BALANCER_LIMITS.leaveMs;
    const addresses = new Set<string | undefined>();
    for (let call = 0; call < 20; call += 1) addresses.add(balancer.pick('serve')?.address.href);
    expect(addresses.size).toBe(2);
  });

  it('forgets an address that leaves the list, and says so once', () => {
    const list = { urls: urls(3) };
    const forgotten: string[] = [];
    const balancer = new Balancer({
      addresses: () => list.urls,
      clock: { now: () => 0, monotonic: () => 0, sleep: async () => undefined },
      random: { float: () => Math.random(), id: () => '' },
      forget: (origin) => void forgotten.push(origin),
    });
    for (let call = 0; call < 50; call += 1) balancer.pick('serve')?.end('failed');
    list.urls = urls(2);
    balancer.refresh();
    balancer.refresh();
    expect(forgotten).toEqual(['http://127.0.0.1:1002']);
    // It comes back as one that nothing is known of.
    list.urls = urls(3).slice(2);
    expect(balancer.pick('serve')?.address.port).toBe('1002');
    expect(forgotten).toHaveLength(3);
  });

  it('tries all when all fail: a guess is better than no call', () => {
    const { balancer } = setUp(urls(2));
    for (let call = 0; call < 20; call += 1) balancer.pick('serve')?.end('failed');
    expect(balancer.pick('serve')).toBeDefined();
  });

  it('bounds second tries to a share of the calls', () => {
    const { balancer } = setUp(urls(1));
    let retries = 0;
    for (let call = 0; call < 1_000; call += 1) {
      balancer.pick('serve')?.end('failed');
      if (balancer.mayRetry('serve')) retries += 1;
    }
    expect(retries).toBeLessThanOrEqual(BALANCER_LIMITS.retriesSaved + 1_000 * BALANCER_LIMITS.retryShare);
    expect(retries).toBeGreaterThan(100);
  });
});
