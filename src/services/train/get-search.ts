import { PlatformError, type SearchForm } from '../../contract/index.ts';
import { canonicalJson } from '../../define/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import { getRun } from './runs.ts';
import type { TrainOptions } from './options.ts';
import { type SearchOutcome, searchSvg, searchTable } from './search-outcome.ts';
import type { Searched } from './search-step.ts';
import { findSearch } from './search-store.ts';
import { findStep } from './step-store.ts';

/**
 * What the search of a run has found, as text: of one that has ended its artefact, of another what was kept last. Rejects with
 * RUN_NOT_FOUND, and with OBJECT_NOT_FOUND when the run has no search or it has not begun.
 */
export async function getSearch(
  host: ServiceHost<TrainOptions>,
  id: string,
  form: SearchForm,
): Promise<{ run: string; form: SearchForm; text: string }> {
  const run = await getRun(host, id);
  if (run.search === undefined) {
    throw new PlatformError(
      'OBJECT_NOT_FOUND',
      `Run ${id} has no search: the trainer of '${run.model}' is not tuned`,
      {
        details: { run: id, model: run.model },
      },
    );
  }
  const { key } = run.search;
  const step = key === null ? undefined : await findStep<Searched>(host.tables, host.objects, key);
  if (step !== undefined) {
    const bytes = await host.objects.get(step.output.files[form].digest);
    return { run: id, form, text: new TextDecoder().decode(bytes) };
  }
  const outcome = await findSearch(host.tables, id);
  if (outcome !== undefined) return { run: id, form, text: textOf(outcome, form) };
  throw new PlatformError('OBJECT_NOT_FOUND', `The search of run ${id} has found nothing yet`, {
    details: { run: id, state: run.search.state },
  });
}

function textOf(outcome: SearchOutcome, form: SearchForm): string {
  switch (form) {
    case 'table':
      return searchTable(outcome);
    case 'picture':
      return searchSvg(outcome);
    case 'json':
      return canonicalJson(outcome);
  }
}
