import { loadItemModel } from '../../ml/index.ts';
import { readInteractions } from './recommender-file.ts';
import { judgedUsers, recommendWith } from './recommender-judged.ts';
import { recommenderReportOf } from './recommender-measure.ts';
import type { RecommenderReport } from './recommender-report.ts';
import type { TaskContext } from './task-context.ts';

export interface EvaluateRecommenderInput {
  /** What learnt from the earlier items. */
  readonly onnx: Uint8Array;
  /** As {@link readInteractions} takes them. */
  readonly interactions: Uint8Array;
  readonly seed: number;
}

export type EvaluateRecommenderOutput = RecommenderReport;

/** Users who are recommended to between two reports of progress. */
const BLOCK_USERS = 256;

/** Recommends with the file to everybody who is judged by, and measures. It depends on the input alone. */
export function run(
  { onnx, interactions, seed }: EvaluateRecommenderInput,
  context: TaskContext,
): EvaluateRecommenderOutput {
  const file = readInteractions(interactions);
  const model = loadItemModel(onnx);
  const { users, of } = judgedUsers(file, seed);
  const recommend = recommendWith(model, file);
  const recommended = users.map((user, place) => {
    if (place % BLOCK_USERS === 0) context.progress(place, users.length);
    return recommend(user);
  });
  return recommenderReportOf({ file, model, users, of, recommended, seed });
}
