import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { describe, expect, it } from 'vitest';
import { defineDeployment } from '../../define/index.ts';
import { lowerPriority, shareEnvironment } from './shares.ts';

describe('shareEnvironment', () => {
  const { services } = defineDeployment({
    services: { serve: { memory: 512 }, features: { cpu: 6, memory: 4_096 } },
  });

  it('bounds heap, warehouse and threads by the shares', () => {
    expect(shareEnvironment(services.features, {})).toEqual({
      UV_THREADPOOL_SIZE: '12',
      TANDEM_WAREHOUSE_THREADS: '6',
      TANDEM_WAREHOUSE_MEMORY_BYTES_MAX: String(512 * 2 ** 20),
      NODE_OPTIONS: '--max-old-space-size=2048',
    });
    expect(shareEnvironment(services.serve, {})).toMatchObject({
      UV_THREADPOOL_SIZE: '4',
      TANDEM_WAREHOUSE_THREADS: '1',
      TANDEM_WAREHOUSE_MEMORY_BYTES_MAX: String(64 * 2 ** 20),
    });
  });

  it('bounds no memory that the deployment does not name', () => {
    expect(Object.keys(shareEnvironment(services.train, {})).sort()).toEqual([
      'TANDEM_WAREHOUSE_THREADS',
      'UV_THREADPOOL_SIZE',
    ]);
  });

  it('leaves what is set already', () => {
    const given = { NODE_OPTIONS: '--max-old-space-size=300', UV_THREADPOOL_SIZE: '7', OTHER: 'x' };
    expect(shareEnvironment(services.serve, given)).toMatchObject({
      ...given,
      // Of two, Node.js takes the last.
      NODE_OPTIONS: '--max-old-space-size=256 --max-old-space-size=300',
    });
  });
});

describe('lowerPriority', () => {
  it.skipIf(process.platform === 'win32')('lets training give way, and nobody else', async () => {
    const script = 'setInterval(() => {}, 1000); process.stdout.write("runs")';
    const child = spawn(process.execPath, ['-e', script], { detached: true });
    try {
      await once(child.stdout, 'data');
      const pid = child.pid ?? 0;
      await lowerPriority('serve', pid);
      expect(getPriority(pid)).toBe(getPriority());
      await lowerPriority('train', pid);
      expect(getPriority(pid)).toBe(10);
      if (process.platform !== 'linux') return;
      for (const thread of await readdir(`/proc/${String(pid)}/task`)) {
        expect(getPriority(Number(thread))).toBe(10);
      }
      const session = await readFile(`/proc/${String(pid)}/autogroup`, 'utf8').catch(() => undefined);
      if (session !== undefined) expect(session).toContain('nice 10');
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  it('is no error for a process that has ended', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await expect(lowerPriority('train', child.pid ?? 0)).resolves.toBeUndefined();
  });
});
