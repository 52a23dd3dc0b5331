import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { isRunning } from '../../../src/adapters/postgres/embedded/processes.ts';

const MODULE = new URL('ending.ts', import.meta.url).href;

/** A run that has started a process of its own group and then does `code`. Its first line is the process's id. */
function script(file: string, code: string): string {
  return `
    import { spawn } from 'node:child_process';
    import { writeFile } from 'node:fs/promises';
    import { atEnd, endWithEverything } from '${MODULE}';
    endWithEverything();
    atEnd(() => writeFile(${JSON.stringify(file)}, 'undone'));
    const idle = ['-e', 'setInterval(() => undefined, 1_000)'];
    const child = spawn(process.execPath, idle, { detached: true, stdio: 'ignore' });
    console.log(child.pid);
    ${code}`;
}

const ENDS: Readonly<Record<string, { readonly code: string; readonly act?: (run: ChildProcess) => void }>> =
  {
    'a signal': { code: '', act: (run) => void run.kill('SIGTERM') },
    'a signal that comes twice': {
      code: '',
      act: (run) => {
        run.kill('SIGTERM');
        run.kill('SIGTERM');
      },
    },
    'an error that nobody caught': { code: `setTimeout(() => { throw new Error('planned'); }, 1);` },
    'a promise that nobody waits for': { code: `void Promise.reject(new Error('planned'));` },
  };

describe('a chaos run that is ended', () => {
  it.each(Object.keys(ENDS))('by %s undoes what it did and leaves no process', async (name) => {
    const { code, act } = ENDS[name] ?? { code: '' };
    const folder = await mkdtemp(join(tmpdir(), 'tandem-ending-'));
    const file = join(folder, 'end');
    try {
      const text = script(file, code);
      const run = spawn(process.execPath, ['--input-type=module', '-e', text], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const ended = once(run, 'exit');
      const [line] = (await once(createInterface({ input: run.stdout }), 'line')) as [string];
      expect(Number(line)).toBeGreaterThan(1);
      act?.(run);
      expect((await ended)[0]).toBe(1);
      expect(await readFile(file, 'utf8')).toBe('undone');
      await expect.poll(() => isRunning(Number(line)), { timeout: 20_000 }).toBe(false);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
