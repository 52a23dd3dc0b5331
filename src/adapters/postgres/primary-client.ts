import pg from 'pg';
import type { Host } from './address.ts';
import type { Servers, Watched } from './servers.ts';

/** What the driver's connection hands on of the server's settings. */
interface ParameterStatus {
  readonly parameterName: string;
  readonly parameterValue: string;
}

type ConnectCallback = (error: Error | null, client?: pg.Client) => void;

/** Settings that a server reports by itself, and again when they change. */
const READ_ONLY_SETTINGS: ReadonlySet<string> = new Set(['in_hot_standby', 'default_transaction_read_only']);
/** What the server says when somebody made it answer a commit that its standby has not confirmed. */
const UNCONFIRMED = /synchronous replication/i;

/**
 * A connection to whichever of the servers is the primary: it is looked for when the connection is made, and a server
 * that does not take writes is refused, so that nothing is ever read from a standby.
 */
export class PrimaryClient extends pg.Client implements Watched {
  readonly #servers: Servers;
  readonly #readOnly = new Set<string>();

  constructor(servers: Servers, config: pg.ClientConfig) {
    super(config);
    this.#servers = servers;
    this.connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (!READ_ONLY_SETTINGS.has(parameterName)) return;
      if (parameterValue === 'on') this.#readOnly.add(parameterName);
      else this.#readOnly.delete(parameterName);
    });
    this.on('notice', ({ message }) => {
      // The commit is on this server alone. To call that durable would be a lie, so it counts as unknown.
      if (message !== undefined && UNCONFIRMED.test(message)) this.abandon(unconfirmed(message));
    });
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<pg.Client> | void {
    if (callback === undefined) return this.#connect();
    void this.#connectFor(callback);
  }

  abandon(reason: Error): void {
    // Rejects the statements before anything else that has arrived is looked at.
    this.connection.emit('error', reason);
    this.connection.stream.destroy();
  }

  async #connectFor(callback: ConnectCallback): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    callback(null, this);
  }

  async #connect(): Promise<pg.Client> {
    const host = await this.#servers.primary();
    if (this.#servers.hosts.length > 1) {
      this.host = host.hostname;
      this.port = host.port;
    }
    try {
      await super.connect();
      if (this.#readOnly.size > 0) throw this.#refuse(host);
    } catch (error) {
      this.#servers.doubt(host);
      throw error;
    }
    this.on('error', () => this.#servers.doubt(host));
    this.on('end', () => this.#servers.leave(this));
    this.#servers.join(this, host);
    return this;
  }

  #refuse(host: Host): Error {
    this.connection.stream.destroy();
    const text = `${host.name} is a standby or takes no writes (${[...this.#readOnly].join(', ')})`;
    return Object.assign(new Error(text), { code: '25006' });
  }
}

function unconfirmed(message: string): Error {
  const text = `the commit is on the primary but was not confirmed by its standby: ${message}`;
  return Object.assign(new Error(text), { code: 'ECONNABORTED' });
}
