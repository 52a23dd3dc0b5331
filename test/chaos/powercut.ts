import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { clusterName } from '../../src/adapters/postgres/embedded/postmaster.ts';
import { processesWith } from '../../src/adapters/postgres/embedded/processes.ts';
import {
  type EmbeddedServer,
  openPostgres,
  removeEmbedded,
  startEmbedded,
} from '../../src/adapters/postgres/index.ts';
import { ensureAdminKey } from '../../src/cli/admin-key.ts';
import { sourceTopic } from '../../src/contract/index.ts';
import { SeededRandom } from '../../src/ml/random.ts';
import { command, whyNot } from '../cluster/command.ts';
import { adminHeaders } from '../support/access.ts';
import { ROOT } from '../tidy/tree.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { atEnd } from './support/ending.ts';
import { MOUNT_NEEDS, Mounts } from './support/mounted.ts';

const IMAGE_BYTES = 2 ** 30;
const CALLERS = 6;
const EVENTS_PER_REQUEST = 20;
/** How soon the database must be open after the power is back, in milliseconds. */
const OPEN_MS_MAX = 5_000;
/** How long it may take until some events are acknowledged, in milliseconds. */
const GROW_MS_MAX = 30_000;
/** Longest time between two cuts, in milliseconds. */
const BETWEEN_MS_MAX = 1_500;

export function missing(): Promise<string | undefined> {
  return whyNot(MOUNT_NEEDS);
}

/**
 * The power is cut `--cuts` times (default 50, short 5) while events come in: the disk, an ext4 file system in a file,
 * is copied at a random moment, with what the system keeps in memory missing, and the copy is mounted and opened.
 * The database's processes stand still while the disk is copied, so that the copy is of one moment.
 *
 * - every event that was acknowledged before the cut is in the copy, once, and offsets have no gaps;
 * - the embedded server opens the copy, within 5 s.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const cuts = Number(values['cuts'] ?? (short ? 5 : 50));
  const random = new SeededRandom(seed);
  await using mounts = await Mounts.make();
  const image = await mounts.image('disk', IMAGE_BYTES);
  const disk = await mounts.loop('disk', image);
  await using server = await serverOn(disk);
  await using ingest = await startIngest(server.server.url);
  const writing = new Writing(ingest);
  const violations: string[] = [];
  const openMs: number[] = [];
  let found = 0;
  for (let cut = 1; cut <= cuts; cut += 1) {
    await writing.grow(200);
    await sleep(random.integer(BETWEEN_MS_MAX));
    const acknowledged = await cutPower(server.data, writing, image, join(mounts.folder, 'cut.img'));
    writing.pause();
    const copy = await mounts.loop('cut', join(mounts.folder, 'cut.img'));
    using _ending = atEnd(() => removeEmbedded(join(copy, 'postgres')));
    try {
      const seen = await openCopy(copy);
      openMs.push(seen.openMs);
      found += seen.ids.length;
      violations.push(...compare(cut, acknowledged, seen));
    } finally {
      await removeEmbedded(join(copy, 'postgres'));
      await mounts.unmount(copy);
      await rm(join(mounts.folder, 'cut.img'));
      writing.resume();
    }
    note(
      `cut ${String(cut)}: ${String(acknowledged.length)} acknowledged, opened in ${String(openMs.at(-1))} ms`,
    );
  }
  await writing.stop();
  return {
    counts: {
      cuts,
      acknowledged: writing.acknowledged.length,
      recordsFound: found,
      openMsMax: Math.max(...openMs),
      refusals: writing.refusals,
    },
    violations: [...violations, ...writing.wrong],
  };
}

interface DiskServer extends AsyncDisposable {
  readonly server: EmbeddedServer;
  readonly data: string;
}

async function serverOn(disk: string): Promise<DiskServer> {
  const directory = join(disk, 'postgres');
  await mkdir(directory);
  const ending = atEnd(() => removeEmbedded(directory));
  const server = await startEmbedded({ directory });
  if (server.home !== directory) throw new Error(`The database is in ${server.home}, not on the disk`);
  return {
    server,
    data: join(directory, 'data'),
    async [Symbol.asyncDispose]() {
      await removeEmbedded(directory);
      ending[Symbol.dispose]();
    },
  };
}

interface Ingest extends AsyncDisposable {
  readonly url: string;
  /** Headers that let a caller in. */
  readonly headers: Readonly<Record<string, string>>;
}

