import { join } from 'node:path';
import {
  dataset,
  type Dataset,
  type DatasetRebuild,
  type DatasetRequest,
  PlatformError,
  type Positions,
  servedTopic,
  sourceTopic,
} from '../../contract/index.ts';
import { definitionHash, type LabelDefinition, SEMANTICS_VERSION } from '../../define/index.ts';
import type { ServiceHost, WarehouseSession } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { computeGroup } from './offline/compute-group.ts';
import { eventsSql } from './offline/event-tables.ts';
import { knownSql, outcomesSql, outcomesTable, positiveSql } from './offline/outcomes.ts';
import { candidateColumn } from './offline/point-in-time.ts';
import { createQueryTable, groupQueryTable, storedQueryTableSql } from './offline/query-table.ts';
import { expressionSql, identifier, literal } from './offline/sql.ts';
import type { FeaturesOptions } from './options.ts';
import { PARTITION_FACTOR } from './place.ts';
import type { SourcePlan, VectorPlan } from './plan.ts';
import { readServed } from './served.ts';
import type { StateHost } from './state/state-host.ts';

/** How long a build waits for the archive to take in what the log holds, in milliseconds. */
const ARCHIVE_WAIT_MS = 300_000;

const LIST = `
select manifest, floor(extract(epoch from built_at) * 1000)::bigint as built_at from features_dataset
where $1::bigint is null
  or (floor(extract(epoch from built_at) * 1000)::bigint, id) < ($1::bigint, $2::text)
order by floor(extract(epoch from built_at) * 1000)::bigint desc, id desc limit $3`;

/** What decides the rows and values of a dataset. */
type DatasetHead = Pick<Dataset, 'from' | 'to' | 'knowledge' | 'asOf' | 'positions' | 'receipts'>;
/** What is known once it is made. */
type DatasetCounts = Pick<Dataset, 'names' | 'keys' | 'rows' | 'censored' | 'unconfirmed' | 'positives'>;

/** Builds immutable training tables from the archive. */
export class Datasets {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #archive: Archive;
  readonly #state: Pick<StateHost, 'plan' | 'clock'>;

  constructor(
    host: ServiceHost<FeaturesOptions>,
    archive: Archive,
    state: Pick<StateHost, 'plan' | 'clock'>,
  ) {
    this.#host = host;
    this.#archive = archive;
    this.#state = state;
  }

  /** Rejects with DATASET_NOT_FOUND. */
  async describe(id: string): Promise<Dataset> {
    const found = await this.#find(id);
    if (found === undefined) throw new PlatformError('DATASET_NOT_FOUND', `There is no dataset '${id}'`);
    return found;
  }

