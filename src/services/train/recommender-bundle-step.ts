import { type Dataset, type GateVerdict, NO_LABEL_HASH } from '../../contract/index.ts';
import type { Gate } from '../../define/index.ts';
import type { ObjectReference } from '../../runtime/index.ts';
import { type Bundle, registerBundle } from './bundle-step.ts';
import { recommenderCardOf } from './card/recommender-card.ts';
import {
  RECOMMENDER_CODE_VERSION,
  RECOMMENDER_STEP_VERSIONS,
  type RecommenderContext,
} from './recommender-context.ts';
import type { FittedRecommender } from './recommender-fit-step.ts';
import type { RecommenderReport } from './recommender-report.ts';
import { runStep, type StepOutcome } from './run-context.ts';

/** What the bundle of a recommender consists of. */
export interface RecommenderParts {
  readonly asOf: number;
  readonly dataset: Dataset;
  /** What learnt from all interactions. */
  readonly fitted: FittedRecommender;
  readonly metrics: Readonly<Record<string, number>>;
  /** The {@link RecommenderReport} as JSON. */
  readonly report: ObjectReference;
  readonly gates: readonly GateVerdict[];
}

/** Holds each metric against the recommender's gates. A gate that is not met is a verdict, not a failure of the run. */
export function recommenderGateStep(
  context: RecommenderContext,
  metrics: Readonly<Record<string, number>>,
): Promise<StepOutcome<readonly GateVerdict[]>> {
  const { gates } = context.recommender;
  return runStep<readonly GateVerdict[]>(context, {
    name: 'gate',
    inputs: { recommender: RECOMMENDER_STEP_VERSIONS.gate, gates, metrics },
    work: () => Promise.resolve({ output: verdictsOn(gates, metrics), artefacts: [] }),
    note: (verdicts) => {
      const failed = verdicts.filter((verdict) => !verdict.passed);
      if (failed.length === 0) return verdicts.length === 0 ? 'no gates' : `all ${verdicts.length} passed`;
      return failed
        .map(({ metric, value, bound }) => `${metric} ${value.toFixed(4)} misses ${bound}`)
        .join('; ');
    },
  });
}

/** The verdict on each gate, by the metric alone: a recommender's gates ask for nothing else. One that is missing never passes. */
function verdictsOn(gates: readonly Gate[], metrics: Readonly<Record<string, number>>): GateVerdict[] {
  return gates.map(({ metric, direction, bound }) => {
    const value = metrics[metric] ?? Number.NaN;
    const passed = direction === 'atLeast' ? value >= bound : value <= bound;
    return { metric, direction, bound, value, passed };
  });
}

/** Registers the version. The same bundle is the same version, whichever run comes to it. */
export function recommenderBundleStep(
  context: RecommenderContext,
  parts: RecommenderParts,
): Promise<StepOutcome<Bundle>> {
  const { recommender, signal } = context;
  const bundle = bundleOf(context, parts);
  return runStep<Bundle>(context, {
    name: 'bundle',
    inputs: { recommender: RECOMMENDER_STEP_VERSIONS.bundle, ...bundle },
    async work(key) {
      const card = await storeCard(context, parts, bundle.lineage);
      signal.throwIfAborted();
      const named = { key, model: recommender.name, bundle: { ...bundle, card } };
      const output = await registerBundle(context, named);
      const artefacts = [parts.fitted.onnx, parts.report, card.markdown, card.html];
      return { output, artefacts: artefacts.map(({ digest }) => digest) };
    },
    note: ({ version, passed }) =>
      `version ${version}, ${passed ? 'can be released' : 'did not pass its gates'}`,
  });
}

async function storeCard(
  { host, recommender }: RecommenderContext,
  { dataset, fitted, report, metrics, gates }: RecommenderParts,
  lineage: Readonly<Record<string, unknown>>,
): Promise<{ markdown: ObjectReference; html: ObjectReference }> {
  const bytes = await host.objects.get(report.digest);
  const { markdown, html } = recommenderCardOf({
    app: host.app.name,
    recommender,
    period: { from: dataset.from, to: dataset.to - 1 },
    fitted,
    metrics,
    gates,
    report: JSON.parse(new TextDecoder().decode(bytes)) as RecommenderReport,
    lineage,
  });
  const encoder = new TextEncoder();
  return {
    markdown: await host.objects.put(encoder.encode(markdown)),
    html: await host.objects.put(encoder.encode(html)),
  };
}

/** The bundle without the run that made it, so that equal bundles have equal keys. */
function bundleOf(
  { host, recommender }: RecommenderContext,
  { asOf, dataset, fitted, metrics, report, gates }: RecommenderParts,
) {
  const { trainer, itemsMax, training, hash, seed } = recommender;
  return {
    onnx: fitted.onnx,
    // As many of each as there are items, whose ids are in the file.
    signature: {
      inputs: [{ name: 'items', type: 'float32' as const, nullable: false }],
      outputs: [{ name: 'scores', type: 'float32' as const }],
    },
    metrics: { ...metrics },
    gates: [...gates],
    report,
    lineage: {
      dataset: dataset.id,
      vectorHash: training.hash,
      labelHash: NO_LABEL_HASH,
      modelHash: hash,
      appHash: host.app.hash,
      codeVersion: RECOMMENDER_CODE_VERSION,
      trainer: { ...trainer, itemsMax },
      seed,
      asOf,
    },
  };
}
