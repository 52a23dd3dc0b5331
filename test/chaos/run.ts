import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { endEverything, endWithEverything } from './support/ending.ts';

/** What a chaos run is given. */
export interface ChaosOptions {
  /** Of everything that is left to chance. A failed run says it, so that it can be run again. */
  readonly seed: number;
  /** A short form of the run, quick enough for every change; the long one is for nights. */
  readonly short: boolean;
  /** What else was said on the command line, e.g. `--kills 200`. */
  readonly values: Readonly<Record<string, string>>;
  /** Says what is going on, on standard error. */
  readonly note: (text: string) => void;
}

/** What a chaos run counted and found. */
export interface ChaosResult {
  readonly counts: Readonly<Record<string, number>>;
  /** What must not have happened, in words; empty when all promises were kept. */
  readonly violations: readonly string[];
  /** A table for people, on standard error. */
  readonly table?: string;
}

/** What a file `test/chaos/NAME.ts` exports. */
export interface Chaos {
  /** Why it cannot run on this machine, and which package would help; `undefined` when it can. */
  missing?(): Promise<string | undefined>;
  run(options: ChaosOptions): Promise<ChaosResult>;
}

/** `run.ts NAME [--seed S] [--short] [--OPTION=VALUE]`: one JSON line; exit code 1 when there is a violation. */
async function main(given: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...given],
    allowPositionals: true,
    strict: false,
    options: { seed: { type: 'string' }, short: { type: 'boolean' } },
  });
  const [name] = positionals;
  if (name === undefined || !/^[a-z0-9-]+$/.test(name) || name === 'run') {
    console.error(
      'usage: npm run chaos -- NAME [--seed S] [--short] [--OPTION=VALUE], for a file test/chaos/NAME.ts',
    );
    process.exitCode = 2;
    return;
  }
  const note = (text: string): void => console.error(`chaos ${name}: ${text}`);
  const chaos = (await import(`./${name}.ts`)) as Chaos;
  const missing = await chaos.missing?.();
  if (missing !== undefined) {
    note(`SKIPPED: ${missing}`);
    console.log(JSON.stringify({ name, skipped: missing }));
    return;
  }
  const seed = values['seed'] === undefined ? Date.now() % 2 ** 31 : Number(values['seed']);
  const texts = Object.entries(values).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  note(`seed ${String(seed)}`);
  const options = { seed, short: values['short'] === true, values: Object.fromEntries(texts), note };
  const { counts, violations, table } = await chaos.run(options);
  if (table !== undefined) console.error(table);
  console.log(JSON.stringify({ name, seed, counts, violations }));
  if (violations.length > 0) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  endWithEverything();
  await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
  // What a scope did not get to end, and processes that nobody knows of any more.
  await endEverything();
  process.exit();
}