/** `tandem run ingest` as a process of its own. */
async function startIngest(databaseUrl: string): Promise<Ingest> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tandem-powercut-'));
  await ensureAdminKey(databaseUrl, dataDir);
  const headers = await adminHeaders(dataDir);
  const app = fileURLToPath(new URL('fixtures/app.ts', import.meta.url));
  const parameters = ['run', 'ingest', '--app', app, '--data-dir', dataDir, '--json'];
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts'), ...parameters],
    { cwd: ROOT, env: { ...process.env, DATABASE_URL: databaseUrl }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const url = await new Promise<string>((resolve, reject) => {
    if (child.stdout === null) throw new Error('no output of ingest');
    createInterface({ input: child.stdout }).once('line', (line) => {
      resolve((JSON.parse(line) as { readonly url: string }).url.replace(/\/$/, ''));
    });
    child.once('exit', (code) => reject(new Error(`ingest ended with ${String(code)}`)));
  });
  return {
    url,
    headers: { ...headers },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await ended;
      }
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Callers that send events, each id once, and note which were acknowledged. */
class Writing {
  readonly acknowledged: string[] = [];
  readonly wrong: string[] = [];
  refusals = 0;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #callers: Promise<void>[];
  #serial = 0;
  #isOver = false;
  #pause: PromiseWithResolvers<void> | undefined;

  constructor({ url, headers }: Ingest) {
    this.#headers = { ...headers, 'content-type': 'application/x-ndjson' };
    this.#url = `${url}/v1/sources/orders/events?results=quarantined`;
    this.#callers = Array.from({ length: CALLERS }, () => this.#run());
  }

  /** Waits until so many more are acknowledged. */
  async grow(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    for (const begun = performance.now(); this.acknowledged.length < goal; await sleep(5)) {
      if (performance.now() - begun < GROW_MS_MAX) continue;
      throw new Error(`No events are acknowledged: ${this.wrong[0] ?? `${String(this.refusals)} refusals`}`);
    }
  }

  /** Sends nothing new until it is resumed: after a power cut nobody else is at work on the machine either. */
  pause(): void {
    this.#pause = Promise.withResolvers();
  }

  resume(): void {
    this.#pause?.resolve();
    this.#pause = undefined;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#callers);
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      await this.#pause?.promise;
      const orders = Array.from({ length: EVENTS_PER_REQUEST }, () => {
        this.#serial += 1;
        const serial = this.#serial;
        return {
          orderId: `o${String(serial)}`,
          at: Date.now(),
          customerId: `c${String(serial % 97)}`,
          serial,
          risk: 0.5,
        };
      });
      const answer = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: orders.map((order) => JSON.stringify(order)).join('\n'),
      });
      const text = await answer.text();
      if (answer.ok) this.acknowledged.push(...orders.map(({ orderId }) => orderId));
      else if ([503, 504, 507].includes(answer.status)) this.refusals += 1;
      else {
        this.wrong.push(`${String(answer.status)} ${text.slice(0, 200)}`);
        return;
      }
    }
  }
}

/** Copies the disk as it is; resolves with what had been acknowledged before. */
async function cutPower(data: string, writing: Writing, disk: string, copy: string): Promise<string[]> {
  const processes = await processesWith(clusterName(data));
  for (const { pid } of processes) process.kill(pid, 'SIGSTOP');
  try {
    const acknowledged = [...writing.acknowledged];
    await command('cp', '--sparse=always', disk, copy);
    return acknowledged;
  } finally {
    for (const { pid } of processes) process.kill(pid, 'SIGCONT');
  }
}

interface Seen {
  readonly openMs: number;
  readonly ids: readonly string[];
  readonly gaps: number;
}

/** Opens what is on the disk as the product does, and reads the log. */
async function openCopy(disk: string): Promise<Seen> {
  const begun = performance.now();
  const server = await startEmbedded({ directory: join(disk, 'postgres') });
  await using postgres = await openPostgres(server.url, { applicationName: 'powercut', connectionsMax: 3 });
  const topic = sourceTopic('orders');
  const ranges = await postgres.log.ranges(topic);
  const openMs = Math.round(performance.now() - begun);
  const ids: string[] = [];
  let gaps = 0;
  for (const [partition, { first, next }] of ranges.entries()) {
    for (let offset = first; offset < next;) {
      const batches = await postgres.log.read(topic, partition, offset);
      if (batches.length === 0) gaps += 1;
      if (batches.length === 0) break;
      for (const batch of batches) {
        if (batch.base !== offset) gaps += 1;
        for (let index = 0; index < batch.count; index += 1) {
          const record = Buffer.from(batch.record(index)).toString('utf8');
          ids.push((JSON.parse(record) as { readonly orderId: string }).orderId);
        }
        offset = batch.base + batch.count;
      }
    }
  }
  return { openMs, ids, gaps };
}

function compare(cut: number, acknowledged: readonly string[], { ids, gaps, openMs }: Seen): string[] {
  const found = new Set(ids);
  const lost = acknowledged.filter((id) => !found.has(id));
  const name = `cut ${String(cut)}`;
  return [
    ...(lost.length > 0
      ? [`${name}: ${String(lost.length)} acknowledged events are lost, e.g. ${lost[0] ?? ''}`]
      : []),
    ...(found.size < ids.length
      ? [`${name}: ${String(ids.length - found.size)} events are there twice`]
      : []),
    ...(gaps > 0 ? [`${name}: ${String(gaps)} gaps between offsets`] : []),
    ...(openMs > OPEN_MS_MAX ? [`${name}: the database was open after ${String(openMs)} ms`] : []),
  ];
}
