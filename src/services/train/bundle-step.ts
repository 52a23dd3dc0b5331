import { type Dataset, type GateVerdict, type ModelVersionInput, routes } from '../../contract/index.ts';
import { taskOf } from '../../define/index.ts';
import type { ObjectReference, Tables } from '../../runtime/index.ts';
import { cardOf } from './card/card.ts';
import type { Fitted } from './fit-step.ts';
import type { Periods } from './periods.ts';
import type { ModelReport } from './report.ts';
import { type RunContext, runStep, type StepContext, type StepOutcome } from './run-context.ts';
import { CODE_VERSION } from './steps.ts';

/** What a bundle consists of. */
export interface BundleParts {
  readonly asOf: number;
  readonly dataset: Dataset;
  readonly periods: Periods;
  readonly fitted: Fitted;
  readonly metrics: Readonly<Record<string, number>>;
  /** The {@link ModelReport} as JSON. */
  readonly report: ObjectReference;
  readonly gates: readonly GateVerdict[];
}

export interface Bundle {
  readonly version: number;
  readonly passed: boolean;
}

/** Names of the outputs of the models that the trainers write: the probability that the label is true, or a score to sort by. */
const OUTPUT_NAMES = { binary: 'probability', ranking: 'prediction' } as const;

const CLAIM = `insert into train_bundle (key, run) values ($1, $2) on conflict (key) do nothing`;

const CLAIMED = `select run from train_bundle where key = $1`;

/** Registers the model version. The same bundle is the same version, whichever run comes to it. */
export function bundleStep(context: RunContext, parts: BundleParts): Promise<StepOutcome<Bundle>> {
  const { model, signal } = context;
  const bundle = bundleOf(context, parts);
  return runStep<Bundle>(context, {
    name: 'bundle',
    inputs: bundle,
    async work(key) {
      const card = await storeCard(context, parts, bundle.lineage);
      signal.throwIfAborted();
      const output = await registerBundle(context, { key, model: model.name, bundle: { ...bundle, card } });
      const artefacts = [parts.fitted.onnx, parts.report, card.markdown, card.html];
      return { output, artefacts: artefacts.map(({ digest }) => digest) };
    },
    note: ({ version, passed }) =>
      `version ${version}, ${passed ? 'can be released' : 'did not pass its gates'}`,
  });
}

/** A bundle that is to be registered under its key. The run in its lineage is for {@link registerBundle} to say. */
interface KeyedBundle {
  readonly key: string;
  readonly model: string;
  readonly bundle: Omit<ModelVersionInput, 'lineage' | 'idempotencyKey'> & {
    readonly lineage: Omit<ModelVersionInput['lineage'], 'run'>;
  };
}

/** Registers a bundle for the run that stands in its lineage. */
export async function registerBundle(
  { host, run, signal }: StepContext,
  { key, model, bundle }: KeyedBundle,
): Promise<Bundle> {
  const body: ModelVersionInput = {
    ...bundle,
    lineage: { run: await claimBundle(host.tables, key, run.id), ...bundle.lineage },
    idempotencyKey: key,
  };
  await host.failPoints.pass('train.bundle.claimed');
  const call = { params: { model }, query: {}, body };
  const { version, passed } = await host.call(routes.registerVersion, call, { signal });
  return { version, passed };
}

/** Stores the model card; the same bundle has the same. */
async function storeCard(
  { host, model }: RunContext,
  { report, periods, metrics, gates }: BundleParts,
  lineage: Readonly<Record<string, unknown>>,
): Promise<{ markdown: ObjectReference; html: ObjectReference }> {
  const bytes = await host.objects.get(report.digest);
  const { markdown, html } = cardOf({
    app: host.app.name,
    model: model.name,
    vector: model.vector.name,
    label: model.label.name,
    candidates: model.vector.candidate.name,
    periods,
    metrics,
    gates,
    report: JSON.parse(new TextDecoder().decode(bytes)) as ModelReport,
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
  { host, model }: RunContext,
  { asOf, dataset, fitted, metrics, report, gates }: BundleParts,
) {
  return {
    onnx: fitted.onnx,
    signature: {
      inputs: model.vector.values.map(({ name, categories }) => ({
        name,
        type: 'float32' as const,
        nullable: true,
        ...(categories === undefined ? {} : { categories: [...categories] }),
      })),
      outputs: [{ name: OUTPUT_NAMES[taskOf(model)], type: 'float32' as const }],
    },
    metrics: { ...metrics },
    gates: [...gates],
    report,
    lineage: {
      dataset: dataset.id,
      vectorHash: model.vector.hash,
      labelHash: model.label.hash,
      modelHash: model.hash,
      appHash: host.app.hash,
      codeVersion: CODE_VERSION,
      trainer: { ...model.trainer },
      seed: model.seed,
      asOf,
    },
  };
}

/**
 * The run that stands in the lineage: the first that came to this bundle. The registry takes a key a second
 * time only with the same body, so that must not depend on which run, or which attempt after a crash, sends
 * it.
 */
async function claimBundle(tables: Tables, key: string, run: string): Promise<string> {
  await tables.query(CLAIM, [key, run]);
  const [row] = await tables.query<{ run: string }>(CLAIMED, [key]);
  return row?.run ?? run;
}
