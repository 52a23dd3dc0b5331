import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PartitionRow, planMoves } from './plan-moves.ts';

const PARTITIONS = 16;

function free(): PartitionRow[] {
  return Array.from({ length: PARTITIONS }, (_, partition) => ({
    partition,
    epoch: 0,
    replica: null,
    instance: null,
    live: false,
    taker: null,
    takerReady: false,
  }));
}

function owned(owners: readonly string[]): PartitionRow[] {
  return free().map((row, index) => ({
    ...row,
    live: true,
    instance: owners[index % owners.length] ?? null,
  }));
}

function plan(
  rows: readonly PartitionRow[],
  instance: string,
  members: readonly string[],
  mayReserve = true,
) {
  return planMoves({ rows, instance, members: new Set(members), mayReserve });
}

/** Carries out what a member wants, as the table would: whoever comes first gets it. */
function carryOut(
  rows: readonly PartitionRow[],
  instance: string,
  members: readonly string[],
): PartitionRow[] {
  const { claim, reserve, cancel } = plan(rows, instance, members);
  return rows.map((row) => {
    const { partition } = row;
    if (claim.includes(partition) && !row.live)
      return { ...row, live: true, instance, epoch: row.epoch + 1, taker: null, takerReady: false };
    if (reserve.includes(partition) && row.taker === null)
      return { ...row, taker: instance, takerReady: true };
    return cancel.includes(partition) ? { ...row, taker: null, takerReady: false } : row;
  });
}

/** An owner hands over what somebody is ready for. */
function handOver(rows: readonly PartitionRow[], instance: string): PartitionRow[] {
  return rows.map((row) =>
    row.instance === instance && row.taker !== null && row.takerReady
      ? { ...row, instance: row.taker, taker: null, takerReady: false, epoch: row.epoch + 1 }
      : row,
  );
}

describe('planMoves', () => {
  it('claims everything that is free when it is alone, and its share when it is not', () => {
    expect(plan(free(), 'a', ['a']).claim).toHaveLength(PARTITIONS);
    expect(plan(free(), 'a', ['a', 'b', 'c']).claim).toHaveLength(6);
  });

  it('does not count a member that let its lease run out, and takes what that one had', () => {
    const rows = owned(['a', 'b']).map((row) => (row.instance === 'b' ? { ...row, live: false } : row));
    expect(plan(rows, 'a', ['a', 'b']).claim).toHaveLength(8);
  });

  it('gets ready for what another one has too much of, and only when it could answer', () => {
    expect(plan(owned(['a']), 'b', ['a', 'b']).reserve).toHaveLength(8);
    expect(plan(owned(['a']), 'b', ['a', 'b'], false)).toEqual({ claim: [], reserve: [], cancel: [] });
  });

  it('takes from one that leaves what it has', () => {
    const rows = owned(['a', 'b']);
    expect(plan(rows, 'a', ['a']).reserve).toHaveLength(8);
  });

  it('claims what it has got ready for when the owner is gone, and gives up what would be too much', () => {
    const rows = owned(['a', 'b']).map((row) => ({ ...row, taker: row.instance === 'b' ? 'a' : null }));
    const gone = rows.map((row) => (row.instance === 'b' ? { ...row, live: false } : row));
    expect(plan(gone, 'a', ['a']).claim).toHaveLength(8);
    expect(plan(rows, 'a', ['a', 'b']).cancel).toHaveLength(8);
  });

  it('leads to loads that differ by one at most, from any start and in any order of turns, and then rests', () => {
    const members = ['a', 'b', 'c', 'd', 'e'];
    const property = fc.property(
      fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'gone', null), {
        minLength: PARTITIONS,
        maxLength: PARTITIONS,
      }),
      fc.integer({ min: 1, max: members.length }),
      fc.array(fc.nat({ max: 99 }), { minLength: 10, maxLength: 10 }),
      (owners, count, order) => {
        const present = members.slice(0, count);
        let rows: PartitionRow[] = free().map((row, index) => {
          const instance = owners[index] ?? null;
          return { ...row, instance, live: instance !== null && instance !== 'gone' };
        });
        const turn = (member: string): void => {
          rows = handOver(carryOut(handOver(rows, member), member, present), member);
        };
        for (const pick of order) turn(present[pick % count] ?? 'a');
        for (let round = 0; round < 12; round += 1) {
          for (const member of members) {
            if (present.includes(member)) turn(member);
            else rows = handOver(rows, member);
          }
        }
        const loads = present.map((member) => rows.filter((row) => row.instance === member).length);
        expect(loads.reduce((sum, load) => sum + load, 0)).toBe(PARTITIONS);
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        for (const member of present)
          expect(plan(rows, member, present)).toEqual({ claim: [], reserve: [], cancel: [] });
      },
    );
    fc.assert(property, { numRuns: 300, seed: 11 });
  });
});
