import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import {
  type InputOf,
  type IngestResult,
  PlatformError,
  type QuarantinedRecord,
  routes,
} from '../../contract/index.ts';
import { type Duration, durationMs } from '../../define/index.ts';
import { type Client, type ClientOptions, openClient } from '../client.ts';
import { amount, type Output, table, when } from '../output.ts';

/** Records that one call may name, and a page may have. */
const CALL_RECORDS = 500;
/** Width of the column with the reason. */
const REASON_LENGTH = 70;

/** Which records are meant. */
export interface FilterOptions extends ClientOptions {
  readonly code?: string | undefined;
  readonly field?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly dismissed?: boolean | undefined;
}

export interface ListOptions extends FilterOptions {
  readonly lines: string;
  readonly after?: string | undefined;
}

export interface SelectOptions extends FilterOptions {
  /** All that the filter lets through, instead of ids. */
  readonly all?: boolean | undefined;
}

/** `tandem quarantine list`: a page of records that wait, oldest first. */
export async function listQuarantine(source: string, options: ListOptions, output: Output): Promise<void> {
  const limit = Number(options.lines);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000)
    throw new PlatformError('CONFIGURATION', `--lines: expected 1 to 1000, got '${options.lines}'`);
  await using client = await openClient(options);
  const query = { ...filterOf(options), limit, after: options.after };
  const page = await client.call(routes.listQuarantine, { params: { source }, query, body: {} });
  output.result(page, () => {
    if (page.records.length === 0) return `Nothing in the quarantine of '${source}' is like that`;
    return table(
      ['id', 'came', 'code', 'field', 'reason'],
      page.records.map(({ id, at, code, field, reason }) => [
        id,
        when(at),
        code,
        field ?? '',
        reason.length > REASON_LENGTH ? `${reason.slice(0, REASON_LENGTH)}...` : reason,
      ]),
    );
  });
  if (page.next !== null && !output.json) output.note(`More: --after ${page.next}`);
}

/** `tandem quarantine show`: one record, with its bytes. */
export async function showQuarantined(
  source: string,
  id: string,
  { options, output }: { readonly options: ClientOptions; readonly output: Output },
): Promise<void> {
  await using client = await openClient(options);
  const record = await client.call(routes.getQuarantined, { params: { source, id }, query: {}, body: {} });
  output.result(record, () => describe(record));
}

function describe({ text: original, correction, dismissal, ...record }: QuarantinedRecord): string {
  const lines = [
    `id         ${record.id}`,
    `came       ${when(record.at)}`,
    `state      ${record.state}`,
    `code       ${record.code}`,
    ...(record.field === null ? [] : [`field      ${record.field}`]),
    `reason     ${record.reason}`,
    `contract   ${record.contract}`,
    original === null ? `base64     ${record.bytes}` : `record     ${original}`,
  ];
  if (correction !== null) {
    lines.push(`correction ${JSON.stringify(correction.record)}`);
    lines.push(`           by ${correction.by}, ${when(correction.at)}`);
  }
  if (dismissal !== null)
    lines.push(`dismissed  by ${dismissal.by}, ${when(dismissal.at)}: ${dismissal.reason}`);
  return lines.join('\n');
}

/** `tandem quarantine correct`: keeps a corrected record, from a file or standard input, for its replay. */
export async function correctQuarantined(
  source: string,
  id: string,
  {
    file,
    options,
    output,
  }: { readonly file: string; readonly options: ClientOptions; readonly output: Output },
): Promise<void> {
  const record = await readRecord(file);
  await using client = await openClient(options);
  const kept = await client.call(routes.correctQuarantined, {
    params: { source, id },
    query: {},
    body: { record },
  });
  output.result(
    kept,
    () =>
      `The correction of ${id} keeps the contract. 'tandem quarantine replay ${source} ${id}' puts it in.`,
  );
}

async function readRecord(file: string): Promise<Record<string, unknown>> {
  let content: string;
  try {
    content = file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new PlatformError('CONFIGURATION', `There is no file ${file} that can be read`, { cause: error });
  }
  try {
    const value = JSON.parse(content) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // What is wrong is the same: it is no record.
  }
  throw new PlatformError('CONFIGURATION', `${file}: expected one JSON object, the corrected record`);
}

