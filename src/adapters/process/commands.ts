import { type ChildProcess, fork } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PlatformError } from '../../contract/errors.ts';
import type {
  CommandOptions,
  CommandOutput,
  CommandRequest,
  CommandResult,
  Commands,
} from '../../runtime/ports/index.ts';
import { CommandLog, Lines } from './command-log.ts';
import { findProgram, isProgram, PATH_DEFAULT } from './find-program.ts';
import { HOME_FOLDER, markOf, ProcessGroup } from './group.ts';
import type { KeeperOrder, KeeperReport, KeeperStop } from './orders.ts';
import {
  copyProgramFile,
  readOutput,
  TEMPORARY_FOLDER,
  type WorkFolders,
  workFolders,
  writeInput,
} from './work-folder.ts';

export interface ProcessCommandsOptions {
  /** Where the folders of commands are made. */
  readonly directory: string;
  /** The app's folder: programs with a slash and the files of commands lie there. */
  readonly appDirectory: string;
  /** Where programs are looked up. Default: the PATH of this process. */
  readonly path?: string;
  /** Bytes that a command may print. Default 16 MiB. */
  readonly printedBytesMax?: number;
  /** Bytes that a command's folder may take, inputs included. Default 16 GiB. */
  readonly diskBytesMax?: number;
  /** Between the request to end and the end by force, in milliseconds. Default 5,000. */
  readonly graceMs?: number;
  /** How often memory is looked at, in milliseconds. Default 200. */
  readonly watchMs?: number;
  /** From 0 to 19: how much a command gives way to others. Default 10. */
  readonly niceness?: number;
}

/** Defaults of {@link ProcessCommandsOptions}. */
const DEFAULTS = {
  printedBytesMax: 16_777_216,
  diskBytesMax: 17_179_869_184,
  graceMs: 5_000,
  watchMs: 200,
  niceness: 10,
} as const;

/** What is kept of what a command prints, in bytes; of a longer line it is not looked whether it tells progress. */
const HEAD_BYTES = 65_536;
const TAIL_BYTES = 196_608;
const LINE_BYTES_MAX = 4_096;
/** How long output is waited for when all processes are gone, in milliseconds: one that hid may hold the pipe. */
const DRAIN_MS = 2_000;

/** In the repository the sources run as they are, in the package they are compiled. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const KEEPER = fileURLToPath(new URL(`./keeper.${EXTENSION}`, import.meta.url));

type Settings = Required<ProcessCommandsOptions>;

/**
 * The port `Commands` on processes of this machine. Each command has a folder, a session and a process group of its own,
 * and a keeper: a small process that watches its limits and ends it when this process is gone.
 */
export function processCommands(options: ProcessCommandsOptions): Commands {
  const settings: Settings = { path: process.env['PATH'] ?? PATH_DEFAULT, ...DEFAULTS, ...options };
  const folders = workFolders(settings.directory);
  return { run: (request, runOptions = {}) => run({ settings, folders }, request, runOptions) };
}

