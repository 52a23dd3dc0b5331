import { fromProblem, PlatformError, routes } from '../../contract/index.ts';
import type { FinishedSpan, TraceList, TraceSpans, TraceSummary } from '../../runtime/index.ts';
import { ask, type Asked } from '../ask.ts';
import { type Client, type ClientOptions, openClient } from '../client.ts';
import { type Output, table } from '../output.ts';
import { spanLines, spanTree } from '../span-tree.ts';

/** How long one process may take to answer, in milliseconds. */
const ANSWER_MS = 5_000;
/** Traces linked to one that are shown with it. */
const LINKED_MAX = 16;
const TRACE_ID = /^[0-9a-f]{32}$/;

export interface TraceVerbOptions extends ClientOptions {
  readonly minMs: string;
  readonly error: boolean;
  readonly route?: string | undefined;
  readonly lines: string;
}

/** `tandem trace`: without an id the newest traces, with one its spans from all processes, as a tree. */
export async function trace(
  id: string | undefined,
  options: TraceVerbOptions,
  output: Output,
): Promise<void> {
  await using client = await openClient(options);
  if (id === undefined) return listTraces(client, options, output);
  const traceId = TRACE_ID.test(id) ? id : await traceOfDecision(client, id);
  const spans = await gather(client, traceId, output);
  if (spans.length === 0) {
    throw new PlatformError(
      'RECORD_NOT_FOUND',
      `No process keeps a span of trace ${traceId}: each keeps only its newest (TANDEM_TRACE_SPANS_MAX)`,
      { details: { traceId } },
    );
  }
  output.result({ traceId, spans }, () => describe(traceId, spans, output));
}

/** A decision's record names its trace. */
async function traceOfDecision(client: Client, decisionId: string): Promise<string> {
  const entry = await client.call(routes.getLedgerEntry, { params: { decisionId }, query: {}, body: {} });
  if (entry.traceId !== null) return entry.traceId;
  throw new PlatformError('RECORD_NOT_FOUND', `The record of decision ${decisionId} names no trace`, {
    details: { decisionId },
  });
}

async function listTraces(client: Client, options: TraceVerbOptions, output: Output): Promise<void> {
  const query = new URLSearchParams({ limit: options.lines, minDurationMs: options.minMs });
  if (options.error) query.set('error', 'true');
  if (options.route !== undefined) query.set('route', options.route);
  const answers = await askAll<TraceList>(client, `/v1/traces?${query.toString()}`, output);
  const found = answers.flatMap(({ traces }) => traces).sort((left, right) => right.startMs - left.startMs);
  const traces = found.slice(0, Number(options.lines));
  output.result(traces, () =>
    traces.length === 0
      ? 'No process keeps such a trace'
      : table(['BEGAN', 'TRACE', 'SERVICE', 'MS', 'NAME', 'ERROR'], traces.map(summaryRow)),
  );
}

function summaryRow({ startMs, traceId, service, durationMs, name, error }: TraceSummary): string[] {
  return [
    new Date(startMs).toISOString().slice(11, 23),
    traceId,
    service,
    milliseconds(durationMs),
    name,
    error ?? '',
  ];
}

/** The spans of a trace, and those of the traces that records and jobs tie to it. */
async function gather(client: Client, traceId: string, output: Output): Promise<FinishedSpan[]> {
  const ask = async (id: string): Promise<FinishedSpan[]> =>
    (await askAll<TraceSpans>(client, `/v1/traces/${id}`, output)).flatMap(({ spans }) => spans);
  const own = await ask(traceId);
  const linked = [...new Set(own.map((span) => span.traceId))].filter((id) => id !== traceId);
  const others = await Promise.all(linked.slice(0, LINKED_MAX).map(ask));
  const byId = new Map([...own, ...others.flat()].map((span) => [span.spanId, span]));
  return [...byId.values()].sort((left, right) => left.startMs - right.startMs);
}

/** Asks every process; those that do not answer are named, and the others' answers count. */
async function askAll<TAnswer>(client: Client, path: string, output: Output): Promise<TAnswer[]> {
  const answers = await Promise.all(
    client.processes().map(async (url): Promise<TAnswer | undefined> => {
      let answer: Asked;
      try {
        answer = await ask(new URL(path, url), {
          ...client.shown,
          signal: AbortSignal.timeout(ANSWER_MS),
        });
      } catch (error) {
        output.note(`tandem trace: no answer from ${url.origin} (${String(error)})`);
        return undefined;
      }
      const body = answer.content as TAnswer & { readonly detail?: string };
      if (answer.ok) return body;
      throw (
        fromProblem(body) ??
        new PlatformError('BAD_REQUEST', `${url.origin}: ${body.detail ?? String(answer.status)}`)
      );
    }),
  );
  return answers.filter((answer) => answer !== undefined);
}

function describe(traceId: string, spans: readonly FinishedSpan[], output: Output): string {
  const beganMs = Math.min(...spans.map(({ startMs }) => startMs));
  const rows = spanLines(spanTree(spans)).map(({ text, span }) => {
    const status = span.error ?? statusOf(span);
    return [
      text,
      span.service,
      `+${milliseconds(span.startMs - beganMs)}`,
      milliseconds(span.durationMs),
      span.status === 'error' ? output.style('red', status) : status,
    ];
  });
  const head = `trace ${traceId}, ${new Date(beganMs).toISOString()}, ${String(spans.length)} spans`;
  return `${head}\n${table(['SPAN', 'SERVICE', 'BEGAN MS', 'TOOK MS', 'STATUS'], rows)}`;
}

function statusOf({ attributes }: FinishedSpan): string {
  const status = attributes['http.response.status_code'];
  return status === undefined ? '' : String(status);
}

function milliseconds(ms: number): string {
  return ms.toFixed(ms < 10 ? 3 : 1);
}
