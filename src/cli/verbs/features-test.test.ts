import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ROOT } from '../../../test/tidy/tree.ts';
import { Accumulator } from '../../services/features/online/accumulate.ts';
import { main } from '../program.ts';
import { originalOf } from '../../services/features/check/test-original.ts';

let stdout = '';
let stderr = '';
beforeEach(() => {
  [stdout, stderr] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
});
afterEach(() => {
  vi.restoreAllMocks();
});

const fraud = join(ROOT, 'examples/fraud/app.ts');
const test = (...parameters: string[]): Promise<number> =>
  main(['features', 'test', '--app', fraud, ...parameters]);

/** Counts one event too few of every window that has two. */
function plantMutant(): () => void {
  const add = originalOf(Accumulator.prototype, 'add');
  const planted = vi.spyOn(Accumulator.prototype, 'add').mockImplementation(function (
    this: Accumulator,
    value,
    time,
    sequence,
  ) {
    if (this.events !== 1) add.call(this, value, time, sequence);
  });
  return () => planted.mockRestore();
}

describe('tandem features test', () => {
  it('tests every group of an app, and says how many values it compared', async () => {
    expect(await test('--runs', '40', '--seed', '3', '--json')).toBe(0);
    const result = JSON.parse(stdout) as {
      values: number;
      seed: number;
      failed: string[];
      groups: { group: string; values: number; failure: unknown; counts: { passed: number } }[];
    };
    expect(result.groups.map(({ group }) => group).sort()).toEqual(['customer', 'terminal']);
    expect(result).toMatchObject({ seed: 3, failed: [] });
    expect(result.values).toBe(result.groups.reduce((sum, { values }) => sum + values, 0));
    expect(Math.min(...result.groups.map(({ values }) => values))).toBeGreaterThan(1_000);
  });

  it('prints a table for people', async () => {
    expect(await test('customer', '--runs', '10', '--seed', '3')).toBe(0);
    expect(stdout).toMatch(/^GROUP +STREAMS +VALUES/);
    expect(stdout).toMatch(/customer +10 +\S+ .* equal\n/);
    expect(stdout).toMatch(/values compared, online, by SQL and by replay: all equal in 1 groups \(seed 3, /);
    expect(stderr).toBe('');
  });

  it('makes a failure small and readable, exits with 1, and says how to see it again', async () => {
    const remove = plantMutant();
    expect(await test('customer', '--runs', '200', '--seed', '3')).toBe(1);
    const first = stdout;
    expect(first).toMatch(/customer\.\S+: SQL differs from online and replay/);
    expect(first).toMatch(/WHAT +AT +SOURCE +P\/OFFSET +ID +EVENT TIME +KEY +FIELDS +NOTES/);
    const rows = first.split('\n').filter((line) => /^(append|read) /.test(line));
    // Two events, and the one that is decided on: one may be the candidate.
    expect(rows.length).toBeLessThanOrEqual(3);
    const again = /^again: tandem (.*)$/m.exec(first)?.[1]?.split(' ') ?? [];
    stdout = '';
    expect(await main(again)).toBe(1);
    const caseOf = (text: string): string => text.slice(text.indexOf('customer.'), text.indexOf('again:'));
    expect(caseOf(stdout)).toBe(caseOf(first));
    remove();
    expect(await main(again)).toBe(0);
  });

  it('fails for a group that no event reached', async () => {
    const nothing = join(ROOT, 'src/services/features/check/fixtures/unreachable.ts');
    expect(await main(['features', 'test', '--app', nothing, '--runs', '20', '--seed', '1'])).toBe(1);
    expect(stdout).toContain("not tested: no event passed the group's filter");
  });

  it.each([
    [['nobody'], "There is no feature group 'nobody'; the app has"],
    [['--runs', 'many'], '--runs: expected a whole number from 1 to'],
    [['--runs', '0'], '--runs: expected a whole number from 1 to'],
    [['--seed', '1.5'], '--seed: expected a whole number'],
    [['--path', '3'], '--path: name the one group whose stream it is'],
    [['customer', '--path', 'x'], '--path: expected the number of a stream'],
  ])('%o is wrong use', async (parameters, text) => {
    expect(await test(...parameters)).toBe(2);
    expect(stderr).toContain(text);
    expect(stdout).toBe('');
  });
});
