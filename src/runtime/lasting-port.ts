import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

/** Ports as numbers, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Lower ones are for services that are known by theirs. */
const FIRST = 10_000;
const LAST = 65_535;
/** What systems give to outgoing connections when they do not say otherwise: Linux from here, others from 49,152 on. */
const USUALLY_GIVEN: PortRange = { first: 32_768, last: LAST };
/** Ports that are tried. */
const TRIED_MAX = 200;

/**
 * Takes a port that a process listens on again and again, also after it was away for a while: one that the system gives to
 * no outgoing connection and to nobody who asks for any port, and that nobody listens on now. `take` says whether it can
 * be had; default: nobody listens there on `host`. `undefined` when none can.
 *
 * A port from the range for outgoing connections is free at one moment and somebody's at the next, and whoever comes back
 * to it finds it in use.
 */
export async function lastingPort<TTaken = number>(
  host: string,
  take: (port: number) => Promise<TTaken | undefined> = async (port) =>
    (await isPortFree(host, port)) ? (port as TTaken) : undefined,
): Promise<TTaken | undefined> {
  const candidates = lastingPorts(await givenRange());
  const begin = randomInt(candidates.length);
  for (let tried = 0; tried < TRIED_MAX; tried += 1) {
    const taken = await take(candidates[(begin + tried) % candidates.length] ?? 0);
    if (taken !== undefined) return taken;
  }
  return undefined;
}

/**
 * Ports outside the range that the system gives away. Where that is nearly all of them, those below 32,768: they are asked
 * for by name more often than they are given.
 */
export function lastingPorts(given: PortRange): number[] {
  const all = Array.from({ length: LAST - FIRST + 1 }, (_, index) => FIRST + index);
  const outside = all.filter((port) => port < given.first || port > given.last);
  return outside.length >= TRIED_MAX ? outside : all.filter((port) => port < USUALLY_GIVEN.first);
}

/** The range from which the system gives ports to outgoing connections. */
async function givenRange(): Promise<PortRange> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '');
  const [first = Number.NaN, last = Number.NaN] = text.trim().split(/\s+/).map(Number);
  return first > 0 && last >= first ? { first, last } : USUALLY_GIVEN;
}

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
