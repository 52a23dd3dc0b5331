import { type Dataset, type DatasetRequest, PlatformError, routes } from '../../contract/index.ts';
import type { Recommender } from '../../define/index.ts';
import { describePeriod } from './periods.ts';
import { RECOMMENDER_STEP_VERSIONS, type RecommenderContext } from './recommender-context.ts';
import { RECOMMENDER_TRAINING } from './recommender-limits.ts';
import { runStep, type StepOutcome } from './run-context.ts';

/** Columns of the training table with user and item: see the contract's `dataset`. */
export function keyColumns({ user, item }: Recommender): { readonly user: string; readonly item: string } {
  return { user: `key_${user}`, item: `key_${item}` };
}

/**
 * Has the features service build the table of interactions: a dataset without a label, whose rows are the events. As with models,
 * its answer is bound to the run, and the steps behind go by the digest of the file.
 */
export function interactionsStep(context: RecommenderContext, asOf: number): Promise<StepOutcome<Dataset>> {
  const { host, run, recommender, signal } = context;
  const { training, historyMs } = recommender;
  const request: DatasetRequest = {
    vector: training.name,
    from: asOf - historyMs,
    // The clock of replayed events stands at the newest of them, which counts too.
    to: asOf + 1,
    knowledge: 'latest',
    asOf,
  };
  return runStep(context, {
    name: 'dataset',
    inputs: {
      recommender: RECOMMENDER_STEP_VERSIONS.dataset,
      run: run.id,
      request,
      vectorHash: training.hash,
    },
    async work() {
      const dataset = await host.call(
        routes.buildDataset,
        { params: {}, query: {}, body: request },
        { signal },
      );
      assertFits(dataset, recommender);
      return { output: dataset, artefacts: [dataset.file.digest] };
    },
    note: ({ rows, from, to }) => `${rows} interactions, ${describePeriod(from, to - 1)}`,
  });
}

/** While a new version of the app is rolled out, the features service can have another one than this process. */
function assertFits(dataset: Dataset, recommender: Recommender): void {
  const { training, user, item, interactions } = recommender;
  if (dataset.vectorHash !== training.hash) {
    throw new PlatformError(
      'UNAVAILABLE',
      `The features service has another version of vector '${training.name}' than train`,
      { details: { vectorHash: dataset.vectorHash, expected: training.hash } },
    );
  }
  if (dataset.names.join('\n') !== 'weight' || ![user, item].every((field) => dataset.keys.includes(field))) {
    throw new PlatformError(
      'INTERNAL',
      `The dataset has not the fields of '${interactions.name}' that recommender '${recommender.name}' reads`,
    );
  }
  const { interactionsMax } = RECOMMENDER_TRAINING;
  if (dataset.rows > interactionsMax) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `A recommender learns from ${interactionsMax} interactions at most; its history has ${dataset.rows}: shorten it`,
      { details: { interactions: dataset.rows, interactionsMax } },
    );
  }
}