  /** One page, newest first. */
  async list(page: {
    readonly after?: string | undefined;
    readonly limit: number;
  }): Promise<{ datasets: (Dataset & { builtAt: number })[]; next: string | null }> {
    const [builtAt, id] = readCursor(page.after);
    const rows = await this.#host.tables.query<{ manifest: unknown; built_at: number }>(LIST, [
      builtAt,
      id,
      page.limit + 1,
    ]);
    const all = rows.map((row) => ({ ...dataset.parse(row.manifest), builtAt: row.built_at }));
    const datasets = all.slice(0, page.limit);
    const last = datasets.at(-1);
    const next = all.length > page.limit && last !== undefined ? `${String(last.builtAt)} ${last.id}` : null;
    return { datasets, next };
  }

  /** Builds the table, or finds the one that the same request built at the same positions. */
  async build(request: DatasetRequest): Promise<Dataset> {
    const vector = this.#vector(request.vector);
    const label = this.#label(request, vector);
    const asOf = request.asOf ?? this.#now();
    const sources = this.#sources(vector, label);
    const positions = await this.#heads(sources);
    const isServed = request.knowledge === 'as-served';
    const head = {
      vector: request.vector,
      vectorHash: vector.vector.hash,
      label: label?.name ?? null,
      labelHash: label?.hash ?? null,
      from: request.from,
      to: request.to,
      knowledge: request.knowledge,
      asOf,
      positions,
    };
    const id = definitionHash({ ...head, semantics: SEMANTICS_VERSION });
    const known = isServed ? undefined : await this.#find(id);
    if (known !== undefined && (await this.#host.objects.has(known.file.digest))) return known;
    const ranges = isServed ? await this.#host.log.ranges(servedTopic(request.vector)) : [];
    const receipts = isServed ? { receipts: ranges[0]?.next ?? 0 } : {};
    // Before a session is taken: the archive needs one too, and builds that held them all would wait for it for ever.
    await this.#archive.reach(positions, ARCHIVE_WAIT_MS);
    await using session = await this.#host.warehouse.session({ isBackground: true });
    const { path, ...counts } = await this.#make(session, { ...head, ...receipts }, vector, label);
    const file = await this.#host.objects.putFile(path);
    // What was served is an input of its own, known only by its rows.
    const served = isServed ? { id: definitionHash({ ...head, file: file.digest }) } : {};
    const manifest = dataset.parse({ ...head, ...receipts, id, ...counts, file, ...served });
    await this.#host.failPoints.pass('features.dataset.stored');
    await this.#host.tables.query(
      `insert into features_dataset (id, manifest) values ($1, $2)
       on conflict (id) do update set manifest = $2, built_at = now()`,
      [manifest.id, JSON.stringify(manifest)],
    );
    return manifest;
  }

  /**
   * Builds a dataset once more, from its manifest and nothing else. The manifest stays as it is. Rejects with DATASET_NOT_FOUND,
   * VECTOR_NOT_FOUND, and UNPROCESSABLE when the definitions are others now or the manifest does not say which receipts it took.
   */
  async rebuild(id: string, { store }: { readonly store: boolean }): Promise<DatasetRebuild> {
    const { objects, warehouse } = this.#host;
    const manifest = await this.describe(id);
    const vector = this.#vector(manifest.vector);
    const label =
      manifest.label === null
        ? undefined
        : this.#state.plan.labels.find((item) => item.label.name === manifest.label)?.label;
    assertSame(manifest, vector, label);
    const wasStored = await objects.has(manifest.file.digest);
    await this.#archive.reach(manifest.positions, ARCHIVE_WAIT_MS);
    await using session = await warehouse.session({ isBackground: true });
    const { path } = await this.#make(session, manifest, vector, label);
    // Stored by its digest: what came out another one is taken away again.
    const rebuilt = await objects.putFile(path);
    const equal = rebuilt.digest === manifest.file.digest;
    const isKept = equal && (wasStored || store);
    if (!isKept && !(await this.#isOthers(rebuilt.digest, manifest))) await objects.remove(rebuilt.digest);
    return { id, equal, recorded: manifest.file, rebuilt, wasStored, isStored: wasStored || isKept };
  }

  /** Whether an object is the file of another dataset, so that it stays. */
  async #isOthers(digest: string, { id }: Dataset): Promise<boolean> {
    const rows = await this.#host.tables.query(
      `select 1 from features_dataset where manifest->'file'->>'digest' = $1 and id <> $2 limit 1`,
      [digest, id],
    );
    return rows.length > 0;
  }

  /** Makes the file of a dataset in the session's folder. */
  async #make(
    session: WarehouseSession,
    head: DatasetHead,
    vector: VectorPlan,
    label: LabelDefinition | undefined,
  ): Promise<DatasetCounts & { readonly path: string }> {
    await this.#load(session, vector, label, head);
    return this.#assemble(session, vector, label, head);
  }

  async #load(
    session: WarehouseSession,
    vector: VectorPlan,
    label: LabelDefinition | undefined,
    head: DatasetHead,
  ): Promise<void> {
    for (const plan of this.#sources(vector, label)) {
      const rows = await this.#archive.rowsSql(plan);
      const positions = head.positions[plan.source.name] ?? [];
      const { horizonMs } = this.#state.plan;
      await session.run(eventsSql(plan.source, { rows, positions, horizonMs, knowledge: head.knowledge }));
    }
    const labels = new Map<string, LabelDefinition>();
    if (label !== undefined) labels.set(label.name, label);
    for (const group of vector.groups) {
      if (group.group.from.matured !== undefined)
        labels.set(group.group.from.matured.name, group.group.from.matured);
    }
    for (const item of labels.values()) await session.run(outcomesSql(item));
    let split = false;
    if (head.knowledge === 'latest') {
      await session.run(storedQueryTableSql(vector, head.from, head.to));
    } else {
      const rows = await readServed(this.#host.log, vector, head);
      const partitions = (await this.#host.log.topic(sourceTopic(vector.candidate.source.name))).partitions;
      split = await createQueryTable(session, vector, partitions, rows);
    }
    for (const group of vector.groups) {
      const { method, tiled, statistics } = await computeGroup(session, {
        group,
        candidate: vector.candidate,
        knowledge: head.knowledge,
        rows: split ? groupQueryTable(group.index) : 'q',
        pause: () => this.#host.clock.sleep(0),
      });
      this.#host.logger.info('computed a group of a dataset', {
        vector: vector.vector.name,
        group: group.group.name,
        method,
        ...(tiled.length === 0 ? {} : { tiledWindowsMs: tiled.map(({ windowMs }) => windowMs) }),
        ...statistics,
      });
    }
  }

  async #assemble(
    session: WarehouseSession,
    vector: VectorPlan,
    label: LabelDefinition | undefined,
    head: DatasetHead,
  ): Promise<DatasetCounts & { readonly path: string }> {
    const { source } = vector.candidate;
    const keys = Object.entries(source.fields)
      .filter(([name, field]) => (field.kind === 'key' || field.kind === 'id') && name !== source.id)
      .map(([name]) => name);
    await session.run(
      `create temp table assembled as ${assembledSql(vector, label, keys, { ...head, horizonMs: this.#state.plan.horizonMs })}`,
    );
    const counts = await session.query(`select
      count(*) filter (where not _censored and not _unconfirmed) as rows,
      count(*) filter (where _censored) as censored,
      count(*) filter (where not _censored and _unconfirmed) as unconfirmed,
      count(*) filter (where not _censored and ${label === undefined ? 'false' : '"label"'}) as positives
      from assembled`);
    const number = (name: string): number => Number(counts.columns.get(name)?.[0] ?? 0);
    const path = join(session.scratch, 'dataset.parquet');
    await session.run(`copy (
      select * exclude (_censored, _unconfirmed, _q) from assembled where not _censored and not _unconfirmed
      order by "time", "partition", "position", _q
    ) to ${literal(path)} (format parquet, compression zstd)`);
    return {
      names: [...vector.names],
      keys,
      rows: number('rows'),
      censored: number('censored'),
      ...(label?.confirmed === true ? { unconfirmed: number('unconfirmed') } : {}),
      positives: number('positives'),
      path,
    };
  }

  #vector(name: string): VectorPlan {
    const vector = this.#state.plan.vectors.get(name);
    if (vector === undefined)
      throw new PlatformError('VECTOR_NOT_FOUND', `The app defines no vector '${name}'`);
    return vector;
  }

  #label(request: DatasetRequest, vector: VectorPlan): LabelDefinition | undefined {
    if (request.from >= request.to) {
      throw new PlatformError(
        'BAD_REQUEST',
        `'from' is before 'to'; got ${String(request.from)}, ${String(request.to)}`,
      );
    }
    if (request.label === undefined) return undefined;
    const plan = this.#state.plan.labels.find((item) => item.label.name === request.label);
    if (plan === undefined || plan.label.of.name !== vector.candidate.source.name) {
      throw new PlatformError(
        'BAD_REQUEST',
        `'${request.label}' is no label of source '${vector.candidate.source.name}', which vector '${request.vector}' decides on`,
      );
    }
    return plan.label;
  }

  #sources(vector: VectorPlan, label: LabelDefinition | undefined): SourcePlan[] {
    const sources = new Map(vector.sources.map((plan) => [plan.source.name, plan]));
    const outcomes = label === undefined ? undefined : this.#state.plan.sources.get(label.from.name);
    if (outcomes !== undefined) sources.set(outcomes.source.name, outcomes);
    return [...sources.values()];
  }

  async #heads(sources: readonly SourcePlan[]): Promise<Positions> {
    const entries = sources.map(async (plan) => {
      const ranges = await this.#host.log.ranges(sourceTopic(plan.source.name));
      return [plan.source.name, ranges.map((range) => range.next)] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  #now(): number {
    const now = this.#host.options.clock === 'wall' ? this.#host.clock.now() : this.#state.clock;
    return Number.isFinite(now) ? now : this.#host.clock.now();
  }

  async #find(id: string): Promise<Dataset | undefined> {
    const rows = await this.#host.tables.query<{ manifest: unknown }>(
      'select manifest from features_dataset where id = $1',
      [id],
    );
    return rows[0] === undefined ? undefined : dataset.parse(rows[0].manifest);
  }
}

