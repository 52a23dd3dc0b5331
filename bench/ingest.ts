import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { removeEmbedded } from '../src/adapters/postgres/index.ts';
import type { FeaturesStatus, IngestResult, SourceDescription, VectorRead } from '../src/contract/index.ts';
import type { Measurement } from './run.ts';
import { cpuTime } from './support/cpu-time.ts';
import { median } from './support/median.ts';
import { Wire } from './support/wire.ts';

/*
 * Records over HTTP until they are durable and their 18 features are visible: `tandem dev` with its embedded server, which
 * is one process beside PostgreSQL's, and this process as the client, all on one machine. Rates count until the last event is
 * applied. Freshness is the time from when an event was to be sent to the answer of a vector read that contains it, at half
 * the rate of single events, offered at fixed times so that a slow answer does not slow the next one down. CPU is what the
 * system has counted; its shares say who spent it.
 *
 * BENCH_ROUNDS (5) and BENCH_PHASE_MS (6,000) make it longer or shorter; the medians of the rounds count. BENCH_AGAINST names
 * the folder of another checkout, whose server is measured in turn with this one's. BENCH_PROFILE_DIR gets a CPU profile of
 * the server.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const PHASE_MS = Number(process.env['BENCH_PHASE_MS'] ?? 6_000);
const AGAINST = process.env['BENCH_AGAINST'];
const PROFILE_DIR = process.env['BENCH_PROFILE_DIR'];
const WARM_UP_MS = 4_000;
const CUSTOMERS = 100_000;
const BATCH = 500;
const BATCHES_IN_FLIGHT = 4;
const SINGLES_IN_FLIGHT = 128;
/** One of so many events of the freshness phase is also read. */
const READ_EACH = 50;
/** Freshness is measured at half the rate of single events, but at no more than half of their goal. */
const FRESH_PER_SECOND_MAX = 4_000;
/** How long the features may take to follow, in milliseconds. */
const FOLLOW_MS = 300_000;

const EVENTS = 'POST /v1/sources/payments/events?results=quarantined';

export async function measure(): Promise<Measurement> {
  await using stack = new AsyncDisposableStack();
  const subject = async (root: string): Promise<Subject> => {
    const server = stack.use(await Server.start(root));
    const client = new Client(server);
    stack.defer(() => client.close());
    return { client, batches: [], singles: [], fresh: [] };
  };
  const own = await subject(ROOT);
  const other = AGAINST === undefined ? [] : [await subject(AGAINST)];
  const subjects = [own, ...other];
  for (const { client } of subjects) {
    await client.run((until) => client.sendBatches(until), WARM_UP_MS);
    await client.run((until) => client.sendSingles(until), WARM_UP_MS);
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { client, batches, singles } of subjects) {
      batches.push(await client.run((until) => client.sendBatches(until), PHASE_MS));
      singles.push(await client.run((until) => client.sendSingles(until), PHASE_MS));
    }
  }
  // The same for both, so that they can be compared, and of the slower one, which could not keep up with more.
  const rates = subjects.map(({ singles }) => median(singles.map(({ perSecond }) => perSecond)));
  const freshPerSecond = Math.min(Math.min(...rates) / 2, FRESH_PER_SECOND_MAX);
  for (const { client } of subjects) await client.freshness(freshPerSecond, WARM_UP_MS / 2);
  for (let round = 0; round < ROUNDS; round += 1)
    for (const { client, fresh } of subjects) fresh.push(await client.freshness(freshPerSecond, PHASE_MS));
  return {
    metrics: {
      ...measured(own),
      freshnessEventsPerSecond: freshPerSecond,
      ...Object.fromEntries(
        other.flatMap((subject) =>
          Object.entries(measured(subject)).map(([name, value]) => [`against.${name}`, value]),
        ),
      ),
    },
    goals: [
      { metric: 'batchEventsPerSecond', goal: 60_000 },
      { metric: 'singleEventsPerSecond', goal: 8_000 },
      { metric: 'freshnessMsP99', goal: 100, bound: 'max' },
    ],
  };
}

/** A server with its client, and what was measured of it. */
interface Subject {
  readonly client: Client;
  readonly batches: Phase[];
  readonly singles: Phase[];
  /** Milliseconds, for each round. */
  readonly fresh: (readonly number[])[];
}

/** What a phase came to: events until they were visible, and microseconds of CPU for each by whoever spent them. */
interface Phase {
  readonly perSecond: number;
  /** Events a second until they were durable. */
  readonly durablePerSecond: number;
  readonly cpuUs: Cpu;
}

interface Cpu {
  readonly client: number;
  /** The main thread of the product: HTTP, contract, state. */
  readonly main: number;
  /** Its other threads. */
  readonly threads: number;
  /** PostgreSQL, all its processes. */
  readonly database: number;
}

