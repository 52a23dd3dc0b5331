import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { nextFreePort, reservePort } from './free-port.ts';

describe('reservePort', () => {
  it('lets nobody else reserve the port until it is given back', async () => {
    const first = await reservePort('127.0.0.1', 0);
    const port = first?.port ?? 0;
    expect(port).toBeGreaterThanOrEqual(10_000);
    expect(await reservePort('127.0.0.1', port)).toBeUndefined();
    first?.[Symbol.dispose]();
    await expect
      .poll(async () => {
        using again = await reservePort('127.0.0.1', port);
        return again?.port;
      })
      .toBe(port);
  });
});

describe('nextFreePort', () => {
  it('passes over a port on which somebody listens', async () => {
    using reserved = await reservePort('127.0.0.1', 0);
    const port = reserved?.port ?? 0;
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(await nextFreePort('127.0.0.1', port)).toBeGreaterThan(port);
    server.close();
  });
});
