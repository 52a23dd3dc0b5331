import { type Dataset, PlatformError } from '../../contract/index.ts';
import { boundedWeight, type Recommender } from '../../define/index.ts';
import type { WarehouseSession } from '../../runtime/index.ts';
import { RECOMMENDER_STEP_VERSIONS, type RecommenderContext } from './recommender-context.ts';
import { keyColumns } from './recommender-dataset-step.ts';
import { createInteractions, type InteractionsFile, SIDE } from './recommender-file.ts';
import { RECOMMENDER_TRAINING } from './recommender-limits.ts';
import { markSides } from './recommender-sides.ts';
import { runStep, type StepOutcome } from './run-context.ts';

/** The interactions, and how many of them a recommender is judged by. */
export interface InteractionsSplit {
  /** Digest of the file, see {@link InteractionsFile}. */
  readonly digest: string;
  /** Interactions that count, with their users and items. */
  readonly rows: number;
  readonly users: number;
  readonly items: number;
  readonly earlier: number;
  readonly later: number;
}

/** Takes users, items and weights out of the dataset, and says what is to be predicted from what. */
export function splitInteractionsStep(
  context: RecommenderContext,
  dataset: Dataset,
): Promise<StepOutcome<InteractionsSplit>> {
  const { host, recommender, signal } = context;
  const { split } = recommender;
  const columns = keyColumns(recommender);
  return runStep(context, {
    name: 'split',
    inputs: {
      recommender: RECOMMENDER_STEP_VERSIONS.split,
      file: dataset.file.digest,
      columns,
      split,
    },
    async work() {
      const path = await host.objects.path(dataset.file.digest);
      await using session = await host.warehouse.session();
      const { file, bytes } = await readFile(session, { path, columns });
      signal.throwIfAborted();
      markSides(file, split);
      assertJudged(file, recommender);
      const { digest } = await host.objects.put(bytes);
      const { rows, users, items } = file;
      const output = {
        digest,
        rows,
        users,
        items: items.length,
        earlier: countOf(file, SIDE.earlier),
        later: countOf(file, SIDE.later),
      };
      return { output, artefacts: [digest] };
    },
    note: ({ rows, users, items, earlier, later }) =>
      `${rows} interactions of ${users} users with ${items} items; ${later} are predicted from ${earlier}`,
  });
}

interface Table {
  /** A local file. */
  readonly path: string;
  readonly columns: { readonly user: string; readonly item: string };
}

/** An interaction that counts 0 or less is none; the others come in the order of the file, which is that of time. */
async function readFile(
  session: WarehouseSession,
  { path, columns }: Table,
): Promise<ReturnType<typeof createInteractions>> {
  await session.run(
    `create temp table counted as
     select file_row_number as place, ${quoted(columns.user)} as user_id, ${quoted(columns.item)} as item_id,
       time::double as happened, weight::double as weight
     from read_parquet('${path.replaceAll("'", "''")}', file_row_number = true) where weight > 0;
     create temp table numbered_users as
     select user_id, row_number() over (order by user_id) - 1 as number from (select distinct user_id from counted);
     create temp table numbered_items as
     select item_id, row_number() over (order by item_id) - 1 as number from (select distinct item_id from counted);`,
  );
  const counts = await session.query(
    `select (select count(*) from counted)::double as rows, (select count(*) from numbered_users)::double as users,
       (select count(*) from numbered_items)::double as items`,
  );
  const [rows, users, itemCount] = ['rows', 'users', 'items'].map((name) =>
    Number(counts.columns.get(name)?.[0] ?? 0),
  );
  assertEnough({ rows: rows ?? 0, users: users ?? 0, items: itemCount ?? 0 });
  const named = await session.query('select item_id from numbered_items order by number');
  const items = Array.from(named.columns.get('item_id') ?? [], String);
  const made = createInteractions({ items, users: users ?? 0, rows: rows ?? 0 });
  const { times, userOf, itemOf, weights } = made.file;
  let at = 0;
  const pieces = session.stream(
    `select happened, numbered_users.number::double as user_number, numbered_items.number::double as item_number, weight
     from counted join numbered_users using (user_id) join numbered_items using (item_id) order by place`,
  );
  for await (const piece of pieces) {
    times.set(numbers(piece.columns.get('happened')), at);
    userOf.set(numbers(piece.columns.get('user_number')), at);
    itemOf.set(numbers(piece.columns.get('item_number')), at);
    weights.set(numbers(piece.columns.get('weight')).map(boundedWeight), at);
    at += piece.rows;
  }
  return made;
}

function numbers(column: unknown): Float64Array {
  if (column instanceof Float64Array) return column;
  throw new PlatformError('INTERNAL', 'A column of the interactions has no numbers');
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** What one user, or one item, has to do with says nothing of another. */
function assertEnough(found: {
  readonly rows: number;
  readonly users: number;
  readonly items: number;
}): void {
  const { rows, users, items } = found;
  const { itemsMax } = RECOMMENDER_TRAINING;
  const problem =
    rows === 0
      ? 'There are no interactions that count'
      : users < 2 || items < 2
        ? `A recommender learns from 2 users and 2 items at least; the ${rows} interactions are of ${users} and ${items}`
        : items > itemsMax
          ? `A recommender learns from interactions with ${itemsMax} items at most, not ${items}: shorten its history`
          : undefined;
  if (problem !== undefined) throw new PlatformError('UNPROCESSABLE', problem, { details: found });
}

function assertJudged(file: InteractionsFile, { name, split }: Recommender): void {
  if (countOf(file, SIDE.later) > 0 && countOf(file, SIDE.earlier) > 0) return;
  const core = split.core > 1 ? ` among those with ${split.core} of each other` : '';
  throw new PlatformError(
    'UNPROCESSABLE',
    `Recommender '${name}' cannot be judged: no user has two items${core}`,
    { details: { rows: file.rows, users: file.users, items: file.items.length, core: split.core } },
  );
}

function countOf({ sides }: InteractionsFile, wanted: number): number {
  return sides.reduce((sum, side) => sum + (side === wanted ? 1 : 0), 0);
}
