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