function readCursor(after: string | undefined): [number | null, string] {
  const [, builtAt, id = ''] = /^(\d{1,15}) (sha256:[0-9a-f]{64})$/.exec(after ?? '') ?? [];
  if (after !== undefined && builtAt === undefined)
    throw new PlatformError('BAD_REQUEST', `'after' is what the page before gave as 'next'; got '${after}'`);
  return [builtAt === undefined ? null : Number(builtAt), id];
}

function assertSame(manifest: Dataset, vector: VectorPlan, label: LabelDefinition | undefined): void {
  const { vectorHash, labelHash, knowledge, receipts } = manifest;
  const now = { vectorHash: vector.vector.hash, labelHash: label?.hash ?? null };
  if (now.vectorHash !== vectorHash || now.labelHash !== labelHash) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `Dataset ${manifest.id} was built with other definitions of vector '${manifest.vector}' or its label than the app has now`,
      { details: { manifest: { vectorHash, labelHash }, now } },
    );
  }
  if (knowledge === 'as-served' && receipts === undefined) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `Dataset ${manifest.id} was built before manifests said which receipts they took`,
    );
  }
}

function assembledSql(
  vector: VectorPlan,
  label: LabelDefinition | undefined,
  keys: readonly string[],
  { knowledge, asOf, horizonMs }: Pick<DatasetHead, 'knowledge' | 'asOf'> & { readonly horizonMs: number },
): string {
  const { source } = vector.candidate;
  const time = `q.${candidateColumn(source.time)}`;
  const columns = [
    `q.${candidateColumn(source.id)} as "id"`,
    `${time} as "time"`,
    'q.partition as "partition"',
    `q.place % ${String(PARTITION_FACTOR)} as "position"`,
    ...keys.map((key) => `q.${candidateColumn(key)} as ${identifier(`key_${key}`)}`),
  ];
  const joins = vector.groups.map((group) => {
    const table = identifier(`group_${String(group.index)}`);
    return `join ${table} on ${table}.q = q.q`;
  });
  let censored = 'false';
  let unconfirmed = 'false';
  if (label !== undefined) {
    const maturity = `(${time} + ${String(label.maturesAfterMs)})`;
    const reach = { maturity, spanMs: label.maturesAfterMs + horizonMs };
    columns.push(`${positiveSql(label, 'outcomes.outcomes', reach)} as "label"`);
    if (label.confirmed === true) unconfirmed = `not ${knownSql('outcomes.outcomes', reach)}`;
    joins.push(
      `left join ${outcomesTable(label.name)} outcomes on outcomes.target = q.${candidateColumn(source.id)}`,
    );
    censored = `${maturity} > ${String(asOf)}`;
  }
  columns.push(
    ...vector.vector.values.map((value) => `${valueSql(vector, value)} as ${identifier(value.name)}`),
  );
  if (knowledge === 'as-served') {
    columns.push(...vector.names.map((name) => `q.${identifier(`served_${name}`)}`));
  }
  const left = `${censored} as _censored, ${unconfirmed} as _unconfirmed`;
  return `select ${columns.join(',\n  ')}, ${left}, q.q as _q\nfrom q\n${joins.join('\n')}`;
}

function valueSql(vector: VectorPlan, value: VectorPlan['vector']['values'][number]): string {
  if (value.from === 'candidate') {
    return `(${expressionSql(value.expression, (field) => `q.${candidateColumn(field)}`)})::double`;
  }
  const group = vector.groups.find((item) => item.group.name === value.group);
  return `${identifier(`group_${String(group?.index)}`)}.feature_${String(value.index)}`;
}
