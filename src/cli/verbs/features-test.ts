import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { duckdbWarehouse } from '../../adapters/duckdb/index.ts';
import { PlatformError } from '../../contract/index.ts';
import type { App, FeatureGroup } from '../../define/index.ts';
import {
  assertCheckNumbers,
  type CaseRow,
  type CheckResult,
  checkSubject,
  explain,
  type FailureCase,
  groupSubject,
} from '../../services/features/check/index.ts';
import { loadApp } from '../app-file.ts';
import { amount, type Output, table } from '../output.ts';

export interface FeaturesTestOptions {
  readonly app?: string;
  readonly runs: string;
  readonly seed?: string;
  readonly path?: string;
}

/** Seeds are whole numbers from 0 to below this. */
const SEED_END = 2 ** 31;

interface TestedGroup extends Omit<CheckResult, 'failure'> {
  readonly group: string;
  readonly failure: (FailureCase & { readonly path: number; readonly again: string }) | null;
  /** Why nothing was tested, or null. */
  readonly untested: string | null;
}

/**
 * `tandem features test`: random streams for each group, and every value online, by SQL and by replay. `false` when a value
 * differs or a group was not reached.
 */
export async function testFeatures(
  names: readonly string[],
  options: FeaturesTestOptions,
  output: Output,
): Promise<boolean> {
  const runs = Number(options.runs);
  const seed = options.seed === undefined ? randomInt(SEED_END) : Number(options.seed);
  assertCheckNumbers(runs, seed);
  const path = readPath(options.path, names);
  const { app } = await loadApp(options.app);
  const groups = chosen(app, names);
  const startedAt = performance.now();
  const directory = await mkdtemp(join(tmpdir(), 'tandem-features-test-'));
  const tested: TestedGroup[] = [];
  try {
    const warehouse = duckdbWarehouse({ directory, threads: 1 });
    for (const group of groups) {
      const result = await checkSubject(groupSubject(app, group), {
        warehouse,
        runs,
        seed,
        ...(path === undefined ? {} : { run: path }),
        onProgress: ({ runs: played, values, isMinimising }) => {
          const doing = isMinimising ? 'a value differs; looking for a small case' : 'values';
          output.progress(`${group.name}: stream ${amount(played)}, ${amount(values)} ${doing}`);
        },
      });
      tested.push(testedGroup(group, result, { seed, app: options.app }));
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const values = tested.reduce((sum, item) => sum + item.values, 0);
  const failed = tested.filter((item) => item.failure !== null || item.untested !== null);
  const seconds = Math.round(performance.now() - startedAt) / 1_000;
  const result = { seed, values, seconds, failed: failed.map((item) => item.group), groups: tested };
  output.result(result, () => render(result, output));
  return failed.length === 0;
}

function readPath(path: string | undefined, names: readonly string[]): number | undefined {
  if (path === undefined) return undefined;
  const run = Number(path);
  if (path.trim() === '' || !Number.isSafeInteger(run) || run < 0)
    throw new PlatformError(
      'CONFIGURATION',
      `--path: expected the number of a stream as a failure prints it, got '${path}'`,
    );
  if (names.length !== 1)
    throw new PlatformError('CONFIGURATION', '--path: name the one group whose stream it is');
  return run;
}

function chosen(app: App, names: readonly string[]): FeatureGroup[] {
  if (app.groups.size === 0)
    throw new PlatformError('CONFIGURATION', `The app '${app.name}' defines no feature group`);
  if (names.length === 0) return [...app.groups.values()];
  return [...new Set(names)].map((name) => {
    const group = app.groups.get(name);
    if (group !== undefined) return group;
    const known = [...app.groups.keys()].join(', ');
    throw new PlatformError('CONFIGURATION', `There is no feature group '${name}'; the app has ${known}`);
  });
}

function testedGroup(
  group: FeatureGroup,
  result: CheckResult,
  how: { readonly seed: number; readonly app: string | undefined },
): TestedGroup {
  const { failure, ...rest } = result;
  const { counts } = result;
  const app = how.app === undefined ? '' : ` --app ${how.app}`;
  const again = `tandem features test ${group.name} --seed ${String(how.seed)}`;
  return {
    group: group.name,
    ...rest,
    failure:
      failure === undefined
        ? null
        : {
            path: failure.run,
            again: `${again} --path ${String(failure.run)}${app}`,
            ...explain(failure.mismatch),
          },
    untested: failure === undefined ? untestedReason(counts) : null,
  };
}

/** A test that met nothing is no proof. */
function untestedReason(counts: CheckResult['counts']): string | null {
  if (counts.reads === 0) return 'no stream had a read: give more --runs';
  if (counts.passed === 0) return "no event passed the group's filter";
  return null;
}

interface TestResult {
  readonly seed: number;
  readonly values: number;
  readonly seconds: number;
  readonly failed: readonly string[];
  readonly groups: readonly TestedGroup[];
}

function render(result: TestResult, output: Output): string {
  const rows = result.groups.map((item) => [
    item.group,
    amount(item.runs),
    amount(item.values),
    amount(item.counts.events),
    amount(item.counts.late),
    amount(item.counts.future),
    amount(item.counts.duplicates),
    item.failure !== null
      ? output.style('red', 'differs')
      : item.untested === null
        ? output.style('green', 'equal')
        : output.style('red', `not tested: ${item.untested}`),
  ]);
  const head = ['GROUP', 'STREAMS', 'VALUES', 'EVENTS', 'LATE', 'EARLY', 'TWICE', 'RESULT'];
  const failures = result.groups.flatMap(({ group, failure }) =>
    failure === null ? [] : [`\n${renderFailure(group, failure, output)}\n`],
  );
  const groups = result.groups.length;
  const verdict =
    result.failed.length === 0
      ? `all equal in ${amount(groups)} groups`
      : `${amount(result.failed.length)} of ${amount(groups)} groups failed: ${result.failed.join(', ')}`;
  return [
    table(head, rows),
    ...failures,
    `${amount(result.values)} values compared, online, by SQL and by replay: ${verdict} (seed ${String(result.seed)}, ${amount(result.seconds)} s)`,
  ].join('\n');
}

const APART = {
  online: 'online differs from SQL and replay',
  sql: 'SQL differs from online and replay',
  replay: 'replay differs from online and SQL',
  all: 'all three differ',
};

function renderFailure(group: string, failure: NonNullable<TestedGroup['failure']>, output: Output): string {
  const { window, asOf } = failure;
  const lines = [
    output.style('bold', `${group}.${failure.feature}: ${APART[failure.apart]}`),
    table(
      ['ONLINE', 'SQL', 'REPLAY'],
      [[String(failure.online), String(failure.sql), String(failure.replay)]],
    ),
    '',
    `asOf ${instant(asOf)}${window === undefined ? '' : `; the window begins at ${instant(window.from)}`}`,
    `known below ${Object.entries(failure.known)
      .map(([source, offsets]) => `${source} [${offsets.join(', ')}]`)
      .join(', ')}`,
    '',
    table(
      ['WHAT', 'AT', 'SOURCE', 'P/OFFSET', 'ID', 'EVENT TIME', 'KEY', 'FIELDS', 'NOTES'],
      failure.rows.map(renderRow),
    ),
    '',
    ...failure.rules.map(({ rule, why }) => `rule ${String(rule)}: ${why}`),
    `again: ${failure.again}`,
  ];
  return lines.join('\n');
}

function renderRow(row: CaseRow): string[] {
  return [
    row.what,
    Number.isNaN(row.at) ? '' : instant(row.at),
    row.source ?? '',
    row.partition === undefined ? '' : `${String(row.partition)}/${String(row.offset)}`,
    row.id ?? '',
    row.time === undefined ? '' : instant(row.time),
    row.key ?? '',
    Object.entries(row.fields ?? {})
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join(' '),
    row.notes.join(', '),
  ];
}

/** To the millisecond: edges are. */
function instant(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ');
}
