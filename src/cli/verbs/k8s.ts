import { resolve } from 'node:path';
import type { Config } from '../../runtime/index.ts';
import { loadApp } from '../app-file.ts';
import { renderManifests } from '../kubernetes/manifests.ts';
import { planOf, type PlanOptions } from '../kubernetes/plan.ts';
import { writeFolder } from '../kubernetes/write-folder.ts';
import { type Output, table } from '../output.ts';
import { PROCESS } from '../settings.ts';
import { loadDescription } from '../supervisor/description.ts';

export interface RenderVerbOptions extends Omit<
  PlanOptions,
  'app' | 'deployment' | 'overlays' | 'replicas' | 'polledVariables'
> {
  readonly out: string;
  readonly force: boolean;
  readonly overlay: readonly string[];
  readonly egressPort: readonly string[];
}

/** `tandem k8s render`: writes the manifests of the app to a folder. */
export async function renderKubernetes(
  config: Config,
  options: RenderVerbOptions,
  output: Output,
): Promise<void> {
  const { out, force, overlay, egressPort, ...rest } = options;
  const { app, path } = await loadApp(config.section(PROCESS).app);
  const description = await loadDescription(path);
  const plan = planOf({
    ...rest,
    app: app.name,
    overlays: overlay,
    egressPorts: egressPort,
    polledVariables: [...app.sources.values()].flatMap(({ poll }) =>
      poll === undefined ? [] : [poll.variable],
    ),
    deployment: description.file === null ? undefined : description.deployment,
  });
  const files = renderManifests(plan);
  const removed = await writeFolder(out, files, { force });
  for (const warning of plan.warnings) output.note(`tandem k8s render: ${warning}`);
  const written = files.map(({ path: name, objects }) => ({
    file: name,
    objects: objects.map(({ kind, metadata }) => ({ kind, name: metadata?.name ?? null })),
  }));
  const folder = resolve(out);
  output.result({ folder, namespace: plan.namespace, files: written, removed, warnings: plan.warnings }, () =>
    [
      table(
        ['FILE', 'OBJECTS'],
        written.map((entry) => [entry.file, entry.objects.map(({ kind }) => kind).join(', ')]),
      ),
      '',
      `Apply them with: kubectl apply -k ${out}`,
    ].join('\n'),
  );
}
