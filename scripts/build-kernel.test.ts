import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KERNELS, assemble, render } from './build-kernel.mjs';

describe.each(KERNELS)('the kernel of $name, shared $isShared,', ({ source, target, isShared }) => {
  it('has the bytes of its source: after a change run "node scripts/build-kernel.mjs"', () => {
    const bytes = assemble(readFileSync(source, 'utf8'), isShared);
    expect(readFileSync(target, 'utf8')).toBe(render(bytes, isShared));
  });
});

describe('assemble', () => {
  it('writes a module that adds', async () => {
    const bytes = assemble(`(module (import "env" "memory" (memory 1))
      (func $add (export "add") (param $a i32) (param $b i32) (result i32)
        (i32.add (local.get $a) (i32.mul (i32.const -70000) (local.get $b)))))`);
    const env = { memory: new WebAssembly.Memory({ initial: 1 }) };
    const { instance } = await WebAssembly.instantiate(bytes, { env });
    expect(instance.exports.add(5, 2)).toBe(-139_995);
  });

  it('names what it does not know', () => {
    const inside = (code) => () =>
      assemble(`(module (import "env" "memory" (memory 1)) (func $f (export "f") ${code}))`);
    expect(inside('(i32.popcnt (i32.const 1))')).toThrow(/i32.popcnt is not known/);
    expect(inside('(local.set $a (i32.const 1))')).toThrow(/no local \$a/);
    expect(inside('(br $out)')).toThrow(/no label \$out/);
    expect(inside('(call $g)')).toThrow(/no function \$g/);
    expect(inside('(br $out')).toThrow(/"\)" is missing/);
  });
});
