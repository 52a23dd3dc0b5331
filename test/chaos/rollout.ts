import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Deployment } from '../../src/cli/deploy/deployment.ts';
import { readState } from '../../src/cli/supervisor/state-file.ts';
import type { ServiceName } from '../../src/contract/index.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { BROKEN_BUILDS, type BrokenBuild, makeBuild } from './support/build-folders.ts';
import { type DoorCounts, DoorLoad, type DoorRequest } from './support/door-load.ts';
import { Platform } from './support/platform.ts';
import { prepareReleases } from './support/releases.ts';
import { Requests } from './support/requests.ts';
import { makeTarget } from './support/target.ts';

const SERVICES: readonly ServiceName[] = ['serve', 'ingest', 'registry', 'train', 'gateway', 'features'];
/** Fixed numbers: what is measured is the roll-out, not the scaling. */
const REPLICAS = { ingest: 1, features: 1, registry: 1, train: 1, serve: 1, gateway: 1 } as const;
const REQUESTS_PER_SECOND = 200;
/** A build that fails is back within this, in milliseconds. */
const BACK_MS_MAX = 30_000;
const LOOK_MS = 50;

/**
 * Rolling updates of each service to another build, and builds that fail, while requests come to the gateway at a constant
 * rate, each sent once: every one is answered with a 2xx, by one build, and a build that fails takes nothing of the
 * stable one with it. `--updates` of each service (default 20, short 2), `--services serve,ingest`, `--broken` how many.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const updates = Number(values['updates'] ?? (short ? 2 : 20));
  const services = (values['services']?.split(',') ?? SERVICES) as readonly ServiceName[];
  const broken = BROKEN_BUILDS.slice(0, Number(values['broken'] ?? (short ? 4 : BROKEN_BUILDS.length)));
  const folder = await mkdtemp(join(tmpdir(), 'tandem-builds-'));
  await using _remove = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
  const good = [await makeBuild(join(folder, 'a'), 'a'), await makeBuild(join(folder, 'b'), 'b')];
  await using platform = await Platform.start({ replicas: REPLICAS, note });
  const target = await makeTarget(platform.target);
  await using requests = new Requests(target);
  await prepareReleases(requests, seed);
  note('released');
  const [gateway] = await platform.processes('gateway');
  await using load = new DoorLoad({
    url: gateway?.url ?? '',
    headers: target.headers('gateway'),
    requests: REQUESTS,
    perSecond: REQUESTS_PER_SECOND,
  });
  await sleep(2_000);
  const ledger = new Ledger(note);
  ledger.add('before', load.take());
  for (const service of services) {
    for (let update = 0; update < updates; update += 1) {
      const build = good[update % good.length] ?? '';
      const { code, err } = await platform.tandem('deploy', service, '--version', build);
      if (code !== 0) ledger.violate(`update ${String(update)} of ${service}: ${err.trim()}`);
    }
    await load.settled();
    const counts = load.take();
    ledger.add(`updates of ${service}`, counts);
    ledger.refuseAll(`updates of ${service}`, counts);
    note(
      `${service}: ${String(updates)} updates, ${String(counts.sent)} requests, p99 ${String(counts.msP99)} ms`,
    );
  }
  // Answers that the gateway makes itself name its own build: serve's must be another one to tell them apart.
  const { code, err } = await platform.tandem(
    'deploy',
    'serve',
    '--version',
    good[updates % good.length] ?? '',
  );
  if (code !== 0) ledger.violate(`one more update of serve: ${err.trim()}`);
  await load.settled();
  const between = load.take();
  ledger.add('one more update of serve', between);
  ledger.refuseAll('one more update of serve', between);
  for (const one of broken) {
    const build = await makeBuild(join(folder, 'broken'), 'broken', one.edits);
    await deployBroken({ platform, one, build, load, ledger, note });
    await rm(build, { recursive: true });
  }
  await load[Symbol.asyncDispose]();
  const rest = load.take();
  ledger.add('after', rest);
  ledger.refuseAll('after', rest);
  if (ledger.violations.length > 0) platform.failed();
  return {
    counts: { services: services.length, updates, brokenBuilds: broken.length, ...ledger.counts },
    violations: ledger.violations,
    table: ledger.table(),
  };
}

interface BrokenParts {
  readonly platform: Platform;
  readonly one: BrokenBuild;
  readonly build: string;
  readonly load: DoorLoad;
  readonly ledger: Ledger;
  readonly note: (text: string) => void;
}

async function deployBroken({ platform, one, build, load, ledger, note }: BrokenParts): Promise<void> {
  const before = (await readState(platform.dataDir))?.services.serve;
  const stable = before?.build?.id ?? '';
  const watching = watchDeployment(platform.dataDir, before?.deployment ?? null);
  const { code, err } = await platform.tandem('deploy', 'serve', '--version', build);
  const backMs = await watching.stop();
  await load.settled();
  const counts = load.take();
  ledger.add(one.name, counts);
  const expected = one.end === 'refused' ? 'BUILD_INCOMPATIBLE' : 'BUILD_ROLLED_BACK';
  if (code !== 1 || !err.includes(expected)) {
    ledger.violate(`${one.name}: expected ${expected}, got exit code ${String(code)}: ${err.trim()}`);
  }
  if (backMs > BACK_MS_MAX) ledger.violate(`${one.name}: back after ${String(Math.round(backMs))} ms`);
  ledger.refuseStable(one.name, counts, stable);
  const now = (await readState(platform.dataDir))?.services.serve?.build?.id;
  if (now !== stable) ledger.violate(`${one.name}: serve is to run ${String(now)}, not ${stable}`);
  ledger.counts[`backMsMax`] = Math.max(ledger.counts['backMsMax'] ?? 0, Math.round(backMs));
  note(
    `${one.name}: ${one.end} after ${String(Math.round(backMs))} ms; ${err.trim().split('\n', 1)[0] ?? ''}`,
  );
}

/** Measures how long a deployment takes from the start of its first process to its end. */
function watchDeployment(dataDir: string, before: Deployment | null): { stop(): Promise<number> } {
  let isOver = false;
  let begun: number | undefined;
  let ended: number | undefined;
  const watching = (async () => {
    for (; !isOver; await sleep(LOOK_MS)) {
      const now = (await readState(dataDir))?.services.serve?.deployment ?? null;
      if (now === null || now.at === before?.at || now.phase === 'waiting') continue;
      begun ??= performance.now();
      if (now.phase === 'rolled back') ended ??= performance.now();
    }
  })();
  return {
    async stop() {
      isOver = true;
      await watching;
      return begun === undefined ? 0 : (ended ?? performance.now()) - begun;
    },
  };
}

