import { ERROR_CODES, type ErrorCode, PlatformError } from '../contract/index.ts';
import type { Clock, Random } from './ports/index.ts';

/** A named point of the code where a crash could hurt, the file it is in, and what has happened by then. */
interface FailPointEntry {
  readonly name: string;
  readonly file: string;
  readonly text: string;
}

/**
 * Every fail-point. A test holds this list against the source and docs/reference/fail-points.md against this list.
 */
export const FAIL_POINTS = [
  {
    name: 'ingest.append.before',
    file: 'services/ingest/intake.ts',
    text: 'Records are checked, none is in the log',
  },
  {
    name: 'ingest.append.after',
    file: 'services/ingest/intake.ts',
    text: 'Records are in the log, nobody has been told',
  },
  {
    name: 'ingest.quarantine.after',
    file: 'services/ingest/intake.ts',
    text: 'Refused records are in quarantine, nobody has been told',
  },
  {
    name: 'ingest.replay.appended',
    file: 'services/ingest/replay-quarantine.ts',
    text: 'Records are back in the log and still in quarantine',
  },
  {
    name: 'log.append.before',
    file: 'adapters/postgres/log/append.ts',
    text: 'A batch has its connection, nothing is sent',
  },
  {
    name: 'log.append.committed',
    file: 'adapters/postgres/log/append.ts',
    text: 'A batch is on disk, no caller knows',
  },
  {
    name: 'features.restore.after',
    file: 'services/features/backfill.ts',
    text: 'The state is restored, the log is not read yet',
  },
  {
    name: 'features.apply.before',
    file: 'services/features/feed.ts',
    text: 'A batch of the log is read and not applied',
  },
  {
    name: 'features.snapshot.before',
    file: 'services/features/snapshots.ts',
    text: 'A snapshot is encoded and stored nowhere',
  },
  {
    name: 'features.snapshot.stored',
    file: 'services/features/snapshots.ts',
    text: 'The object of a snapshot is stored, its row is not',
  },
  {
    name: 'features.snapshot.noted',
    file: 'services/features/snapshots.ts',
    text: 'The row of a snapshot is there, the one before is not removed',
  },
  {
    name: 'features.archive.stored',
    file: 'services/features/archive.ts',
    text: 'A Parquet file is stored, file and position are not committed',
  },
  {
    name: 'features.archive.committed',
    file: 'services/features/archive.ts',
    text: 'File and position are committed, this process does not know',
  },
  {
    name: 'features.archive.merged',
    file: 'services/features/archive.ts',
    text: 'A merged file is stored, the small ones still count',
  },
  {
    name: 'features.dataset.stored',
    file: 'services/features/datasets.ts',
    text: 'The file of a dataset is stored, its manifest is not',
  },
  {
    name: 'features.receipts.before',
    file: 'services/features/vector-reader.ts',
    text: 'Vectors are read, their receipts are not in the log',
  },
  {
    name: 'train.run.claimed',
    file: 'services/train/execute.ts',
    text: 'A job has claimed its run and done nothing',
  },
  {
    name: 'train.step.done',
    file: 'services/train/run-context.ts',
    text: 'A step has done its work, its record is not written',
  },
  {
    name: 'train.step.recorded',
    file: 'services/train/run-context.ts',
    text: 'The record of a step is written, the next has not begun',
  },
  {
    name: 'train.bundle.claimed',
    file: 'services/train/bundle-step.ts',
    text: 'A bundle has its run, the registry does not know of it',
  },
  {
    name: 'train.run.ending',
    file: 'services/train/execute.ts',
    text: 'The version is registered, the run does not say so',
  },
  {
    name: 'registry.version.inserted',
    file: 'services/registry/versions.ts',
    text: 'A version is inserted and not committed',
  },
  {
    name: 'registry.version.committed',
    file: 'services/registry/versions.ts',
    text: 'A version is committed, the caller does not know',
  },
  {
    name: 'registry.release.switched',
    file: 'services/registry/releases.ts',
    text: 'A release is switched and not committed, no signal is out',
  },
  {
    name: 'registry.release.committed',
    file: 'services/registry/releases.ts',
    text: 'A release is committed and signalled, the caller does not know',
  },
  {
    name: 'serve.release.loaded',
    file: 'services/serve/release-watch.ts',
    text: 'A release is loaded, the one before still answers',
  },
  {
    name: 'serve.release.swapped',
    file: 'services/serve/release-watch.ts',
    text: 'A release answers, its revision is not noted',
  },
  {
    name: 'serve.ledger.before',
    file: 'services/serve/ledger.ts',
    text: 'A group of entries is collected, none is written',
  },
  {
    name: 'serve.ledger.committed',
    file: 'services/serve/ledger.ts',
    text: 'A group of entries is on disk, nobody is answered and the buffer still holds them',
  },
  {
    name: 'serve.answer.before',
    file: 'services/serve/record-answer.ts',
    text: 'A decision or recommendation is recorded as it should be and not answered',
  },
  {
    name: 'discovery.announce.before',
    file: 'runtime/discovery.ts',
    text: 'A process listens, nobody can find it',
  },
  {
    name: 'discovery.announce.after',
    file: 'runtime/discovery.ts',
    text: 'A process can be found and has said its address to nobody else',
  },
  {
    name: 'discovery.withdraw.before',
    file: 'runtime/discovery.ts',
    text: 'A process was told to stop and can still be found',
  },
  {
    name: 'migrate.locked',
    file: 'adapters/postgres/migrate.ts',
    text: 'The lock on the schema is held, nothing is changed',
  },
  {
    name: 'migrate.changed',
    file: 'adapters/postgres/migrate.ts',
    text: 'A step has changed the schema and is not committed',
  },
  {
    name: 'migrate.landed',
    file: 'adapters/postgres/migrate.ts',
    text: 'Our steps have landed, those of the job queue have not',
  },
  {
    name: 'objects.put.written',
    file: 'adapters/objects/directory.ts',
    text: 'An object is on disk under a passing name',
  },
  {
    name: 'objects.put.renamed',
    file: 'adapters/objects/directory.ts',
    text: 'An object has its name, its folder is not synchronised',
  },
  {
    name: 'supervisor.spawned',
    file: 'cli/supervisor/slot.ts',
    text: 'A process is started, the state file does not know it',
  },
  {
    name: 'supervisor.scaling',
    file: 'cli/supervisor/supervisor.ts',
    text: 'Another number of processes is accepted and not written down',
  },
  {
    name: 'embedded.start.before',
    file: 'adapters/postgres/embedded/index.ts',
    text: 'The lock on the embedded server is held, it does not run',
  },
  {
    name: 'embedded.start.launched',
    file: 'adapters/postgres/embedded/index.ts',
    text: 'The embedded server runs, whoever started it does not use it yet',
  },
] as const satisfies readonly FailPointEntry[];

