import { setTimeout as sleep } from 'node:timers/promises';
import { gateValueText, PlatformError, routes, type Run, type SearchForm } from '../../contract/index.ts';
import { gateBoundText, gateMeasureText } from '../../define/index.ts';
import { type Client, type ClientOptions, openClient } from '../client.ts';
import { amount, type Output } from '../output.ts';

/** How often a run is looked at, in milliseconds. */
const LOOK_MS = 500;
/** How long a server may be away while a run is watched, in milliseconds. */
const AWAY_MS_MAX = 60_000;

export interface TrainVerbOptions extends ClientOptions {
  readonly asOf?: string | undefined;
  readonly wait: boolean;
}

/**
 * `tandem train`: starts a run and waits for its end. Rejects with GATE_FAILED or UNPROCESSABLE when it came
 * to nothing.
 */
export async function trainModel(model: string, options: TrainVerbOptions, output: Output): Promise<void> {
  const asOf = options.asOf === undefined ? undefined : readInstant('--as-of', options.asOf);
  await using client = await openClient(options);
  const started = await client.call(routes.startRun, {
    params: { model },
    query: {},
    // The key makes the call safe to send again when its answer is lost.
    body: { ...(asOf === undefined ? {} : { asOf }), idempotencyKey: crypto.randomUUID() },
  });
  if (!options.wait) {
    return output.result(started, () => `run ${started.id} of ${model} is ${started.state}`);
  }
  const run = await watch(client, started, output);
  output.result(run, () => describe(run));
  if (run.state === 'done') return;
  throw new PlatformError(
    'UNPROCESSABLE',
    `Run ${run.id} ${run.state}: ${run.error ?? 'no reason is known'}`,
  );
}

/**
 * Reads an instant: ISO 8601 with an offset or Z, a date (its start, UTC), or milliseconds. Throws
 * CONFIGURATION.
 */
export function readInstant(flag: string, text: string): number {
  if (/^\d{10,14}$/.test(text)) return Number(text);
  const isIso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2}))?$/.test(text);
  const ms = isIso ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new PlatformError(
    'CONFIGURATION',
    `${flag}: expected an instant such as 2018-06-11 or 2018-06-11T12:00:00Z, got '${text}'`,
  );
}

async function watch(client: Client, started: Run, output: Output): Promise<Run> {
  let run = started;
  let seenAt = performance.now();
  while (run.state === 'queued' || run.state === 'running') {
    output.progress(progressText(run));
    await sleep(LOOK_MS);
    try {
      run = await client.call(routes.getRun, { params: { id: started.id }, query: {}, body: {} });
      seenAt = performance.now();
    } catch (error) {
      // A run goes on, or begins again, when a process dies: so does whoever watches it.
      if (!PlatformError.is(error) || !error.retryable || performance.now() - seenAt > AWAY_MS_MAX)
        throw error;
    }
  }
  output.endProgress();
  return run;
}

/** `tandem search RUN`: what its search has found, as it is, for a file or a pipe. */
export async function printSearch(
  run: string,
  { form, output, ...options }: ClientOptions & { readonly form: SearchForm; readonly output: Output },
): Promise<void> {
  await using client = await openClient(options);
  const found = await client.call(routes.getSearch, { params: { id: run }, query: { form }, body: {} });
  output.result(found, () => found.text.trimEnd());
}

interface ShownStep extends Omit<Run['steps'][number], 'name'> {
  readonly name: string;
}

/** The steps, with the search in its place among them. */
function shownSteps({ steps, search }: Run): ShownStep[] {
  return steps.flatMap((step) =>
    step.name === 'fit' && search !== undefined ? [{ ...search, name: 'search' }, step] : [step],
  );
}

function progressText(run: Run): string {
  if (run.state === 'queued') return 'waiting for a worker';
  const steps = shownSteps(run).map((step) => {
    if (step.state === 'done' || step.state === 'reused') return `${step.name} ok`;
    if (step.state === 'running') {
      const note = step.name === 'search' && step.note !== null ? ` (${step.note})` : '';
      return `${step.name} ${String(Math.round(step.progress * 100))} %${note}`;
    }
    return step.name;
  });
  return steps.join(' > ');
}

function describe(run: Run): string {
  const reason = run.reason === undefined ? '' : ` (${run.reason})`;
  const version = run.version === null ? '' : `, version ${String(run.version)}`;
  const lines = [`run ${run.id} of ${run.model}${reason}: ${run.state}${version}`];
  for (const step of shownSteps(run)) {
    const seconds = step.seconds === null ? '' : ` ${step.seconds.toFixed(1)} s`;
    lines.push(
      `  ${step.name.padEnd(9)} ${step.state}${seconds}${step.note === null ? '' : `  ${step.note}`}`,
    );
  }
  const metrics = Object.entries(run.metrics).map(([name, value]) => `${name} ${amount(value)}`);
  if (metrics.length > 0) lines.push(`  metrics   ${metrics.join(', ')}`);
  for (const gate of run.gates) {
    lines.push(
      `  gate      ${gateMeasureText(gate)} ${gateBoundText(gate)}: ${gateValueText(gate, amount)} ${gate.passed ? 'passed' : 'FAILED'}`,
    );
  }
  if (run.search !== undefined && run.search.best !== null)
    lines.push(`See all trials with: tandem search ${run.id}`);
  if (run.version !== null)
    lines.push(`Put it in charge with: tandem release <decision> ${String(run.version)}`);
  return lines.join('\n');
}
