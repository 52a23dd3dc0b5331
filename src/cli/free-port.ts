import { createSocket } from 'node:dgram';
import { isPortFree, lastingPort } from '../runtime/index.ts';

/** The port that `tandem dev` and the gateway of `tandem up` take when it is free. */
export const DEV_PORT = 7_717;
/** Ports that are tried beginning with the first. */
const TRIED_MAX = 100;

/** The first free port from `first` on; 0, which lets the system choose, when there is none nearby. */
export async function nextFreePort(host: string, first: number): Promise<number> {
  for (let port = first; port < first + TRIED_MAX && port <= 65_535; port += 1) {
    if (await isPortFree(host, port)) return port;
  }
  return 0;
}

/** A port that nobody else takes while this is held. */
export interface ReservedPort extends Disposable {
  readonly port: number;
}

/**
 * Takes a port for processes that will share it: sharing means that a second set of processes would be let in as well. So
 * the number is also taken for UDP, which nobody shares and nothing is sent to, until it is given back. 0: any port to
 * which those processes can come back, see {@link lastingPort}.
 */
export async function reservePort(host: string, port: number): Promise<ReservedPort | undefined> {
  if (port !== 0) return reserve(host, port);
  return lastingPort(host, async (candidate) => {
    const reserved = await reserve(host, candidate);
    if (reserved === undefined || (await isPortFree(host, candidate))) return reserved;
    reserved[Symbol.dispose]();
    return undefined;
  });
}

async function reserve(host: string, port: number): Promise<ReservedPort | undefined> {
  const address = host === 'localhost' ? '127.0.0.1' : host;
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const isBound = await new Promise<boolean>((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind({ port, address, exclusive: true }, () => resolve(true));
  });
  if (!isBound) {
    socket.close();
    return undefined;
  }
  socket.unref();
  return { port, [Symbol.dispose]: () => void socket.close() };
}
