import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { killTree, processTree, treeRssBytes } from './process-tree.ts';

/** A process that starts another in a session of its own, which starts a third, and then says so. */
const FAMILY = `
  const { spawn } = require('node:child_process');
  const depth = Number(process.argv[1]);
  if (depth > 0) spawn(process.execPath, ['-e', process.env.FAMILY, String(depth - 1)], { detached: true, stdio: 'inherit' });
  else console.log('born');
  setInterval(() => undefined, 1_000);
`;

describe('killTree', () => {
  it('ends a process with everything below it, also what has a session of its own', async () => {
    const child = spawn(process.execPath, ['-e', FAMILY, '2'], {
      env: { ...process.env, FAMILY },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const pid = child.pid ?? -1;
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const tree = await processTree(pid);
    expect(tree).toHaveLength(3);
    const bytes = await treeRssBytes(pid);
    if (process.platform === 'linux') expect(bytes).toBeGreaterThan(50_000_000);
    else expect(bytes).toBe(null);
    await killTree(pid);
    expect(child.signalCode ?? 'SIGKILL').toBe('SIGKILL');
    expect(await processTree(pid)).toEqual([pid]);
    expect((await processTree(process.pid)).filter((other) => tree.includes(other))).toEqual([]);
  });
});
