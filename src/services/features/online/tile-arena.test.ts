import { describe, expect, it } from 'vitest';
import { TileArena } from './tile-arena.ts';

const STRIDE = 10;

interface Block {
  readonly block: number;
  readonly size: number;
  readonly mark: number;
}

function fill(arena: TileArena, { block, size, mark }: Block): void {
  const base = arena.base(block);
  arena.values(block).fill(mark, base, base + (STRIDE << size));
}

function isWhole(arena: TileArena, { block, size, mark }: Block): boolean {
  const base = arena.base(block);
  const numbers = arena.values(block).subarray(base, base + (STRIDE << size));
  return numbers.length === STRIDE << size && numbers.every((number) => number === mark);
}

describe('TileArena', () => {
  it('keeps blocks of every size apart while it grows over several chunks', () => {
    const arena = new TileArena(STRIDE);
    let blocks: Block[] = [];
    for (let turn = 1; turn <= 4_000; turn += 1) {
      // Mostly small ones; some are longer than a chunk of 16,384 rows.
      const size = turn % 500 === 0 ? 15 : (turn * 7) % 8;
      const block = { block: arena.allocate(size), size, mark: turn };
      fill(arena, block);
      blocks.push(block);
      if (turn % 3 === 0) {
        const [gone] = blocks.splice((turn * 31) % blocks.length, 1);
        if (gone !== undefined) arena.release(gone.block, gone.size);
      }
    }
    expect(blocks.filter((block) => !isWhole(arena, block))).toEqual([]);
    blocks = blocks.filter(({ size }) => size < 15);
    const { bytes } = arena;
    for (const { block, size } of blocks) arena.release(block, size);
    for (const { size } of blocks) arena.allocate(size);
    expect(arena.bytes).toBe(bytes);
  });

  it('copies rows between blocks of different chunks', () => {
    const arena = new TileArena(STRIDE);
    const first = { block: arena.allocate(3), size: 3, mark: 1 };
    fill(arena, first);
    for (let turn = 0; turn < 5; turn += 1) arena.allocate(13);
    const other = arena.allocate(4);
    arena.copy(first.block, other, 8);
    expect(isWhole(arena, { ...first, block: other })).toBe(true);
  });
});
