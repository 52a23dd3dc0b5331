import {
  type CommonOptions,
  parseCommon,
  type Places,
  share,
  UsageError,
  whole,
} from '@tandem-examples/driver';
import { DATASET_NAMES, OWN_FOLDER } from '../datasets/index.ts';

export interface RunOptions extends CommonOptions {
  /** Name of the data set. */
  readonly dataset: string;
  /** The folder with its file. */
  readonly data: string;
  /** Batches that come in; undefined: all of the file. */
  readonly batches: number | undefined;
  /** Share of the records after which the product is killed; undefined: it is not. */
  readonly killAt: number | undefined;
  /** The queue of reviews is left to whoever runs it. */
  readonly byHand: boolean;
}

/** The data set that comes with the example. */
const OWN = 'wdbc';
/**
 * Order of the cases. Chosen because the first 48 teach little with it, so that there is something to improve: the
 * first version has an area under the ROC curve of 0.98 on later cases. Others have up to 0.998.
 */
const SEED = 9;
/** Fewer end before a version decides. */
const BATCHES_MIN = 4;

export const USAGE = `Diagnosis with a model that improves as cases come in: starts the product, sends it cases in batches over
simulated time and findings days later, trains after each batch, compares, releases, and asks for a decision
on every further case. Cases that it is unsure of wait for a clinician, whose word it then learns from.

  npm start -w examples/diagnostics                 live, until Ctrl-C; a second start goes on from there
  npm start -w examples/diagnostics -- --once       all batches as fast as it goes, checked, with a report

Options
  --dataset NAME     wdbc (default: breast masses, 569 cases, comes with the example), pima, heart, hypothyroid
  --data DIR         folder with the file of the data set: pima_with_missing.csv, heart_scale, hypothyroid.arff
  --by-hand          nobody answers reviews but you: tandem reviews, tandem review ID --positive | --negative
  --seed N           order of the cases; default ${String(SEED)}
  --port N           port of the product on 127.0.0.1; default: a free one
  --data-dir DIR     where the product keeps its data; default .tandem/diagnostics, with --once
                     .tandem/diagnostics-once. With --once or --fresh its content is deleted first
  --replicas N       every service as N processes of its own, instead of all in one process
  --fresh            begin anew instead of going on
  --help             this text

Options with --once
  --report FILE      write the report as JSON
  --batches N        end after so many batches
  --kill-at 0.5      kill -9 product and database after this share of the records, and start them again
  --url URL          a product that runs already, with this app, --clock event and nothing in it;
                     TANDEM_KEY_FILE names the file of its key
`;

/** Reads the arguments. Throws UsageError. */
export function parseOptions(args: readonly string[], places: Places): RunOptions {
  const { common, own, flag, path } = parseCommon(args, places, {
    seed: SEED,
    dataDir: { live: '.tandem/diagnostics', once: '.tandem/diagnostics-once' },
    values: ['dataset', 'data', 'batches', 'kill-at'],
    flags: ['by-hand'],
    onlyOnce: ['batches', 'kill-at'],
    onlyStarted: ['kill-at'],
  });
  const dataset = own('dataset') ?? OWN;
  if (!DATASET_NAMES.includes(dataset))
    throw new UsageError(`--dataset is one of ${DATASET_NAMES.join(', ')}; got '${dataset}'`);
  const data = path('data') ?? (dataset === OWN ? OWN_FOLDER : undefined);
  if (data === undefined) throw new UsageError(`--dataset ${dataset} needs --data, the folder with its file`);
  const byHand = flag('by-hand');
  if (byHand && common.once) throw new UsageError('--by-hand is for a live run, not with --once');
  const [batches, killAt] = [own('batches'), own('kill-at')];
  return {
    ...common,
    dataset,
    data,
    batches: batches === undefined ? undefined : whole('--batches', batches, [BATCHES_MIN, 1_000]),
    killAt: killAt === undefined ? undefined : share('--kill-at', killAt),
    byHand,
  };
}
