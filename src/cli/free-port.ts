import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Ports that are tried beginning with the first. */
const TRIED_MAX = 100;

/** Whether nobody listens on the port. */
export function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port, exclusive: true }, () =>
      probe.close(() => resolve(true)),
    );
  });
}

/** The first free port from `first` on; 0, which lets the system choose, when there is none nearby. */
export async function nextFreePort(host: string, first: number): Promise<number> {
  for (let port = first; port < first + TRIED_MAX && port <= 65_535; port += 1) {
    if (await isPortFree(host, port)) return port;
  }
  return 0;
}

/** Ports that are tried when any will do. */
const ANY_TRIED_MAX = 20;

/** A port that nobody else takes while this is held. */
export interface ReservedPort extends Disposable {
  readonly port: number;
}

/**
 * Takes a port for processes that will share it: sharing means that a second set of processes would be let in as well. So
 * the number is also taken for UDP, which nobody shares and nothing is sent to, until it is given back.
 */
export async function reservePort(host: string, port: number): Promise<ReservedPort | undefined> {
  const address = host === 'localhost' ? '127.0.0.1' : host;
  for (let tried = 0; tried < (port === 0 ? ANY_TRIED_MAX : 1); tried += 1) {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const bound = await new Promise<number | undefined>((resolve) => {
      socket.once('error', () => resolve(undefined));
      socket.bind({ port, address, exclusive: true }, () => resolve(socket.address().port));
    });
    if (bound !== undefined) {
      socket.unref();
      return { port: bound, [Symbol.dispose]: () => void socket.close() };
    }
    socket.close();
  }
  return undefined;
}
