import { type Dataset, type DatasetRebuild, routes } from '../../contract/index.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { type Output, table, when } from '../output.ts';

/** Datasets that a list shows. */
const LISTED_MAX = 50;

/** `tandem datasets list`: manifests, newest first. */
export async function listDatasets(options: ClientOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  const { datasets } = await client.call(routes.listDatasets, {
    params: {},
    query: { limit: LISTED_MAX },
    body: {},
  });
  output.result(datasets, () =>
    datasets.length === 0
      ? 'There is no dataset yet: a training run builds one'
      : table(
          ['BUILT', 'VECTOR', 'LABEL', 'KNOWLEDGE', 'AS OF', 'ROWS', 'CENSORED', 'ID'],
          datasets.map((item) => [
            when(item.builtAt),
            item.vector,
            item.label ?? '-',
            item.knowledge,
            when(item.asOf),
            String(item.rows),
            String(item.censored),
            item.id,
          ]),
        ),
  );
}

/** `tandem datasets show <id>`: one manifest. */
export async function showDataset(id: string, options: ClientOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  const manifest = await client.call(routes.getDataset, { params: { id }, query: {}, body: {} });
  output.result(manifest, () => describe(manifest));
}

/**
 * `tandem datasets rebuild <id>` and `verify <id>`: builds it once more from its manifest. Resolves with whether the bytes are
 * the same. Only a rebuild stores a file that is gone.
 */
export async function rebuildDataset(
  id: string,
  options: ClientOptions & { readonly store: boolean },
  output: Output,
): Promise<boolean> {
  await using client = await openClient(options);
  const body = { store: options.store };
  const result = await client.call(routes.rebuildDataset, { params: { id }, query: {}, body });
  output.result(result, () => rebuildText(result));
  return result.equal;
}

function rebuildText({ id, equal, recorded, rebuilt, wasStored, isStored }: DatasetRebuild): string {
  if (!equal) return `NOT equal: ${id} is ${recorded.digest}, ${rebuilt.digest} comes out`;
  const where = wasStored ? 'stored' : isStored ? 'stored again' : 'not stored';
  return `equal: ${recorded.digest}, ${String(recorded.bytes)} bytes, ${where}`;
}

function describe(manifest: Dataset): string {
  const { vector, vectorHash, label, labelHash, knowledge, asOf, from, to } = manifest;
  const counts = [
    `${String(manifest.rows)} rows`,
    `${String(manifest.positives)} positive`,
    `${String(manifest.censored)} censored`,
    ...(manifest.unconfirmed === undefined ? [] : [`${String(manifest.unconfirmed)} unconfirmed`]),
  ].join(', ');
  const known = knowledge === 'latest' ? 'all that was known at the build' : 'as served, by receipts';
  return table(
    ['', manifest.id],
    [
      ['vector', `${vector} ${vectorHash}`],
      ['label', label === null ? '-' : `${label} ${labelHash ?? ''}`],
      ['events', `${when(from)} to ${when(to)}`],
      ['knowledge', `${knowledge}: ${known}`],
      ['labels matured by', when(asOf)],
      ['rows', counts],
      ['file', `${manifest.file.digest}, ${String(manifest.file.bytes)} bytes`],
      ['positions', JSON.stringify(manifest.positions)],
    ],
  );
}
