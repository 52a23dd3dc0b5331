import { join } from 'node:path';
import {
  dataset,
  type Dataset,
  type DatasetRequest,
  PlatformError,
  type Positions,
  sourceTopic,
} from '../../contract/index.ts';
import { definitionHash, type LabelDefinition, SEMANTICS_VERSION } from '../../define/index.ts';
import type { ServiceHost, WarehouseSession } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { eventsSql } from './offline/event-tables.ts';
import { candidateColumn, outcomesSql, outcomesTable, positiveSql } from './offline/point-in-time.ts';
import { createQueryTable, groupQueryTable, storedQueryTableSql } from './offline/query-table.ts';
import { computeGroup } from './offline/replay-group.ts';
import { expressionSql, identifier, literal } from './offline/sql.ts';
import type { OnlineState } from './online/online-state.ts';
import type { FeaturesOptions } from './options.ts';
import { PARTITION_FACTOR } from './place.ts';
import type { SourcePlan, VectorPlan } from './plan.ts';
import { readServed } from './served.ts';

/** How long a build waits for the archive to take in what the log holds, in milliseconds. */
const ARCHIVE_WAIT_MS = 300_000;

/** Builds immutable training tables from the archive. */
export class Datasets {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #archive: Archive;
  readonly #state: OnlineState;

  constructor(host: ServiceHost<FeaturesOptions>, archive: Archive, state: OnlineState) {
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

  /** Builds the table, or finds the one that the same request built at the same positions. */
  async build(request: DatasetRequest): Promise<Dataset> {
    const vector = this.#vector(request.vector);
    const label = this.#label(request, vector);
    const asOf = request.asOf ?? this.#now();
    const sources = this.#sources(vector, label);
    const positions = await this.#heads(sources);
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
    const known = request.knowledge === 'latest' ? await this.#find(id) : undefined;
    if (known !== undefined && (await this.#host.objects.has(known.file.digest))) return known;
    await this.#archive.reach(positions, ARCHIVE_WAIT_MS);
    await using session = await this.#host.warehouse.session({ isBackground: true });
    await this.#load(session, vector, label, sources, positions, request);
    const body = await this.#assemble(session, vector, label, request, asOf);
    // What was served is an input of its own, known only by its rows.
    const served =
      request.knowledge === 'latest' ? {} : { id: definitionHash({ ...head, file: body.file.digest }) };
    const manifest = dataset.parse({ ...head, id, ...body, ...served });
    await this.#host.failPoints.pass('features.dataset.stored');
    await this.#host.tables.query(
      `insert into features_dataset (id, manifest) values ($1, $2)
       on conflict (id) do update set manifest = $2, built_at = now()`,
      [manifest.id, JSON.stringify(manifest)],
    );
    return manifest;
  }

  async #load(
    session: WarehouseSession,
    vector: VectorPlan,
    label: LabelDefinition | undefined,
    sources: readonly SourcePlan[],
    positions: Positions,
    request: DatasetRequest,
  ): Promise<void> {
    for (const plan of sources) {
      const rows = await this.#archive.rowsSql(plan);
      await session.run(eventsSql(plan.source, rows, positions[plan.source.name] ?? []));
    }
    const labels = new Map<string, LabelDefinition>();
    if (label !== undefined) labels.set(label.name, label);
    for (const group of vector.groups) {
      if (group.group.from.matured !== undefined)
        labels.set(group.group.from.matured.name, group.group.from.matured);
    }
    for (const item of labels.values()) await session.run(outcomesSql(item.name, item.from.name, item.on));
    let split = false;
    if (request.knowledge === 'latest') {
      await session.run(storedQueryTableSql(vector, request.from, request.to));
    } else {
      const rows = await readServed(this.#host.log, vector, request.from, request.to);
      const partitions = (await this.#host.log.topic(sourceTopic(vector.candidate.source.name))).partitions;
      split = await createQueryTable(session, vector, partitions, rows);
    }
    for (const group of vector.groups) {
      await computeGroup(session, {
        group,
        candidate: vector.candidate,
        knowledge: request.knowledge,
        rows: split ? groupQueryTable(group.index) : 'q',
        pause: () => this.#host.clock.sleep(0),
      });
    }
  }

  async #assemble(
    session: WarehouseSession,
    vector: VectorPlan,
    label: LabelDefinition | undefined,
    request: DatasetRequest,
    asOf: number,
  ): Promise<Pick<Dataset, 'names' | 'keys' | 'rows' | 'censored' | 'positives' | 'file'>> {
    const { source } = vector.candidate;
    const keys = Object.entries(source.fields)
      .filter(([name, field]) => (field.kind === 'key' || field.kind === 'id') && name !== source.id)
      .map(([name]) => name);
    await session.run(`create temp table assembled as ${assembledSql(vector, label, keys, request, asOf)}`);
    const counts = await session.query(`select
      count(*) filter (where not _censored) as rows,
      count(*) filter (where _censored) as censored,
      count(*) filter (where not _censored and ${label === undefined ? 'false' : '"label"'}) as positives
      from assembled`);
    const number = (name: string): number => Number(counts.columns.get(name)?.[0] ?? 0);
    const path = join(session.scratch, 'dataset.parquet');
    await session.run(`copy (
      select * exclude (_censored, _q) from assembled where not _censored
      order by "time", "partition", "position", _q
    ) to ${literal(path)} (format parquet, compression zstd)`);
    const file = await this.#host.objects.putFile(path);
    return {
      names: [...vector.names],
      keys,
      rows: number('rows'),
      censored: number('censored'),
      positives: number('positives'),
      file,
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

function assembledSql(
  vector: VectorPlan,
  label: LabelDefinition | undefined,
  keys: readonly string[],
  request: DatasetRequest,
  asOf: number,
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
  if (label !== undefined) {
    const maturity = `(${time} + ${String(label.maturesAfterMs)})`;
    columns.push(`${positiveSql('outcomes.outcomes', maturity, undefined)} as "label"`);
    joins.push(
      `left join ${outcomesTable(label.name)} outcomes on outcomes.target = q.${candidateColumn(source.id)}`,
    );
    censored = `${maturity} > ${String(asOf)}`;
  }
  columns.push(
    ...vector.vector.values.map((value) => `${valueSql(vector, value)} as ${identifier(value.name)}`),
  );
  if (request.knowledge === 'as-served') {
    columns.push(...vector.names.map((name) => `q.${identifier(`served_${name}`)}`));
  }
  return `select ${columns.join(',\n  ')}, ${censored} as _censored, q.q as _q\nfrom q\n${joins.join('\n')}`;
}

function valueSql(vector: VectorPlan, value: VectorPlan['vector']['values'][number]): string {
  if (value.from === 'candidate') {
    return `(${expressionSql(value.expression, (field) => `q.${candidateColumn(field)}`)})::double`;
  }
  const group = vector.groups.find((item) => item.group.name === value.group);
  return `${identifier(`group_${String(group?.index)}`)}.feature_${String(value.index)}`;
}
