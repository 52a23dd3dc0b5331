import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../src/ml/random.ts';
import { whyNot } from '../cluster/command.ts';
import { CLUSTER_NEEDS, DatabaseCluster, type DatabaseHost } from '../cluster/database-cluster.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { type Load, type LoadReport, startLoad } from './support/load.ts';
import { Platform } from './support/platform.ts';
import { prepareReleases } from './support/releases.ts';
import { Requests } from './support/requests.ts';
import { makeTarget } from './support/target.ts';
import { compareWithTruth } from './support/truth.ts';

/** How soon writes must be back after the primary was lost, in milliseconds. */
const BACK_MS_MAX = 30_000;
/** How long a host may take to follow again, in milliseconds. */
const WHOLE_MS_MAX = 120_000;
/** How long the load runs undisturbed before each fault, in milliseconds. */
const CALM_MS = 3_000;
const LOOK_MS = 100;
/** Fixed numbers: a process that is added meanwhile refuses what it cannot answer yet, which says nothing here. */
const REPLICAS = { ingest: 1, features: 1, serve: 1, train: 1 } as const;

type Kind = 'kill' | 'cut';

/** What one fault showed. */
interface Outage {
  readonly kind: Kind;
  readonly backMs: number;
  readonly violations: readonly string[];
}

export function missing(): Promise<string | undefined> {
  return whyNot(CLUSTER_NEEDS);
}

/**
 * The primary of three PostgreSQL hosts is killed, and cut off, `--times` each (default 5, short 1), under a load of
 * `--events` (default 200) a second and `--decisions` (default 50) a second with a buffered ledger:
 *
 * - no acknowledged event is lost, none is there twice, offsets have no gaps;
 * - every decision is answered at its first try, and is in the ledger afterwards;
 * - writes are acknowledged again within 30 s;
 * - the old primary takes no write while another one does: there are never two writers.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const times = Number(values['times'] ?? (short ? 1 : 5));
  const random = new SeededRandom(seed);
  const kinds = random.shuffle(Array.from({ length: times }, (): Kind[] => ['kill', 'cut']).flat());
  await using cluster = await DatabaseCluster.start(note);
  await using platform = await Platform.start({
    replicas: REPLICAS,
    environment: { DATABASE_URL: cluster.url },
    note,
  });
  await using requests = new Requests(await makeTarget(platform.target));
  await prepareReleases(requests, seed);
  await using load = await startLoad({
    target: platform.target,
    seed,
    eventsPerSecond: Number(values['events'] ?? 200),
    decisionsPerSecond: Number(values['decisions'] ?? 50),
    decisions: ['suggest'],
  });
  const outages: Outage[] = [];
  for (const kind of kinds) {
    await sleep(CALM_MS + random.integer(1_000));
    outages.push(await failOver({ cluster, load, kind, note }));
  }
  const result = await load.stop();
  const truth = await compareWithTruth({
    requests,
    loads: [result],
    seed,
    databaseUrl: cluster.url,
    bufferedLossMax: 0,
  });
  const violations = [
    ...truth.violations,
    ...outages.flatMap((outage) => outage.violations),
    ...loadViolations(result),
  ];
  if (violations.length > 0) platform.failed();
  const backMs = (kind: Kind): number =>
    Math.round(Math.max(...outages.filter((one) => one.kind === kind).map((one) => one.backMs)));
  return {
    counts: {
      kills: times,
      cuts: times,
      killBackMsMax: backMs('kill'),
      cutBackMsMax: backMs('cut'),
      decisions: result.decisions.due,
      decisionMsP99: result.decisions.latency.p99,
      eventsMsMax: result.events.latency.max,
      ...truth.counts,
    },
    violations,
  };
}

interface FailOver {
  readonly cluster: DatabaseCluster;
  readonly load: Load;
  readonly kind: Kind;
  readonly note: (text: string) => void;
}

async function failOver({ cluster, load, kind, note }: FailOver): Promise<Outage> {
  const violations: string[] = [];
  const old = await cluster.primary();
  const begun = performance.now();
  await (kind === 'kill' ? old.kill() : old.cut());
  const before = await load.report();
  const backMs = await untilWritten(load, before, begun);
  const refusals = Object.keys((await load.report()).refusals).join(', ');
  note(`${kind} of ${old.name}: writes are back after ${(backMs / 1_000).toFixed(1)} s (${refusals})`);
  if (backMs > BACK_MS_MAX)
    violations.push(`${kind} of ${old.name}: writes were back after ${String(Math.round(backMs))} ms`);
  const now = await cluster.primary();
  if (now === old) violations.push(`${kind}: ${old.name} is still the primary`);
  if (kind === 'cut') violations.push(...(await writesOfTheDeposed(old)));
  await (kind === 'kill' ? old.start() : old.heal());
  await cluster.untilWhole(WHOLE_MS_MAX);
  return { kind, backMs, violations };
}

/** Waits until an event is acknowledged that was due after the fault. Resolves with how long after it that was. */
async function untilWritten(load: Load, before: LoadReport, begun: number): Promise<number> {
  // What was on its way may still have been acknowledged by the old primary.
  const wanted = before.events.acknowledged + before.events.pending + 1;
  for (;;) {
    const { events } = await load.report();
    if (events.acknowledged >= wanted) return performance.now() - begun;
    if (performance.now() - begun > 4 * BACK_MS_MAX) return Infinity;
    await sleep(LOOK_MS);
  }
}

/** A host that is cut off must take no write while another one does; asked from within, where it can be reached. */
async function writesOfTheDeposed(old: DatabaseHost): Promise<string[]> {
  const statement = `set statement_timeout = '3s'; update tandem_log_head set next = next where false;
    create table lab_second_writer (id int)`;
  const said = await old.sql(statement).then(
    () => 'done',
    (error: unknown) => String(error),
  );
  return said === 'done' ? [`${old.name} took a write although another host is the primary`] : [];
}

function loadViolations({ decisions, wrong, failures, refusals }: LoadReport): string[] {
  const tried = Object.entries(refusals).filter(([what]) => what.startsWith('decide'));
  return [
    ...(decisions.failed > 0
      ? [`${String(decisions.failed)} decisions failed: ${JSON.stringify(failures[0])}`]
      : []),
    ...tried.map(([what, times]) => `${what} ${String(times)} times`),
    ...wrong,
  ];
}
