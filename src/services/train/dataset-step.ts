import { type Dataset, type DatasetRequest, PlatformError, routes } from '../../contract/index.ts';
import { excludedEntity, type Model } from '../../define/index.ts';
import { TRAINING_VALUES_MAX } from '../../ml/index.ts';
import { describePeriod, type Periods } from './periods.ts';
import { historyStart } from './search-folds.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';

/**
 * Has the features service build the training table over all periods.
 *
 * What the table contains depends on the log, which only that service knows. So its answer is bound to the
 * run: a run that is resumed goes on with the table that it had, another run asks anew. The following steps
 * go by the digest of the file.
 */
export function datasetStep(
  context: RunContext,
  periods: Periods,
  asOf: number,
): Promise<StepOutcome<Dataset>> {
  const { host, run, model, signal } = context;
  const request: DatasetRequest = {
    vector: model.vector.name,
    label: model.label.name,
    from: historyStart(model, periods),
    to: periods.testEnd,
    knowledge: 'latest',
    asOf,
  };
  return runStep(context, {
    name: 'dataset',
    inputs: { run: run.id, request, vectorHash: model.vector.hash, labelHash: model.label.hash },
    async work() {
      const dataset = await host.call(
        routes.buildDataset,
        { params: {}, query: {}, body: request },
        { signal },
      );
      assertFits(dataset, model);
      return { output: dataset, artefacts: [dataset.file.digest] };
    },
    note: ({ rows, positives, from, to }) =>
      `${rows} rows, ${positives} positive, ${describePeriod(from, to)}`,
  });
}

/**
 * While a new version of the app is rolled out, the features service can have another one than this process.
 */
function assertFits(dataset: Dataset, model: Model): void {
  const { vector, label, split } = model;
  if (dataset.vectorHash !== vector.hash || dataset.labelHash !== label.hash) {
    throw new PlatformError(
      'UNAVAILABLE',
      `The features service has another version of vector '${vector.name}' or label '${label.name}' than train`,
      { details: { vectorHash: dataset.vectorHash, expected: vector.hash } },
    );
  }
  const names = vector.values.map((value) => value.name);
  if (names.join('\n') !== dataset.names.join('\n')) {
    throw new PlatformError(
      'INTERNAL',
      `The dataset has not the values of vector '${vector.name}' in their order`,
    );
  }
  if (dataset.rows * names.length > TRAINING_VALUES_MAX) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `Training takes ${TRAINING_VALUES_MAX} values at most; the dataset has ${dataset.rows} rows of ${names.length}`,
    );
  }
  const known = excludedEntity(split);
  if (known !== undefined && !dataset.keys.includes(known)) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `'excludeKnown' must be a key field of the candidate (${dataset.keys.join(', ')}), not '${known}'`,
    );
  }
}
