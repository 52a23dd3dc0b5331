import { type Dataset, PlatformError, type SearchStatus } from '../../contract/index.ts';
import {
  canonicalJson,
  excludedEntity,
  type InnerTrainer,
  searchOf,
  type TrainerSearch,
  validationOf,
} from '../../define/index.ts';
import type { ObjectReference } from '../../runtime/index.ts';
import { categoriesMember, categoriesOf } from './categories.ts';
import { foldPeriods } from './fold-periods.ts';
import { withPatience } from './patience.ts';
import type { Periods } from './periods.ts';
import { findOrDo, type RunContext } from './run-context.ts';
import { searchFolds } from './search-folds.ts';
import { type BestTrial, bestOf, countsOf, searchSvg, searchTable, valuesText } from './search-outcome.ts';
import { trainerOf } from './search-plan.ts';
import { runTrials } from './search-trials.ts';
import type { Split } from './part-table.ts';
import { STEP_VERSIONS, stepKey } from './steps.ts';

/** What a search came to. */
export interface Searched {
  /** The trainer with what the best trial tried. */
  readonly trainer: InnerTrainer;
  readonly metric: string;
  readonly best: BestTrial;
  readonly trials: { readonly planned: number; readonly done: number; readonly failed: number };
  /** Of all trials, each counted once whoever did it. */
  readonly cpuSeconds: number;
  readonly files: {
    /** The {@link SearchOutcome}. */
    readonly json: ObjectReference;
    readonly table: ObjectReference;
    readonly picture: ObjectReference;
  };
}

interface SearchInput {
  readonly dataset: Dataset;
  readonly split: Split;
  readonly periods: Periods;
}

/** Looks for the options of a tuned trainer; of any other it gives nothing. */
export async function searchStep(context: RunContext, input: SearchInput): Promise<Searched | undefined> {
  const { host, run, model, progress, signal } = context;
  const { trainer, seed } = model;
  const search = searchOf(trainer);
  if (search === undefined || trainer.kind === 'external') return undefined;
  const key = searchKey(context, search, input);
  progress.search({ state: 'running', key, progress: 0, note: null });
  const onWait = ({ code, message }: PlatformError): void =>
    progress.search({ note: `waiting: ${code}, ${message}` });
  const { record, found } = await host.trace.span('search', () =>
    withPatience({ host, signal, onWait }, () =>
      findOrDo<Searched>(
        context,
        {
          name: 'search',
          async work() {
            const folds = await searchFolds(context, input);
            const { outcome, cpuSeconds } = await runTrials(context, { trainer, search, folds, seed });
            const best = bestOf(outcome);
            if (best === null) throw allFailed(outcome.search.trials);
            const winner = outcome.search.trials[best.trial];
            if (winner === undefined) throw new PlatformError('INTERNAL', `There is no trial ${best.trial}`);
            const [json, table, picture] = (await Promise.all(
              [canonicalJson(outcome), searchTable(outcome), searchSvg(outcome)].map((text) =>
                host.objects.put(new TextEncoder().encode(text)),
              ),
            )) as [ObjectReference, ObjectReference, ObjectReference];
            const { done, failed } = countsOf(outcome);
            const output: Searched = {
              trainer: trainerOf(trainer, winner),
              metric: search.metric,
              best,
              trials: { planned: done + failed, done, failed },
              cpuSeconds,
              files: { json, table, picture },
            };
            return { output, artefacts: [json.digest, table.digest, picture.digest] };
          },
        },
        key,
      ),
    ),
  );
  const { output, seconds } = record;
  const state = found && record.run !== run.id ? 'reused' : 'done';
  progress.search({ ...statusOf(output), state, seconds, progress: 1 });
  host.logger.info('search', { run: run.id, state, seconds, ...output.best });
  return output;
}

function searchKey({ model }: RunContext, search: TrainerSearch, input: SearchInput): string {
  const { dataset, split, periods } = input;
  const validation = validationOf(search, model.split);
  const { folds, trial, fit, evaluate } = STEP_VERSIONS;
  return stepKey('search', {
    trainer: model.trainer,
    seed: model.seed,
    versions: { folds, trial, fit, evaluate },
    rows:
      validation.kind === 'stratified'
        ? { part: split.train.digest, validation }
        : {
            file: dataset.file.digest,
            names: dataset.names,
            ...categoriesMember(categoriesOf(model.vector)),
            periods: foldPeriods(validation, periods),
            excludeKnown: excludedEntity(model.split) ?? null,
          },
  });
}

function statusOf({
  best,
  trials,
  metric,
  cpuSeconds,
}: Searched): Pick<SearchStatus, 'note' | 'trials' | 'best'> {
  const failed = trials.failed === 0 ? '' : `, ${trials.failed} failed`;
  return {
    trials,
    best: { ...best, parameters: { ...best.parameters } },
    note:
      `${trials.done} trials${failed}, best ${metric} ${best.score.toFixed(4)} (trial ${best.trial}: ` +
      `${valuesText(best.parameters)}), ${cpuSeconds.toFixed(2)} s of processor time`,
  };
}

function allFailed(trials: readonly { readonly error: string | null }[]): PlatformError {
  const [first] = trials;
  return new PlatformError(
    'UNPROCESSABLE',
    `All ${trials.length} trials of the search failed, the first with: ${first?.error ?? 'no reason is known'}`,
  );
}
