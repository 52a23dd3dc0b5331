import type { SearchOptions, SearchPlan } from './options.ts';
import { SEARCH_TRIALS_MAX, checkWhole } from './options.ts';
import { readPlan } from './plan.ts';
import type { SearchSpace } from './space.ts';
import { fieldsOf, readSpace, shown } from './space.ts';
import type { SearchState, Trial } from './trial.ts';
import { readValues } from './values.ts';

/**
 * @internal Reads the state of a search from data of unknown form.
 *
 * @throws RangeError saying what is not as {@link Search.state} gave it.
 */
export function readState(given: unknown): SearchState {
  const { version, space, plan, trials } = fieldsOf(given, 'The state of a search');
  if (version !== 1) throw new RangeError(`The state of a search must have version 1, not ${shown(version)}`);
  const readSpaceOf = readSpace(space);
  // A plan is read as options, whose bounds it must keep.
  const readPlanOf = readPlan(
    readSpaceOf,
    fieldsOf(plan, 'The plan of a search') as unknown as SearchOptions,
  );
  if (!Array.isArray(trials) || trials.length > SEARCH_TRIALS_MAX) {
    throw new RangeError(`The state of a search must have a list of up to ${SEARCH_TRIALS_MAX} trials`);
  }
  const read = trials.map((trial: unknown, number) =>
    readTrial(trial, number, { space: readSpaceOf, plan: readPlanOf }),
  );
  return { version, space: readSpaceOf, plan: readPlanOf, trials: read };
}

function readTrial(
  given: unknown,
  number: number,
  search: { readonly space: SearchSpace; readonly plan: SearchPlan },
): Trial {
  const what = `Trial ${number}`;
  const fields = fieldsOf(given, what);
  const { resource, continues, bracket, rung, status, score, seconds, error } = fields;
  if (fields['number'] !== number) {
    throw new RangeError(`${what} has the number ${shown(fields['number'])}: one is missing or comes twice`);
  }
  if (status !== 'running' && status !== 'done' && status !== 'failed') {
    throw new RangeError(`${what} must be running, done or failed, not ${shown(status)}`);
  }
  if (status === 'done' ? !Number.isFinite(score) : score !== null) {
    throw new RangeError(`${what} is ${status} and has the score ${shown(score)}`);
  }
  if (status === 'failed' ? typeof error !== 'string' : error !== null) {
    throw new RangeError(`${what} is ${status} and has the error ${shown(error)}`);
  }
  if (seconds !== null && !(Number.isFinite(seconds) && (seconds as number) >= 0)) {
    throw new RangeError(`${what} must have seconds from 0 or null, not ${shown(seconds)}`);
  }
  const isHyperband = search.plan.algorithm === 'hyperband';
  for (const [name, value] of Object.entries({ resource, bracket, rung })) {
    if (isHyperband) checkWhole(`${what}: ${name}`, value, { least: 0, most: Number.MAX_SAFE_INTEGER });
    else if (value !== null) throw new RangeError(`${what}: ${name} must be null, not ${shown(value)}`);
  }
  if (continues !== null) checkWhole(`${what}: continues`, continues, { least: 0, most: number - 1 });
  return {
    number,
    parameters: readValues(search.space, fields['parameters'], what),
    resource: resource as number | null,
    continues,
    bracket: bracket as number | null,
    rung: rung as number | null,
    status,
    score: score as number | null,
    seconds: seconds as number | null,
    error: error as string | null,
  };
}
