/** In the repository the sources run as they are, in the package they are compiled. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

/** Names of the tasks that the service runs on the port `Compute`. */
export const FIT = 'fit';
export const EVALUATE = 'evaluate';
export const CHECK_MODEL = 'check-model';
export const FIT_RECOMMENDER = 'fit-recommender';
export const EVALUATE_RECOMMENDER = 'evaluate-recommender';

/**
 * The modules of the tasks by name, for whoever makes the port `Compute`. Each exports `run(input, context)`.
 */
export const trainTasks: ReadonlyMap<string, URL> = new Map([
  [FIT, new URL(`./fit-task.${EXTENSION}`, import.meta.url)],
  [EVALUATE, new URL(`./evaluate-task.${EXTENSION}`, import.meta.url)],
  [CHECK_MODEL, new URL(`./check-model-task.${EXTENSION}`, import.meta.url)],
  [FIT_RECOMMENDER, new URL(`./recommender-fit-task.${EXTENSION}`, import.meta.url)],
  [EVALUATE_RECOMMENDER, new URL(`./recommender-evaluate-task.${EXTENSION}`, import.meta.url)],
]);
