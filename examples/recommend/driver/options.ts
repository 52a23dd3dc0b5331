import { type CommonOptions, parseCommon, type Places } from '@tandem-examples/driver';

export interface RunOptions extends CommonOptions {
  /** Folder with ratings in MovieLens' format, instead of the bookshop. */
  readonly data: string | undefined;
}

const COMMAND = 'npm start -w examples/recommend';

export const USAGE = `Personal recommendation, end to end: starts the product, tells it what readers of a bookshop have opened,
trains a recommender and a ranker, and shows every further visitor twenty books. What a reader opens counts from the next visit on; a new
feature is defined, trained and released while the shop is open.

  ${COMMAND}                        visitors, live, until Ctrl-C; a second start goes on from there
  ${COMMAND} -- --once              a bounded run, checked, and a report
  ${COMMAND} -- --once --data DIR   ratings in MovieLens' format (CSV) instead of the made-up shop

Options
  --port N           port of the product on 127.0.0.1; default: a free one
  --data-dir DIR     where the product keeps its data; default .tandem/recommend, with --once .tandem/recommend-once.
                     With --once or --fresh its content is deleted first
  --replicas N       every service as N processes of its own; with --once 1, live: all in one process
  --fresh            begin anew instead of going on
  --seed N           seed of the bookshop; default 3
  --help             this text

Options with --once
  --report FILE      write the report as JSON
  --url URL          a product that runs already, with this app, --clock event and nothing in it; its files are below
                     --data-dir, TANDEM_KEY_FILE names the file of its key. No new feature is deployed to it
`;

/** A world in which the lift is of middling size: seeds 1, 2 and 4 give less of it. */
const SEED = 3;

/** The new feature is deployed to services that run as processes of their own. */
const REPLICAS_ONCE = 1;

/**
 * Reads the arguments. Paths are taken from `cwd`, the default data folder from `root`.
 *
 * @throws UsageError
 */
export function parseOptions(args: readonly string[], places: Places): RunOptions {
  const { common, path } = parseCommon(args, places, {
    seed: SEED,
    dataDir: { live: '.tandem/recommend', once: '.tandem/recommend-once' },
    values: ['data'],
    onlyOnce: ['data'],
    onlyStarted: [],
  });
  const isOwn = common.once && common.url === undefined;
  return { ...common, replicas: common.replicas ?? (isOwn ? REPLICAS_ONCE : undefined), data: path('data') };
}