async function run(
  { settings, folders }: { readonly settings: Settings; readonly folders: WorkFolders },
  request: CommandRequest,
  options: CommandOptions,
): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const folder = await folders.create();
  try {
    for (const input of request.inputs) await writeInput(folder, input);
    for (const [path, digest] of Object.entries(request.programFiles)) {
      await copyProgramFile({ from: settings.appDirectory, to: folder }, path, digest);
    }
    options.signal?.throwIfAborted();
    const order = orderOf(settings, request, folder);
    const { log, report } = await keep(order, settings.printedBytesMax, options);
    options.signal?.throwIfAborted();
    const outputs = new Map<string, CommandOutput>();
    for (const output of request.outputs) outputs.set(output.name, await readOutput(folder, output));
    return { ...report, log, outputs };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function orderOf(settings: Settings, request: CommandRequest, folder: string): KeeperOrder {
  const { path, diskBytesMax, graceMs, watchMs, niceness } = settings;
  return {
    program: programOf(settings, request, folder),
    arguments: request.command.slice(1),
    folder,
    environment: {
      PATH: path,
      HOME: join(folder, HOME_FOLDER),
      TMPDIR: join(folder, TEMPORARY_FOLDER),
      LANG: 'C.UTF-8',
    },
    timeoutMs: request.timeoutMs,
    memoryBytesMax: request.memoryBytesMax,
    diskBytesMax,
    graceMs,
    watchMs,
    niceness,
  };
}

/** The program: from PATH, or the copy of a file of the app, or else what lies beside the app, where it lies. */
function programOf(
  { path, appDirectory }: Settings,
  { command, programFiles }: CommandRequest,
  folder: string,
): string {
  const [name = ''] = command;
  if (!name.includes('/')) {
    const found = findProgram(name, path);
    if (found !== undefined) return found;
    throw new PlatformError('DEFINITION', `There is no program '${name}' on the PATH ${path}`);
  }
  const beside = resolve(appDirectory, name);
  const copied = Object.keys(programFiles).find((file) => resolve(appDirectory, file) === beside);
  const program = copied === undefined ? beside : join(folder, copied);
  if (isProgram(program)) return program;
  throw new PlatformError('DEFINITION', `${beside} is no file that may be run`);
}

interface Kept {
  readonly log: Uint8Array;
  readonly report: Exclude<KeeperReport, { readonly failure: string }>;
}

/** Runs the command to its end. Rejects with the signal's reason only when nothing of it is left. */
async function keep(
  order: KeeperOrder,
  printedBytesMax: number,
  { signal, onLine }: CommandOptions,
): Promise<Kept> {
  const { PATH = PATH_DEFAULT } = order.environment;
  const keeper = fork(KEEPER, [JSON.stringify(order)], {
    detached: true,
    execArgv: [],
    // Nor does the keeper have what the command must not know: its environment can be read.
    env: { PATH },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const tell = (stop: KeeperStop): void => {
    if (keeper.connected) keeper.send(stop, () => undefined);
  };
  const log = new CommandLog(HEAD_BYTES, TAIL_BYTES);
  const text = `it printed more than ${String(printedBytesMax)} bytes`;
  const take = (chunk: Buffer): void => {
    const isWithin = log.total <= printedBytesMax;
    log.add(chunk);
    // Once: more may come until the command has ended.
    if (isWithin && log.total > printedBytesMax) tell({ end: { kind: 'limit', limit: 'output', text } });
  };
  const lines = new Lines(LINE_BYTES_MAX, (line) => onLine?.(line));
  keeper.stdout?.on('data', (chunk: Buffer) => {
    take(chunk);
    lines.add(chunk);
  });
  keeper.stderr?.on('data', take);
  const abort = (): void => tell({});
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    const report = await ended(keeper);
    if ('failure' in report) {
      throw new PlatformError('DEFINITION', `The command cannot be started: ${report.failure}`);
    }
    return { log: log.bytes(), report };
  } catch (error) {
    // Without its keeper nobody else would end it.
    new ProcessGroup(0, markOf(order.folder)).signal('SIGKILL');
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** What the keeper reported, when it has ended and all output came. */
function ended(keeper: ChildProcess): Promise<KeeperReport> {
  return new Promise((fulfil, reject) => {
    let report: KeeperReport | undefined;
    let failure: unknown;
    keeper.on('message', (said: KeeperReport) => (report = said));
    keeper.once('error', (error) => {
      failure = error;
      // One that was never started does not close.
      if (keeper.pid === undefined) reject(lost(keeper, error));
    });
    keeper.once('exit', () => {
      const drained = setTimeout(() => {
        keeper.stdout?.destroy();
        keeper.stderr?.destroy();
      }, DRAIN_MS);
      keeper.once('close', () => {
        clearTimeout(drained);
        if (report === undefined) reject(lost(keeper, failure));
        else fulfil(report);
      });
    });
  });
}

function lost({ exitCode, signalCode }: ChildProcess, cause: unknown): PlatformError {
  const how = signalCode ?? `exit code ${String(exitCode)}`;
  return new PlatformError('UNAVAILABLE', `The process that watches over the command ended (${how})`, {
    cause,
  });
}
