import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The product, as far as the driver deals with its process. */
export interface Product {
  /** The address it listens on now; another one after a restart when the port is 0. */
  readonly url: string;
  /** Where its log goes; undefined where somebody else keeps it. */
  readonly logPath: string | undefined;
  /** What its front door wants to know of who asks. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether it was ended on purpose and is not up again. */
  readonly isDown: boolean;
  /** Resolves when it takes requests. Rejects when it ended by itself. */
  up(): Promise<void>;
  /** Starts it and waits until it is ready. With `fresh` it begins with an empty data folder. */
  start(options: { readonly fresh: boolean }): Promise<void>;
  /** Kills it and everything it started, as a power cut would, and starts it again on the data it left. */
  killAndRestart(): Promise<void>;
  /** Asks it to stop, waits, and ends it hard if it does not. Calling it twice is no error. */
  stop(): Promise<void>;
  /** For the end of this process when nothing can be waited for: asks the product to stop, if it runs. */
  abandon(): void;
}

/** The key that `tandem up` made for its owner, or the one of TANDEM_KEY_FILE; none where none is asked for. */
export async function readKey(dataDir: string): Promise<Readonly<Record<string, string>>> {
  const file = process.env['TANDEM_KEY_FILE'] ?? join(dataDir, 'admin.key');
  const key = await readFile(file, 'utf8').catch(() => '');
  return key === '' ? {} : { authorization: `Bearer ${key.trim()}` };
}

/** A product that runs already and is somebody else's to start and stop. */
export class GivenProduct implements Product {
  readonly url: string;
  readonly logPath = undefined;
  readonly isDown = false;
  readonly #dataDir: string;
  headers: Readonly<Record<string, string>> = {};

  constructor(url: string, dataDir: string) {
    this.url = url;
    this.#dataDir = dataDir;
  }

  up(): Promise<void> {
    return Promise.resolve();
  }

  async start(): Promise<void> {
    this.headers = await readKey(this.#dataDir);
  }

  killAndRestart(): Promise<void> {
    return Promise.reject(new Error('A product that runs already is not killed'));
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  abandon(): void {
    // It is somebody else's.
  }
}
