import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError } from '../../contract/errors.ts';
import { type Host, readAddress } from './address.ts';
import { translate } from './failures.ts';
import { look, type Sight } from './look.ts';

/** How the servers of an address are watched. */
export const WATCH = {
  /** How often it is looked whether statements take long, in milliseconds. */
  tickMs: 1_000,
  /** A connection that is at work for longer makes us look at the servers, in milliseconds. */
  slowMs: 2_000,
  /** With several servers they are looked at this often in any case, in milliseconds. */
  lookMs: 10_000,
  /** How long one look waits for a server: with several of them, and with one, in milliseconds. */
  answerMs: 2_000,
  answerAloneMs: 5_000,
  /** A server that is silent for so many looks in succession has lost its connections. */
  missesMax: 2,
  /** How long a found primary is taken for one without looking again, in milliseconds. */
  trustMs: 10_000,
  /** After a search without a result the next one waits, and everybody is refused at once, in milliseconds. */
  pauseMs: 1_000,
  /** When one primary was found, how long to wait for another one with a newer timeline, in milliseconds. */
  rivalMs: 200,
} as const;

/** A connection that the watch can end. */
export interface Watched {
  /** Ends it at once; its statements are rejected with `reason`. */
  abandon(reason: Error): void;
}

interface Known {
  readonly host: Host;
  readonly joinedAt: number;
  /** Since when it has been at work. */
  lentAt: number | undefined;
}

/**
 * The servers of a DATABASE_URL. It knows which one is the primary, and ends connections to those that no longer are:
 * a statement on a connection whose packets are dropped would otherwise wait for many minutes, and a primary that was
 * deposed without knowing it would still answer reads.
 *
 * A primary with an older timeline than one that was seen before is none, so that no connection goes back to a deposed
 * server.
 */