/** What was counted, and what must not have been. */
class Ledger {
  readonly counts: Record<string, number> = { requests: 0, answered: 0, refused: 0, unanswered: 0 };
  readonly violations: string[] = [];
  readonly #rows: string[] = [];
  readonly #note: (text: string) => void;

  constructor(note: (text: string) => void) {
    this.#note = note;
  }

  /** Told at once: a long run may be stopped before its end. */
  violate(text: string): void {
    this.violations.push(text);
    this.#note(`VIOLATION ${text}`);
  }

  add(name: string, counts: DoorCounts): void {
    const sum = (of: Readonly<Record<string, number>>): number =>
      Object.values(of).reduce((total, one) => total + one, 0);
    const [refused, unanswered] = [sum(counts.refusals), sum(counts.broken)];
    const { sent: requests, answered } = counts;
    for (const [what, more] of Object.entries({ requests, answered, refused, unanswered })) {
      this.counts[what] = (this.counts[what] ?? 0) + more;
    }
    const cells = [requests, answered, refused, unanswered, counts.msP50, counts.msP99];
    this.#rows.push([name.padEnd(50), ...cells.map((cell) => String(cell).padStart(11))].join(''));
    for (const text of counts.mixed) this.violate(`${name}: an answer names no single build: ${text}`);
  }

  /** Nothing but 2xx may have come. */
  refuseAll(name: string, { refusals, broken }: DoorCounts): void {
    for (const [what, times] of Object.entries({ ...refusals, ...broken })) {
      this.violate(`${name}: ${what}, ${String(times)} times`);
    }
  }

  /** Nothing but 2xx may have come of the stable build, and nothing else of other services. */
  refuseStable(name: string, { refusals, broken }: DoorCounts, stable: string): void {
    for (const [what, times] of Object.entries(refusals)) {
      const isExposed = what.startsWith('decide ') && !what.endsWith(` of ${stable}`);
      if (!isExposed) this.violate(`${name}: ${what}, ${String(times)} times`);
    }
    for (const [what, times] of Object.entries(broken)) {
      this.violate(`${name}: ${what}, ${String(times)} times`);
    }
  }

  table(): string {
    const head = ['sent', '2xx', 'refused', 'unanswered', 'p50 ms', 'p99 ms'];
    return [['while'.padEnd(50), ...head.map((cell) => cell.padStart(11))].join(''), ...this.#rows].join(
      '\n',
    );
  }
}

const order = (number: number): Record<string, unknown> => ({
  orderId: `door-${String(number)}`,
  at: Date.now(),
  customerId: `door-${String(number % 50)}`,
  serial: number,
  risk: 0.5,
});

const REQUESTS: readonly DoorRequest[] = [
  { name: 'decide', weight: 5, method: 'POST', path: '/v1/decisions/accept', body: order },
  { name: 'decide', weight: 5, method: 'POST', path: '/v1/decisions/suggest', body: order },
  { name: 'ingest', weight: 4, method: 'POST', path: '/v1/sources/orders/events', body: order },
  {
    name: 'readVector',
    weight: 3,
    method: 'POST',
    path: '/v1/vectors/basket/read',
    body: (number) => ({ candidates: [order(number)] }),
  },
  { name: 'releases', weight: 2, method: 'GET', path: '/v1/current-releases' },
  { name: 'runs', weight: 1, method: 'GET', path: '/v1/models/returning/runs' },
];