function measured({ batches, singles, fresh }: Subject): Record<string, number> {
  const freshness = (share: number): number => median(fresh.map((values) => quantile(values, share)));
  for (const [name, phases] of Object.entries({ 'batches of 500': batches, 'one by one': singles }))
    console.error(`${name}: ${inWords(phases)}`);
  return {
    ...described('batch', batches),
    ...described('single', singles),
    freshnessMsP50: freshness(0.5),
    freshnessMsP99: freshness(0.99),
    freshnessMsMax: freshness(1),
  };
}

/** For whoever watches. */
function inWords(phases: readonly Phase[]): string {
  const of = (pick: (phase: Phase) => number): string => median(phases.map(pick)).toFixed(1);
  return (
    `${of(({ perSecond }) => perSecond)} events/s; microseconds of CPU an event: client ${of((phase) => phase.cpuUs.client)}, ` +
    `main thread ${of((phase) => phase.cpuUs.main)}, other threads ${of((phase) => phase.cpuUs.threads)}, ` +
    `PostgreSQL ${of((phase) => phase.cpuUs.database)}`
  );
}

function described(name: string, phases: readonly Phase[]): Record<string, number> {
  const of = (pick: (phase: Phase) => number): number => median(phases.map(pick));
  const total = of(({ cpuUs }) => cpuUs.client + cpuUs.main + cpuUs.threads + cpuUs.database);
  const share = (pick: (cpu: Cpu) => number): number => of(({ cpuUs }) => pick(cpuUs)) / total;
  return {
    [`${name}EventsPerSecond`]: of(({ perSecond }) => perSecond),
    [`${name}DurablePerSecond`]: of(({ durablePerSecond }) => durablePerSecond),
    [`${name}CpuUsPerEvent`]: total,
    [`${name}ClientShare`]: share((cpu) => cpu.client),
    [`${name}MainThreadShare`]: share((cpu) => cpu.main),
    [`${name}OtherThreadsShare`]: share((cpu) => cpu.threads),
    [`${name}DatabaseShare`]: share((cpu) => cpu.database),
  };
}

class Client {
  readonly #server: Server;
  readonly #wire: Wire;
  #serial = 0;

  constructor(server: Server) {
    this.#server = server;
    this.#wire = new Wire(server.url, SINGLES_IN_FLIGHT);
  }

  /** Sends for a while, then waits until everything is applied. */
  async run(send: (untilMs: number) => Promise<void>, forMs: number): Promise<Phase> {
    const cpuBefore = await this.#server.cpuSeconds();
    const before = this.#serial;
    const begunMs = performance.now();
    await send(begunMs + forMs);
    const durableMs = performance.now();
    await this.#applied();
    const seconds = (performance.now() - begunMs) / 1_000;
    const cpuAfter = await this.#server.cpuSeconds();
    const events = this.#serial - before;
    const each = (part: keyof Cpu): number => ((cpuAfter[part] - cpuBefore[part]) / events) * 1e6;
    return {
      perSecond: events / seconds,
      durablePerSecond: events / ((durableMs - begunMs) / 1_000),
      cpuUs: {
        client: each('client'),
        main: each('main'),
        threads: each('threads'),
        database: each('database'),
      },
    };
  }

