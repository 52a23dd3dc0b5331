import type { Objects, Tables } from '../../runtime/index.ts';
import type { UnitName } from './steps.ts';

/** What a step made. */
export interface StepResult<TOutput> {
  /** Anything that JSON holds. */
  readonly output: TOutput;
  /** Digests of the objects that the output speaks of. */
  readonly artefacts: readonly string[];
}

/** A finished step. */
export interface StepRecord<TOutput> {
  readonly output: TOutput;
  /** The run that did it. */
  readonly run: string;
  readonly seconds: number;
}

export interface NewStep<TOutput> extends StepResult<TOutput> {
  readonly key: string;
  readonly step: UnitName;
  readonly run: string;
  readonly seconds: number;
  readonly finishedAt: number;
}

interface StepRow extends Record<string, unknown> {
  readonly output: unknown;
  readonly artefacts: readonly string[];
  readonly run: string;
  readonly seconds: number;
}

const FIND = `select output, artefacts, run, seconds from train_step where key = $1`;

const FORGET = `delete from train_step where key = $1 and artefacts = $2`;

const INSERT = `
insert into train_step (key, step, run, output, artefacts, seconds, finished_at)
values ($1, $2, $3, $4, $5, $6, $7) on conflict (key) do nothing`;

/**
 * Finds a finished step by its key. One whose objects are no longer all there is forgotten and counts as not
 * done: a record that points to nothing helps nobody.
 */
export async function findStep<TOutput>(
  tables: Tables,
  objects: Objects,
  key: string,
): Promise<StepRecord<TOutput> | undefined> {
  const [row] = await tables.query<StepRow>(FIND, [key]);
  if (row === undefined) return undefined;
  for (const digest of row.artefacts) {
    if (await objects.has(digest)) continue;
    await tables.query(FORGET, [key, row.artefacts]);
    return undefined;
  }
  return toRecord<TOutput>(row);
}

/** Records a finished step. Whoever did the same step first stays; the answer is what is recorded. */
export async function recordStep<TOutput>(
  tables: Tables,
  step: NewStep<TOutput>,
): Promise<StepRecord<TOutput>> {
  const { key, output, artefacts, run, seconds } = step;
  await tables.query(INSERT, [
    key,
    step.step,
    run,
    JSON.stringify(output),
    artefacts,
    seconds,
    step.finishedAt,
  ]);
  const [row] = await tables.query<StepRow>(FIND, [key]);
  return row === undefined ? { output, run, seconds } : toRecord<TOutput>(row);
}

function toRecord<TOutput>({ output, run, seconds }: StepRow): StepRecord<TOutput> {
  return { output: output as TOutput, run, seconds };
}
