import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { deploymentSchema } from '../deploy/deployment.ts';
import type { Logger } from '../../runtime/index.ts';
import { isAlive } from '../process-identity.ts';

const processRecord = z.object({
  service: z.enum(SERVICE_NAMES),
  /** Number among the processes of its service, from 1; its log is named after it. */
  slot: z.int().min(1),
  /** Id of the build that it runs. */
  build: z.string().nullable().default(null),
  /** `waiting`: it ended and will be started again after a pause. */
  state: z.enum(['starting', 'ready', 'waiting', 'stopping']),
  pid: z.int().min(1).nullable(),
  /** When the process started, see ProcessIdentity. */
  started: z.string(),
  url: z.url().nullable(),
  /** How often it was started again. */
  restarts: z.int().min(0),
  /** What is wrong with it while it runs, for instance that it is not ready for long. */
  problem: z.string().nullable().default(null),
  /**
   * How the process before it in this place ended without an order, when, in milliseconds since 1970-01-01 UTC, and the last
   * error that it wrote.
   */
  lastEnd: z
    .object({ at: z.number(), how: z.string(), error: z.string().nullable() })
    .nullable()
    .default(null),
});

const serviceRecord = z.object({
  /** Processes that are wanted and for which there is room. */
  replicas: z.int().min(0),
  /** Between these load decides; the same number twice leaves nothing to it. */
  min: z.int().min(0).default(0),
  max: z.int().min(0).default(0),
  /** Whether `tandem scale` said so, and not the description. */
  scaled: z.boolean(),
  /** The signal that asks for most, in words. */
  signal: z.string().nullable().default(null),
  /** When and why the number last changed by load; the time in milliseconds since 1970-01-01 UTC. */
  changed: z.object({ at: z.number(), reason: z.string() }).nullable().default(null),
  /** Why fewer run than load asks for. */
  held: z.string().nullable().default(null),
  restarting: z.boolean(),
  /** Why the last `tandem restart` was given up. */
  problem: z.string().nullable(),
  /** What its processes are to run. */
  build: z.object({ id: z.string(), label: z.string() }).nullable().default(null),
  /** The last deployment. */
  deployment: deploymentSchema.nullable().default(null),
});

const upState = z.object({
  supervisor: z.object({ pid: z.int().min(1), started: z.string() }),
  /** File of the app. */
  app: z.string(),
  /** Port of the supervisor on the loopback; `null` while it starts. */
  controlPort: z.int().nullable(),
  services: z.record(z.enum(SERVICE_NAMES), serviceRecord),
  processes: z.array(processRecord),
});

/** One process of `tandem up`. */
export type ProcessRecord = Readonly<z.infer<typeof processRecord>>;
/** One service of `tandem up`. */
export type ServiceRecord = Readonly<z.infer<typeof serviceRecord>>;
/** What `tandem up` keeps in `up.json`, so that other verbs and its successor find its processes. */
export type UpState = Readonly<z.infer<typeof upState>>;

const FILE = 'up.json';
/** Pause before a write that failed is tried again, in milliseconds. */
const AGAIN_MS = 1_000;

/** The state that is there, left by a running supervisor or a killed one; `undefined` when there is none. */
export async function readState(dataDir: string): Promise<UpState | undefined> {
  return parse(await readFile(join(dataDir, FILE), 'utf8').catch(() => ''));
}

/** As {@link readState}, at once: for callers that cannot wait. */
export function readStateSync(dataDir: string): UpState | undefined {
  try {
    return parse(readFileSync(join(dataDir, FILE), 'utf8'));
  } catch {
    return undefined;
  }
}

function parse(text: string): UpState | undefined {
  try {
    return upState.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Those processes of a state that run, whoever looks after them. */
export async function livingProcesses(state: UpState): Promise<(ProcessRecord & { readonly pid: number })[]> {
  const alive = await Promise.all(
    state.processes.map(async (record) => {
      const { pid, started } = record;
      return pid !== null && (await isAlive({ pid, started })) ? { ...record, pid } : undefined;
    }),
  );
  return alive.flatMap((record) => record ?? []);
}

/** Writes the newest state, one write after another; what lies between two writes is left out. */
export class StateFile {
  readonly #path: string;
  readonly #logger: Logger;
  #next: UpState | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** The newest that could not be written. */
  #failed: UpState | undefined;
  #isRemoved = false;

  constructor(dataDir: string, logger: Logger) {
    this.#path = join(dataDir, FILE);
    this.#logger = logger;
  }

  /** Resolves when this state or a newer one is on disk, or could not be written, which is logged. */
  write(state: UpState): Promise<void> {
    const isQueued = this.#next !== undefined;
    this.#next = state;
    if (!isQueued) this.#writing = this.#writing.then(() => this.#writeNext());
    return this.#writing;
  }

  async #writeNext(): Promise<void> {
    const state = this.#next;
    this.#next = undefined;
    if (state === undefined || this.#isRemoved) return;
    try {
      await writeFile(`${this.#path}.draft`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
      await rename(`${this.#path}.draft`, this.#path);
      this.#failed = undefined;
    } catch (error) {
      this.#logger.warn('The state of the processes could not be written', { error });
      this.#failed = state;
      // A disk that was full may have room by then, and nothing else may change for long.
      setTimeout(() => {
        if (this.#failed === state && this.#next === undefined) void this.write(state);
      }, AGAIN_MS).unref();
    }
  }

  /** Takes the file away: nothing runs any more. */
  async remove(): Promise<void> {
    this.#isRemoved = true;
    await this.#writing;
    await rm(this.#path, { force: true });
  }
}