export class Servers implements Disposable {
  readonly hosts: readonly [Host, ...Host[]];
  readonly #applicationName: string;
  readonly #connections = new Map<Watched, Known>();
  readonly #newest = new Map<string, number>();
  readonly #misses = new Map<Host, number>();
  readonly #starts = new Map<Host, string>();
  #primary: { readonly host: Host; readonly at: number } | undefined;
  #search: Promise<Host> | undefined;
  #refusal: { readonly error: PlatformError; readonly until: number } | undefined;
  #lookedAt = performance.now();
  #looking = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(url: string, applicationName: string) {
    this.hosts = readAddress(url);
    this.#applicationName = applicationName;
  }

  get #isOnly(): boolean {
    return this.hosts.length === 1;
  }

  /**
   * The server to connect to. With a single one that is it. Rejects with UNAVAILABLE when no server is a primary that
   * can be reached, with CONFIGURATION when credentials or database are wrong.
   */
  async primary(): Promise<Host> {
    if (this.#isOnly) return this.hosts[0];
    const now = performance.now();
    if (this.#primary !== undefined && now - this.#primary.at < WATCH.trustMs) return this.#primary.host;
    if (this.#refusal !== undefined && now < this.#refusal.until) throw this.#refusal.error;
    this.#search ??= this.#find().finally(() => (this.#search = undefined));
    return this.#search;
  }

  /** Forgets that this is the primary: a connection to it was lost or refused. */
  doubt(host: Host): void {
    if (this.#primary?.host === host) this.#primary = undefined;
  }

  /** Takes a connection into the watch. */
  join(connection: Watched, host: Host): void {
    this.#connections.set(connection, { host, joinedAt: performance.now(), lentAt: undefined });
    this.#timer ??= setInterval(() => void this.#tick(), WATCH.tickMs).unref();
  }

  leave(connection: Watched): void {
    this.#connections.delete(connection);
  }

  /** From now until {@link Servers.returned} somebody waits for the connection. */
  lent(connection: Watched): void {
    const known = this.#connections.get(connection);
    if (known !== undefined) known.lentAt = performance.now();
  }

  returned(connection: Watched): void {
    const known = this.#connections.get(connection);
    if (known !== undefined) known.lentAt = undefined;
  }

  /** Notes what a look at a server found. */
  note(sight: Sight): void {
    if (sight.state !== 'primary') return;
    this.#newest.set(sight.system, Math.max(this.#newest.get(sight.system) ?? 0, sight.timeline));
    const started = this.#starts.get(sight.host);
    this.#starts.set(sight.host, sight.startedAt);
    // Another start of the server: connections from before it lead nowhere, even if nobody told us.
    if (started !== undefined && started !== sight.startedAt)
      this.#abandon(sight.host, this.#lookedAt, `${sight.host.name} was started anew`);
  }

  /** Ends every connection, also those whose server does not answer. */
  abandonAll(): void {
    for (const connection of this.#connections.keys()) connection.abandon(lost('The process stops'));
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.abandonAll();
  }

  async #find(): Promise<Host> {
    const sights = await this.#look();
    const found = this.#choose(sights);
    if (found !== undefined) return this.#trust(found);
    const error = noPrimary(this.hosts, sights);
    this.#refusal = { error, until: performance.now() + WATCH.pauseMs };
    throw error;
  }

  #trust(sight: Sight): Host {
    this.note(sight);
    this.#misses.clear();
    this.#refusal = undefined;
    this.#primary = { host: sight.host, at: performance.now() };
    return sight.host;
  }

  async #look(): Promise<Sight[]> {
    this.#lookedAt = performance.now();
    const sights: Sight[] = [];
    const answerMs = this.#isOnly ? WATCH.answerAloneMs : WATCH.answerMs;
    const { promise: found, resolve } = Promise.withResolvers<void>();
    const all = this.hosts.map(async (host) => {
      const sight = await look(host, this.#applicationName, answerMs);
      sights.push(sight);
      if (sight.state === 'primary') resolve();
    });
    await Promise.race([
      Promise.all(all),
      found.then(() => sleep(this.#isOnly ? 0 : WATCH.rivalMs, undefined, { ref: false })),
    ]);
    return [...sights];
  }

  /** The primary with the newest timeline, unless a newer one was seen before. */
  #choose(sights: readonly Sight[]): Sight | undefined {
    const primaries = sights
      .filter(({ state }) => state === 'primary')
      .sort((left, right) => right.timeline - left.timeline);
    return primaries.find(({ system, timeline }) => timeline >= (this.#newest.get(system) ?? 0));
  }

  async #tick(): Promise<void> {
    if (this.#looking || this.#closed || this.#connections.size === 0) return;
    const now = performance.now();
    const isSlow = [...this.#connections.values()].some(
      ({ lentAt }) => lentAt !== undefined && now - lentAt > WATCH.slowMs,
    );
    const isDue = !this.#isOnly && now - this.#lookedAt > WATCH.lookMs;
    if (!isSlow && !isDue) return;
    this.#looking = true;
    try {
      const sights = await this.#look();
      if (!this.#closed) this.#judge(sights);
    } finally {
      this.#looking = false;
    }
  }

  #judge(sights: readonly Sight[]): void {
    const primary = this.#choose(sights);
    if (primary !== undefined) {
      this.#trust(primary);
      for (const host of this.hosts) {
        if (host !== primary.host) this.#abandon(host, Infinity, `${primary.host.name} is the primary now`);
      }
      return;
    }
    for (const { host, state } of sights) {
      const misses = state === 'silent' ? (this.#misses.get(host) ?? 0) + 1 : 0;
      this.#misses.set(host, misses);
      if (state === 'silent' && misses < WATCH.missesMax) continue;
      const why = { silent: 'does not answer', standby: 'is a standby now', primary: 'was deposed' }[state];
      this.doubt(host);
      this.#abandon(host, Infinity, `${host.name} ${why}`);
    }
  }

  /** Ends the connections to a server that were made before `before`. */
  #abandon(host: Host, before: number, why: string): void {
    for (const [connection, known] of this.#connections) {
      if (known.host === host && known.joinedAt < before) connection.abandon(lost(why));
    }
  }
}

/** The error of a statement whose connection was given up: what it did is unknown. */
function lost(why: string): Error {
  return Object.assign(new Error(`the connection was given up: ${why}`), { code: 'ECONNABORTED' });
}

function noPrimary(hosts: readonly Host[], sights: readonly Sight[]): PlatformError {
  for (const { error } of sights) {
    const known = translate(error);
    if (PlatformError.is(known) && known.code === 'CONFIGURATION') return known;
  }
  const states = hosts.map((host) => {
    const sight = sights.find((item) => item.host === host);
    if (sight === undefined || sight.state === 'silent') return `${host.name} does not answer`;
    return sight.state === 'standby' ? `${host.name} is a standby` : `${host.name} was deposed`;
  });
  return new PlatformError('UNAVAILABLE', `No PostgreSQL server takes writes now: ${states.join(', ')}`, {
    details: { hosts: hosts.map(({ name }) => name) },
    cause: sights.find(({ error }) => error !== undefined)?.error,
  });
}
