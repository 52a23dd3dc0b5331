import type { ExternalTrainer, Model } from '../../define/index.ts';
import { categoriesMember } from './categories.ts';
import type { Part } from './part-file.ts';

/** Version of the form of `job.json` and of the files beside it. */
const JOB_FORM = 1;
/** Names of the files, relative to the command's folder. */
export const FILES = {
  job: 'job.json',
  parquet: 'train.parquet',
  values: 'train.f32',
  labels: 'labels.u8',
  model: 'model.onnx',
  metrics: 'metrics.json',
} as const;

/** What the command is told: JSON, as docs/build/external-trainers.md describes it. */
export function jobOf(
  { name, label, seed }: Pick<Model, 'name' | 'label' | 'seed'>,
  trainer: ExternalTrainer,
  { names, categories, rows }: Pick<Part, 'names' | 'categories' | 'rows'>,
): Uint8Array {
  const { parquet, values, labels } = FILES;
  const job = {
    form: JOB_FORM,
    model: name,
    label: label.name,
    inputs: names,
    ...categoriesMember(categories),
    rows,
    seed,
    parameters: trainer.parameters,
    read: { parquet, values, labels },
    write: { model: FILES.model, metrics: FILES.metrics },
  };
  return new TextEncoder().encode(`${JSON.stringify(job, undefined, 2)}\n`);
}
