import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { allocate, type Demand, PRIORITY, type Shares } from './machine-limits.ts';

const demand = (service: Demand['service'], wanted: number, more: Partial<Demand> = {}): Demand => ({
  service,
  cpu: 0.5,
  memory: 500,
  min: 0,
  wanted,
  running: 0,
  ending: 0,
  ...more,
});
const large: Shares = { cpu: 100, memory: 100_000 };

describe('allocate', () => {
  it('gives everybody what they want where there is room', () => {
    const grants = allocate([demand('serve', 3), demand('train', 2)], large);
    expect(grants.get('serve')).toEqual({ replicas: 3, held: null });
    expect(grants.get('train')).toEqual({ replicas: 2, held: null });
  });

  it('gives the fewest of each first, then more by priority, and says who waits and why', () => {
    const grants = allocate(
      [demand('train', 2, { min: 0 }), demand('ingest', 1, { min: 1 }), demand('serve', 4, { min: 1 })],
      { cpu: 2, memory: 100_000 },
    );
    expect(grants.get('ingest')).toEqual({ replicas: 1, held: null });
    expect(grants.get('serve')).toEqual({
      replicas: 3,
      held: '4 wanted, 3 of them fit: the machine gives 2 cores and 100000 MiB to all processes',
    });
    expect(grants.get('train')?.replicas).toBe(0);
  });

  it('gives one of each before anybody gets the rest of their fewest', () => {
    const three = { min: 3 };
    const grants = allocate([demand('serve', 3, three), demand('registry', 3, three)], {
      cpu: 1.5,
      memory: 100_000,
    });
    expect([grants.get('serve')?.replicas, grants.get('registry')?.replicas]).toEqual([2, 1]);
  });

  it('is exact where shares add up in decimals only', () => {
    const grants = allocate([demand('serve', 3, { cpu: 0.1 })], { cpu: 0.3, memory: 100_000 });
    expect(grants.get('serve')?.replicas).toBe(3);
  });

  it('takes from training what serving needs, and starts it when that has ended', () => {
    const machine = { cpu: 1, memory: 100_000 };
    const before = allocate(
      [demand('serve', 2, { running: 1 }), demand('train', 1, { running: 1 })],
      machine,
    );
    expect(before.get('train')?.replicas).toBe(0);
    expect(before.get('serve')).toEqual({
      replicas: 1,
      held: '2 wanted, 1 of them fit: the rest waits for others to end',
    });
    const ending = allocate([demand('serve', 2, { running: 1 }), demand('train', 1, { ending: 1 })], machine);
    expect(ending.get('serve')?.replicas).toBe(1);
    const after = allocate([demand('serve', 2, { running: 1 }), demand('train', 1)], machine);
    expect(after.get('serve')).toEqual({ replicas: 2, held: null });
  });

  const shares = { cpu: fc.integer({ min: 1, max: 200 }), memory: fc.integer({ min: 128, max: 4_096 }) };
  const machines = fc.record({
    cpu: fc.integer({ min: 1, max: 64 }),
    memory: fc.integer({ min: 128, max: 65_536 }),
  });
  const demands = fc
    .uniqueArray(fc.constantFrom(...SERVICE_NAMES), { minLength: 1 })
    .chain((services) =>
      fc.tuple(
        ...services.map((service) =>
          fc
            .record({ ...shares, min: fc.nat(4), more: fc.nat(30) })
            .map(({ cpu, min, more, memory }) =>
              demand(service, min + more, { cpu: cpu / 100, min, memory }),
            ),
        ),
      ),
    );
  const used = (given: readonly Demand[], count: (one: Demand) => number): Shares => ({
    cpu: given.reduce((sum, one) => sum + one.cpu * count(one), 0),
    memory: given.reduce((sum, one) => sum + one.memory * count(one), 0),
  });

  it('never gives more than the machine has, step by step, whatever is asked and whatever ends when', () => {
    fc.assert(
      fc.property(machines, fc.array(demands, { minLength: 1, maxLength: 6 }), (machine, turns) => {
        let present = new Map<string, { running: number; ending: number }>();
        for (const [turn, wishes] of turns.entries()) {
          // What is left of other turns with other shares is out of this turn's sums.
          const known = turn === 0 ? wishes : (turns[0] ?? wishes);
          const asked = known.map((one) => {
            const wish = wishes.find(({ service }) => service === one.service);
            return { ...one, wanted: wish?.wanted ?? 0, min: wish?.min ?? 0, ...present.get(one.service) };
          });
          const grants = allocate(asked, machine);
          const next = new Map(
            asked.map((one) => {
              const replicas = grants.get(one.service)?.replicas ?? 0;
              const left = Math.max(0, one.running - replicas);
              return [one.service, { running: replicas, ending: turn % 2 === 0 ? one.ending + left : left }];
            }),
          );
          const there = used(asked, ({ service }) => {
            const { running = 0, ending = 0 } = next.get(service) ?? {};
            return running + ending;
          });
          expect(there.cpu).toBeLessThanOrEqual(machine.cpu + 1e-6);
          expect(there.memory).toBeLessThanOrEqual(machine.memory);
          for (const one of asked) {
            const grant = grants.get(one.service);
            expect(grant?.replicas).toBeLessThanOrEqual(one.wanted);
            expect(grant?.held === null).toBe(grant?.replicas === one.wanted);
          }
          present = next as typeof present;
        }
      }),
    );
  });

  it('knows every service', () => {
    for (const service of SERVICE_NAMES) expect(PRIORITY).toContain(service);
  });
});
