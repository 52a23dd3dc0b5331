import { resolveAsOf, type RunResult } from './pipeline.ts';
import { recommenderBundleStep, recommenderGateStep } from './recommender-bundle-step.ts';
import type { RecommenderContext } from './recommender-context.ts';
import { interactionsStep } from './recommender-dataset-step.ts';
import { evaluateRecommenderStep, fitRecommenderStep } from './recommender-fit-step.ts';
import { splitInteractionsStep } from './recommender-split-step.ts';

/**
 * Does the steps of a recommender's run that are not done yet: the same ones that models have. `fit` comes twice: what learnt from
 * everybody's earlier items alone is judged by their later ones, and what learnt from all of them is the version.
 */
export async function runRecommenderPipeline(context: RecommenderContext): Promise<RunResult> {
  const { progress } = context;
  const asOf = await resolveAsOf(context);
  const { output: dataset } = await interactionsStep(context, asOf);
  const { output: split } = await splitInteractionsStep(context, dataset);
  const { output: earlier } = await fitRecommenderStep(context, split, 'earlier');
  const { output: fitted } = await fitRecommenderStep(context, split, 'all');
  const { output: evaluated } = await evaluateRecommenderStep(context, earlier, split);
  const metrics = {
    ...evaluated.metrics,
    interactions: fitted.interactions,
    users: fitted.users,
    items: fitted.items,
  };
  progress.metrics({ ...metrics, fitSeconds: fitted.wallSeconds, fitCpuSeconds: fitted.cpuSeconds });
  const { output: gates } = await recommenderGateStep(context, evaluated.metrics);
  progress.gates(gates);
  const { output: bundle } = await recommenderBundleStep(context, {
    asOf,
    dataset,
    fitted,
    metrics,
    report: evaluated.report,
    gates,
  });
  return { version: bundle.version, metrics, gates };
}