/** `tandem quarantine replay`: puts records into the log; gives whether all of them passed. */
export async function replayQuarantined(
  source: string,
  ids: readonly string[],
  { options, output }: { readonly options: SelectOptions; readonly output: Output },
): Promise<boolean> {
  checkSelection(ids, options);
  await using client = await openClient(options);
  const total = { accepted: 0, quarantined: 0 };
  const failed: unknown[] = [];
  for await (const page of pagesOf(client, source, { ids, options })) {
    const result: IngestResult = await client.call(routes.replayQuarantine, {
      params: { source },
      query: {},
      body: { records: page.map((id) => ({ id })) },
    });
    total.accepted += result.accepted;
    total.quarantined += result.quarantined;
    for (const item of result.results) if (item.status === 'quarantined') failed.push(item);
    output.progress(`${amount(total.accepted)} replayed, ${amount(total.quarantined)} failed again`);
  }
  output.result({ source, ...total, failed }, () => {
    return `${source}: ${amount(total.accepted)} replayed, ${amount(total.quarantined)} failed again and wait on`;
  });
  return total.quarantined === 0;
}

/** `tandem quarantine dismiss`: says that records will not be replayed, and why. */
export async function dismissQuarantined(
  source: string,
  ids: readonly string[],
  {
    options,
    output,
  }: { readonly options: SelectOptions & { readonly reason: string }; readonly output: Output },
): Promise<void> {
  checkSelection(ids, options);
  await using client = await openClient(options);
  let dismissed = 0;
  for await (const page of pagesOf(client, source, { ids, options })) {
    const body = { ids: [...page], reason: options.reason };
    dismissed += (await client.call(routes.dismissQuarantined, { params: { source }, query: {}, body }))
      .dismissed;
  }
  output.result({ source, dismissed }, () => `${source}: ${amount(dismissed)} dismissed`);
}

function checkSelection(ids: readonly string[], options: SelectOptions): void {
  if (ids.length > 0 !== (options.all === true)) return;
  throw new PlatformError(
    'CONFIGURATION',
    'Name the ids of records, or --all for all that the filter lets through',
  );
}

/** Ids of the records that are meant, some at a time. With `--all` those that come in the meantime are left out. */
async function* pagesOf(
  client: Client,
  source: string,
  { ids, options }: { readonly ids: readonly string[]; readonly options: SelectOptions },
): AsyncGenerator<readonly string[], void, undefined> {
  for (let at = 0; at < ids.length; at += CALL_RECORDS) yield ids.slice(at, at + CALL_RECORDS);
  if (ids.length > 0) return;
  const filter = filterOf(options);
  const until = filter.until ?? Date.now();
  for (let after: string | undefined; ;) {
    const query = { ...filter, until, limit: CALL_RECORDS, after };
    const page = await client.call(routes.listQuarantine, { params: { source }, query, body: {} });
    if (page.records.length > 0) yield page.records.map(({ id }) => id);
    if (page.next === null) return;
    after = page.next;
  }
}

type Filter = Pick<
  InputOf<typeof routes.listQuarantine>['query'],
  'code' | 'field' | 'from' | 'until' | 'state'
>;

function filterOf(options: FilterOptions): Filter {
  return {
    code: options.code,
    field: options.field,
    from: instantOf('--since', options.since),
    until: instantOf('--until', options.until),
    state: options.dismissed === true ? 'dismissed' : 'waiting',
  };
}

/** An instant, or how long ago. */
function instantOf(flag: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (/^\d+(ms|s|m|h|d|w)$/.test(given)) return Date.now() - durationMs(given as Duration);
  const instant = Date.parse(given);
  if (!Number.isNaN(instant)) return instant;
  throw new PlatformError(
    'CONFIGURATION',
    `${flag}: expected an instant like 2026-05-01T10:00:00Z or how long ago, like 2h; got '${given}'`,
  );
}
