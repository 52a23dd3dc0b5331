import { PlatformError } from '../../contract/index.ts';
import type { ExternalTrainer } from '../../define/index.ts';
import { READ_LIMITS } from '../../ml/index.ts';
import type {
  CommandOutput,
  CommandRequest,
  CommandResult,
  Commands,
  ObjectReference,
} from '../../runtime/index.ts';
import type { CheckInput, CheckOutput } from './check-model-task.ts';
import { FILES, jobOf } from './external-job.ts';
import { EXTERNAL_METRICS, readExternalMetrics } from './external-metrics.ts';
import { type Part, readPart } from './part-file.ts';
import type { RunContext } from './run-context.ts';
import type { Side } from './part-table.ts';
import { CHECK_MODEL } from './tasks.ts';
import { type TrainTable, writeTrainTable } from './train-table.ts';

/** What a command made. */
export interface FittedOutside {
  readonly onnx: ObjectReference;
  readonly cpuSeconds: number | null;
  readonly wallSeconds: number;
  /** Form of the model. */
  readonly form: string;
  /** What the command printed. */
  readonly log: ObjectReference;
  /** What the command says of its model, by `external.NAME`. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly memoryLimit: string;
}

const MEBIBYTE = 1_048_576;
/** How often it is looked whether the run is still this attempt's, in milliseconds. */
const CLAIM_LOOK_MS = 2_000;
/** The end of what the command printed that stands in an error, in bytes. */
const ERROR_TAIL_BYTES = 2_000;
/** Longest note of progress, in characters. */
const NOTE_LENGTH_MAX = 200;

/**
 * Throws CONFIGURATION when the model's trainer is a command and this process runs none: a run must not build its dataset
 * first.
 */
export function assertTrainable({ host, model }: RunContext): void {
  if (model.trainer.kind === 'external') commandsOf(host.commands, model.name);
}

function commandsOf(commands: Commands | undefined, model: string): Commands {
  if (commands !== undefined) return commands;
  throw new PlatformError(
    'CONFIGURATION',
    `Model '${model}' is trained by a command, and this process was started without the means to run commands`,
    { details: { model } },
  );
}

/** Lets a command fit the model, in a folder of its own. `table` is where the rows of `train` come from. */
export async function fitOutside(
  context: RunContext,
  trainer: ExternalTrainer,
  { train, table }: { readonly train: Side; readonly table: TrainTable },
): Promise<FittedOutside> {
  const { host, model, signal } = context;
  const commands = commandsOf(host.commands, model.name);
  const part = readPart(await host.objects.get(train.digest));
  await using session = await host.warehouse.session({ isBackground: true });
  const parquet = await writeTrainTable(session, table);
  signal.throwIfAborted();
  const startMs = host.clock.monotonic();
  const request: CommandRequest = {
    command: trainer.command,
    programFiles: trainer.digests,
    inputs: [
      { name: FILES.job, bytes: jobOf(model, trainer, part) },
      { name: FILES.parquet, path: parquet },
      { name: FILES.values, bytes: bytesOf(part.values) },
      { name: FILES.labels, bytes: part.labels },
    ],
    outputs: [
      { name: FILES.model, bytesMax: READ_LIMITS.bytesMax },
      { name: FILES.metrics, bytesMax: EXTERNAL_METRICS.bytesMax },
    ],
    timeoutMs: trainer.timeoutMs,
    memoryBytesMax: trainer.memoryMiB * MEBIBYTE,
  };
  const onLine = (line: string): void => showProgress(context, line);
  const result = await whileClaimed(context, () => commands.run(request, { signal, onLine }));
  const wallSeconds = (host.clock.monotonic() - startMs) / 1_000;
  const log = await host.objects.put(result.log);
  const { onnx, metrics, form } = await loggedFailures({ log, result }, () => taken(context, result, part));
  const { cpuSeconds, memoryLimit } = result;
  const stored = await host.objects.put(onnx);
  return { onnx: stored, cpuSeconds, wallSeconds, form, log, metrics, memoryLimit };
}

/**
 * Looks again and again whether the run is still this attempt's: a command that prints nothing writes no progress, which
 * would tell.
 */
async function whileClaimed<TResult>(
  { host, progress }: RunContext,
  work: () => Promise<TResult>,
): Promise<TResult> {
  const end = new AbortController();
  const watch = async (): Promise<void> => {
    while (!end.signal.aborted) {
      await host.clock.sleep(CLAIM_LOOK_MS, end.signal);
      if (!end.signal.aborted) await progress.check();
    }
  };
  const watching = watch();
  try {
    return await work();
  } finally {
    end.abort();
    await watching;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Shows what a line tells of the progress; any other line is for the log alone. */
function showProgress({ progress }: RunContext, line: string): void {
  if (!line.startsWith('{')) return;
  let said: unknown;
  try {
    said = JSON.parse(line);
  } catch {
    return;
  }
  const { done, total, note } = said as { readonly done?: unknown; readonly total?: unknown; note?: unknown };
  if (typeof done !== 'number' || typeof total !== 'number') return;
  if (!(done >= 0 && total > 0 && Number.isFinite(total))) return;
  progress.step('fit', {
    progress: Math.min(1, done / total),
    note:
      typeof note === 'string' ? note.toWellFormed().replaceAll('\0', ' ').slice(0, NOTE_LENGTH_MAX) : null,
  });
}

interface Taken {
  readonly onnx: Uint8Array<ArrayBuffer>;
  readonly form: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Takes what the command made, if it ended well and what it made can be used. */
async function taken({ host, signal }: RunContext, result: CommandResult, part: Part): Promise<Taken> {
  assertDone(result);
  const onnx = new Uint8Array(fileOf(result.outputs.get(FILES.model), FILES.model, READ_LIMITS.bytesMax));
  const given = result.outputs.get(FILES.metrics);
  const metrics =
    given === undefined || given.kind === 'absent'
      ? {}
      : readExternalMetrics(fileOf(given, FILES.metrics, EXTERNAL_METRICS.bytesMax));
  const input: CheckInput = { onnx, names: part.names };
  const { kind } = await host.compute.run<CheckOutput>(CHECK_MODEL, input, { signal });
  return { onnx, form: kind, metrics };
}

function assertDone({ end }: CommandResult): void {
  if (end.kind === 'exit' && end.code === 0) return;
  throw new PlatformError('UNPROCESSABLE', `The command ${describeEnd(end)}`);
}

function describeEnd(end: CommandResult['end']): string {
  switch (end.kind) {
    case 'exit':
      return `ended with exit code ${end.code}`;
    case 'signal':
      return `was ended by ${end.signal}`;
    case 'limit':
      return `was ended: ${end.text}`;
  }
}

function fileOf(output: CommandOutput | undefined, name: string, bytesMax: number): Uint8Array {
  if (output?.kind === 'read') return output.bytes;
  const how =
    output === undefined || output.kind === 'absent'
      ? `did not write ${name}`
      : output.kind === 'irregular'
        ? `left something else than a file as ${name}`
        : `wrote ${output.bytes} bytes to ${name}, more than ${bytesMax}`;
  throw new PlatformError('UNPROCESSABLE', `The command ${how}`);
}

/** Adds to a failure that is the command's what it printed last, and where all of it is. */
async function loggedFailures<TResult>(
  { log, result }: { readonly log: ObjectReference; readonly result: CommandResult },
  work: () => Promise<TResult>,
): Promise<TResult> {
  try {
    return await work();
  } catch (error) {
    if (!PlatformError.is(error) || error.code !== 'UNPROCESSABLE') throw error;
    const tail = endOf(result.log);
    const printed =
      tail === ''
        ? 'It printed nothing.'
        : `What it printed is object ${log.digest}; the end of it:\n${tail}`;
    throw new PlatformError('UNPROCESSABLE', `${error.message} (${result.memoryLimit}). ${printed}`, {
      details: { log },
      cause: error,
    });
  }
}

/** The last lines as text that a database takes. */
function endOf(log: Uint8Array): string {
  const text = new TextDecoder().decode(log.subarray(-ERROR_TAIL_BYTES));
  // Control characters could act on the terminal of whoever reads it.
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, ' ').trim();
}