  sendBatches(untilMs: number): Promise<void> {
    return this.#send(BATCHES_IN_FLIGHT, untilMs, async () => {
      let body = '';
      for (let index = 0; index < BATCH; index += 1) body += `${this.#event()}\n`;
      await this.#post('application/x-ndjson', body);
    });
  }

  sendSingles(untilMs: number): Promise<void> {
    return this.#send(SINGLES_IN_FLIGHT, untilMs, async () => {
      await this.#post('application/json', this.#event());
    });
  }

  /** Milliseconds from sending to the answer of a read that contains it, of some of the events. */
  async freshness(perSecond: number, forMs: number): Promise<readonly number[]> {
    const found: number[] = [];
    const work: Promise<void>[] = [];
    const begunMs = performance.now();
    const events = Math.floor((perSecond * forMs) / 1_000);
    for (let sent = 0; sent < events;) {
      const due = Math.min(events, ((performance.now() - begunMs) / 1_000) * perSecond);
      for (; sent < due; sent += 1) {
        const dueMs = begunMs + (sent / perSecond) * 1_000;
        const event = this.#event();
        const isRead = sent % READ_EACH === 0;
        work.push(
          this.#post('application/json', event).then(async (answer) => {
            if (!isRead) return;
            await this.#read(event, (JSON.parse(answer) as IngestResult).positions);
            found.push(performance.now() - dueMs);
          }),
        );
      }
      await sleep(1);
    }
    await Promise.all(work);
    await this.#applied();
    return found;
  }

  close(): void {
    this.#wire.close();
  }

  async #send(inFlight: number, untilMs: number, one: () => Promise<void>): Promise<void> {
    const worker = async (): Promise<void> => {
      while (performance.now() < untilMs) await one();
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
  }

  #event(): string {
    this.#serial += 1;
    const mixed = Math.imul(this.#serial, 0x9e3779b1) >>> 0;
    // Times go on as in life; 2 % come late, by up to an hour.
    const late = mixed % 50 === 0 ? (mixed >>> 8) % 3_600_000 : 0;
    return JSON.stringify({
      paymentId: `payment-${String(this.#serial)}`,
      at: Date.now() - late,
      customerId: `customer-${String(mixed % CUSTOMERS)}`,
      shopId: `shop-${String((mixed >>> 9) % 5_000)}`,
      amount: ((mixed >>> 3) % 40_000) / 100,
    });
  }

  /** The answer as text: a producer that only wants to know whether its event is durable does not parse it. */
  #post(type: string, body: string): Promise<string> {
    return this.#ask(EVENTS, { type, body });
  }

  async #read(event: string, after: IngestResult['positions']): Promise<void> {
    const body = JSON.stringify({ candidates: [JSON.parse(event) as unknown], after, atClock: true });
    const answer = await this.#ask('POST /v1/vectors/spending/read', { type: 'application/json', body });
    const { rows } = JSON.parse(answer) as VectorRead;
    if (rows.length !== 1) throw new Error(`A read of one candidate came to ${String(rows.length)} rows`);
  }

  async #applied(): Promise<void> {
    for (const endMs = performance.now() + FOLLOW_MS; performance.now() < endMs;) {
      const [source, features] = await Promise.all([
        this.#ask('GET /v1/sources/payments'),
        this.#ask('GET /v1/features'),
      ]);
      const { lag } = JSON.parse(source) as SourceDescription;
      if (lag === 0 && (JSON.parse(features) as FeaturesStatus).sources.length > 0) return;
      await sleep(20);
    }
    throw new Error('The features did not follow in time');
  }

  async #ask(line: string, sent?: { readonly type: string; readonly body: string }): Promise<string> {
    const { status, text } = await this.#wire.ask(line, sent);
    if (status !== 200) throw new Error(`${line} answered ${String(status)}: ${text}`);
    return text;
  }
}

/** `tandem dev` on a folder of its own. */
class Server implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #dataDir: string;
  readonly #pid: number;
  readonly #postmaster: number;

  private constructor(
    child: ChildProcess,
    dataDir: string,
    facts: { url: string; pid: number; postgresPid: number },
  ) {
    this.url = facts.url;
    this.#child = child;
    this.#dataDir = dataDir;
    this.#pid = facts.pid;
    this.#postmaster = facts.postgresPid;
  }

  static async start(root: string): Promise<Server> {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
    const app = join(root, 'bench/fixtures/ingest/app.ts');
    const parameters = ['dev', '--app', app, '--data-dir', dataDir, '--port', '0', '--json'];
    // One person sends all of it: the limit on that is not what is measured.
    const limits = ['--set', 'gateway.adminRequestsPerSecond=1000000', '--set', 'process.logLevel=error'];
    const profile = PROFILE_DIR === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${PROFILE_DIR}`];
    const child = spawn(
      process.execPath,
      [...profile, '--conditions=tandem-source', join(root, 'src/cli/main.ts'), ...parameters, ...limits],
      { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`tandem dev ended with ${String(code)}`)));
    });
    return new Server(child, dataDir, JSON.parse(line) as { url: string; pid: number; postgresPid: number });
  }

  /** CPU so far, by who spent it; 0 where there is no /proc. */
  async cpuSeconds(): Promise<Cpu> {
    const { user, system } = process.cpuUsage();
    const whole = (await cpuTime(`/proc/${String(this.#pid)}`))?.own ?? 0;
    const main = (await cpuTime(`/proc/${String(this.#pid)}/task/${String(this.#pid)}`))?.own ?? 0;
    let database = 0;
    for (const name of await readdir('/proc').catch(() => [])) {
      if (!/^\d+$/.test(name)) continue;
      const { own = 0, children = 0, parent } = (await cpuTime(`/proc/${name}`)) ?? {};
      if (Number(name) === this.#postmaster) database += own + children;
      else if (parent === this.#postmaster) database += own;
    }
    return { client: (user + system) / 1e6, main, threads: whole - main, database };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((resolve) => this.#child.once('exit', resolve));
    await removeEmbedded(join(this.#dataDir, 'postgres'));
    await rm(this.#dataDir, { recursive: true, force: true });
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