/** Name of a fail-point. */
export type FailPointName = (typeof FAIL_POINTS)[number]['name'];

/** Where the code says that it passes a fail-point. */
export interface FailPoints {
  /** Does nothing unless the point is armed; await it always. Rejects with the code that it is armed with. */
  pass(name: FailPointName): Promise<void> | undefined;
}

/** No point is armed: what every process has that nobody breaks on purpose. */
export const noFailPoints: FailPoints = Object.freeze({ pass: () => undefined });

type FailAction =
  | { readonly kind: 'kill' }
  | { readonly kind: 'pause'; readonly ms: number }
  | { readonly kind: 'error'; readonly code: ErrorCode };

/** One armed point. */
export interface ArmedPoint {
  readonly name: FailPointName;
  readonly action: FailAction;
  /** At this passage only, counted from 1; or at each one with this probability. */
  readonly when: { readonly passage: number } | { readonly probability: number };
}

const PATTERN = /^([a-z.]+)=(kill|pause:(\d{1,7})|error:([A-Z_]+))(?:@(?:([1-9]\d{0,8})|p(0(?:\.\d+)?|1)))?$/;

/**
 * Reads `log.append.committed=kill@3,serve.ledger.before=pause:200@p0.1,objects.put.written=error:STORAGE_FULL`: kill,
 * pause for so many milliseconds, or reject with a code; at that passage (default the first), or at each with that
 * probability. Throws CONFIGURATION.
 */
export function parseFailPoints(text: string): ArmedPoint[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parsePoint);
}

function parsePoint(text: string): ArmedPoint {
  const [, given = '', action = '', ms, code, passage, probability] = PATTERN.exec(text) ?? [];
  const name = FAIL_POINTS.find((point) => point.name === given)?.name;
  if (given === '' || (code !== undefined && !isErrorCode(code))) {
    throw new PlatformError(
      'CONFIGURATION',
      `Fail-point: expected NAME=kill, NAME=pause:MS or NAME=error:CODE, then @PASSAGE or @pPROBABILITY; got '${text}'`,
    );
  }
  if (name === undefined) {
    throw new PlatformError(
      'CONFIGURATION',
      `There is no fail-point '${given}'; see docs/reference/fail-points.md`,
    );
  }
  return {
    name,
    action: actionOf(action, ms, code),
    when:
      probability === undefined ? { passage: Number(passage ?? 1) } : { probability: Number(probability) },
  };
}

function actionOf(text: string, ms: string | undefined, code: string | undefined): FailAction {
  if (ms !== undefined) return { kind: 'pause', ms: Number(ms) };
  if (code !== undefined && isErrorCode(code)) return { kind: 'error', code };
  if (text === 'kill') return { kind: 'kill' };
  throw new Error(`There is no action '${text}'`);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

export interface ArmedFailPointsParts {
  readonly clock: Pick<Clock, 'sleep'>;
  /** For points that are armed with a probability. */
  readonly random: Pick<Random, 'float'>;
  /** Ends this process at once, as SIGKILL does. */
  readonly die: () => void;
  /** Told before a point acts, synchronously: afterwards there may be nobody left to tell. */
  readonly fired: (point: ArmedPoint) => void;
}

/** Fail-points of which some are armed, and can be armed anew. */
export class ArmedFailPoints implements FailPoints {
  readonly #parts: ArmedFailPointsParts;
  #armed = new Map<FailPointName, ArmedPoint>();
  readonly #passages = new Map<FailPointName, number>();

  constructor(parts: ArmedFailPointsParts) {
    this.#parts = parts;
  }

  /** From now on these and no others; passages are counted from here. */
  arm(points: readonly ArmedPoint[]): void {
    this.#armed = new Map(points.map((point) => [point.name, point]));
    this.#passages.clear();
  }

  pass(name: FailPointName): Promise<void> | undefined {
    const point = this.#armed.get(name);
    if (point === undefined) return undefined;
    const passage = (this.#passages.get(name) ?? 0) + 1;
    this.#passages.set(name, passage);
    const { when } = point;
    const isDue =
      'passage' in when ? passage === when.passage : this.#parts.random.float() < when.probability;
    return isDue ? this.#act(point) : undefined;
  }

  async #act(point: ArmedPoint): Promise<void> {
    const { clock, die, fired } = this.#parts;
    const { action, name } = point;
    fired(point);
    switch (action.kind) {
      case 'kill':
        return die();
      case 'pause':
        return clock.sleep(action.ms);
      case 'error':
        throw new PlatformError(action.code, `Fail-point ${name} is armed with this error`);
    }
  }
}
