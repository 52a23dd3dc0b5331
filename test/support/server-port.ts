import { lastingPort } from '../../src/runtime/index.ts';

/** A port on the loopback for a server that is stopped and started again there. */
export async function serverPort(): Promise<number> {
  const port = await lastingPort('127.0.0.1');
  if (port === undefined) throw new Error('There is no free port on 127.0.0.1');
  return port;
}
