import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isPortFree, lastingPort, lastingPorts } from './lasting-port.ts';

describe('lastingPort', () => {
  it('is free, and none that the system gives to outgoing connections', async () => {
    const port = (await lastingPort('127.0.0.1')) ?? 0;
    expect(await isPortFree('127.0.0.1', port)).toBe(true);
    const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '32768 60999');
    const [first = 0, last = 0] = text.split(/\s+/).map(Number);
    expect(port).toBeGreaterThanOrEqual(10_000);
    expect(port < first || port > last).toBe(true);
  });

  it('passes over ports that cannot be had, and gives up in the end', async () => {
    const asked: number[] = [];
    const third = async (port: number): Promise<string | undefined> => {
      asked.push(port);
      return asked.length === 3 ? `port ${String(port)}` : undefined;
    };
    expect(await lastingPort('127.0.0.1', third)).toBe(`port ${String(asked[2])}`);
    expect(new Set(asked).size).toBe(3);
    expect(await lastingPort('127.0.0.1', async () => undefined)).toBeUndefined();
  });

  it('keeps to what the range for outgoing connections leaves', () => {
    const usual = lastingPorts({ first: 32_768, last: 60_999 });
    expect([usual[0], usual.includes(32_767), usual.includes(32_768), usual.includes(60_999)]).toEqual([
      10_000,
      true,
      false,
      false,
    ]);
    expect(usual.at(-1)).toBe(65_535);
    expect(lastingPorts({ first: 15_000, last: 61_000 })).not.toContain(15_000);
    // It leaves nothing: then those that are rarely given.
    const all = lastingPorts({ first: 1_024, last: 65_535 });
    expect([all[0], all.at(-1)]).toEqual([10_000, 32_767]);
  });
});

describe('isPortFree', () => {
  it('finds a port taken while somebody listens on it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { readonly port: number };
    expect(await isPortFree('127.0.0.1', port)).toBe(false);
    server.close();
    await once(server, 'close');
    expect(await isPortFree('localhost', port)).toBe(true);
  });
});
