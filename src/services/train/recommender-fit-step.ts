import { canonicalJson } from '../../define/index.ts';
import type { ObjectReference } from '../../runtime/index.ts';
import { RECOMMENDER_STEP_VERSIONS, type RecommenderContext } from './recommender-context.ts';
import type { EvaluateRecommenderInput, EvaluateRecommenderOutput } from './recommender-evaluate-task.ts';
import type { FitRecommenderInput, FitRecommenderOutput } from './recommender-fit-task.ts';
import type { InteractionsSplit } from './recommender-split-step.ts';
import { owned } from './owned-bytes.ts';
import { runStep, type StepOutcome } from './run-context.ts';
import { EVALUATE_RECOMMENDER, FIT_RECOMMENDER } from './tasks.ts';

/** A recommender that was fitted: its file, and what it was learnt from. */
export interface FittedRecommender extends Omit<FitRecommenderOutput, 'onnx'> {
  readonly onnx: ObjectReference;
}

/** Fits on what everybody did first, or on all of it. The ONNX file is all that the following steps know of it. */
export function fitRecommenderStep(
  context: RecommenderContext,
  split: InteractionsSplit,
  from: 'earlier' | 'all',
): Promise<StepOutcome<FittedRecommender>> {
  const { host, recommender, progress, signal } = context;
  const { trainer, itemsMax } = recommender;
  return runStep(context, {
    name: 'fit',
    inputs: {
      recommender: RECOMMENDER_STEP_VERSIONS.fit,
      interactions: split.digest,
      from,
      trainer,
      itemsMax,
    },
    async work() {
      const interactions = owned(await host.objects.get(split.digest));
      signal.throwIfAborted();
      const input: FitRecommenderInput = { interactions, from, trainer, itemsMax };
      const { onnx, ...facts } = await host.compute.run<FitRecommenderOutput>(FIT_RECOMMENDER, input, {
        signal,
        transfer: [interactions.buffer],
        onProgress: ({ done, total, note = null }) => progress.step('fit', { progress: done / total, note }),
      });
      const stored = await host.objects.put(onnx);
      return { output: { ...facts, onnx: stored }, artefacts: [stored.digest] };
    },
    note: ({ onnx, interactions, items, cpuSeconds }) =>
      `${trainer.kind}, ${interactions} interactions with ${items} items, ${cpuSeconds.toFixed(2)} s of processor time, ` +
      `${onnx.bytes} bytes of ONNX`,
  });
}

/** What was measured of a recommender. */
export interface EvaluatedRecommender {
  readonly metrics: Readonly<Record<string, number>>;
  /** The report as JSON. */
  readonly report: ObjectReference;
}

/** Recommends to the users who are judged by, with the file that learnt from their earlier items, and measures. */
export function evaluateRecommenderStep(
  context: RecommenderContext,
  { onnx }: FittedRecommender,
  split: InteractionsSplit,
): Promise<StepOutcome<EvaluatedRecommender>> {
  const { host, recommender, progress, signal } = context;
  const { seed } = recommender;
  return runStep<EvaluatedRecommender>(context, {
    name: 'evaluate',
    inputs: {
      recommender: RECOMMENDER_STEP_VERSIONS.evaluate,
      onnx: onnx.digest,
      interactions: split.digest,
      seed,
    },
    async work() {
      const [file, interactions] = await Promise.all([
        host.objects.get(onnx.digest),
        host.objects.get(split.digest),
      ]);
      signal.throwIfAborted();
      const input = {
        onnx: owned(file),
        interactions: owned(interactions),
        seed,
      } satisfies EvaluateRecommenderInput;
      const report = await host.compute.run<EvaluateRecommenderOutput>(EVALUATE_RECOMMENDER, input, {
        signal,
        transfer: [input.onnx.buffer, input.interactions.buffer],
        onProgress: ({ done, total }) => progress.step('evaluate', { progress: done / total }),
      });
      const stored = await host.objects.put(new TextEncoder().encode(canonicalJson(report)));
      const metrics = { ...report.metrics, judgedUsers: report.judged.users };
      return { output: { metrics, report: stored }, artefacts: [stored.digest] };
    },
    note: ({ metrics: { ndcg10, recall10, judgedUsers } }) =>
      `ndcg10 ${(ndcg10 ?? 0).toFixed(4)}, recall10 ${(recall10 ?? 0).toFixed(4)} of ${judgedUsers ?? 0} users`,
  });
}
