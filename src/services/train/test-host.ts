import { join } from 'node:path';
import {
  type Dataset,
  type DatasetRequest,
  type ModelVersionInput,
  PlatformError,
} from '../../contract/index.ts';
import {
  type App,
  atLeast,
  byTime,
  decision,
  defineApp,
  defineModel,
  definitionHash,
  gbdt,
  id,
  key,
  label,
  type LabelDefinition,
  logistic,
  number,
  source,
  timestamp,
  vector,
  type Vector,
} from '../../define/index.ts';
import type { Objects, ServiceHost, Warehouse, WarehouseSession } from '../../runtime/index.ts';

/** The instant as of which the tests train. */
export const AS_OF: number = Date.parse('2024-03-08T13:00Z');
/** Rows of every dataset. */
export const ROWS = 3_000;

const payments = source('payments', {
  id: 'paymentId',
  time: 'at',
  key: 'customerId',
  fields: {
    paymentId: id(),
    at: timestamp(),
    customerId: key(),
    amount: number(),
    age: number({ optional: true }),
  },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'paymentId',
  fields: { reportId: id(), at: timestamp(), paymentId: key() },
});
const fraud = label('fraud', { of: payments, from: reports, on: 'paymentId', maturesAfter: '1d' });
const card = vector('card', {
  candidate: payments,
  amount: (c) => c.amount,
  age: (c) => c.age,
});
const split = byTime({ train: '3d', delay: '1d', test: '2d', excludeKnown: 'customerId' });
const shared = { vector: card, label: fraud, split };
const linear = defineModel('linear', {
  ...shared,
  trainer: logistic(),
  gates: [atLeast('aucRoc', 0.7), atLeast('cardPrecision100', 0.001)],
});
const trees = defineModel('trees', {
  ...shared,
  trainer: gbdt({ rounds: 15 }),
  gates: [atLeast('aucRoc', 0.9999)],
});
const endless = defineModel('endless', { ...shared, trainer: gbdt({ rounds: 10_000, depthMax: 12 }) });
const ungateable = defineModel('ungateable', {
  ...shared,
  trainer: logistic(),
  split: byTime(),
  gates: [atLeast('cardPrecision100', 0.1)],
});
const score = decision('score', { model: linear, subject: 'customerId', threshold: 0.5 });

/** An app with models for each case. */
export const app: App = defineApp('shop', { decisions: { score }, models: [trees, endless, ungateable] });

/** What a features service that has something else than payments answers a build with. */
export interface TestTable {
  readonly vector: Vector;
  readonly label: LabelDefinition;
  readonly keys: readonly string[];
  /** Selects `id`, `time`, `partition`, `position`, `key_*`, `label` and the values. */
  select(request: DatasetRequest): string;
}

/** The neighbours: a features service that always has the same payments, and a registry. */
export class Neighbours {
  /** For the tests that let some calls through: `call` without its types. */
  readonly answer: (route: { readonly name: string }, input: unknown) => Promise<unknown>;
  readonly call: ServiceHost['call'];
  readonly built: DatasetRequest[] = [];
  readonly versions: ModelVersionInput[] = [];
  clock = AS_OF;
  /** Every so manieth payment is fraud. */
  fraudEvery = 9;
  /** Instead of the payments. */
  table: TestTable | undefined;
  /** Answers of the features service that fail first. */
  failures: PlatformError[] = [];
  readonly #objects: Objects;
  readonly #warehouse: Warehouse;

  constructor(objects: Objects, warehouse: Warehouse) {
    this.#objects = objects;
    this.#warehouse = warehouse;
    this.answer = (route, input) => this.#answer(route.name, (input as { readonly body: never }).body);
    this.call = this.answer as ServiceHost['call'];
  }

  async #answer(route: string, body: never): Promise<unknown> {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    switch (route) {
      case 'getFeaturesStatus':
        return { clock: this.clock, sources: [], replicas: [], statePartitions: [], groups: [] };
      case 'buildDataset':
        return this.#build(body);
      case 'registerVersion':
        return this.#register(body);
      default:
        throw new Error(`No stub for ${route}`);
    }
  }

  async #build(request: DatasetRequest): Promise<Dataset> {
    this.built.push(request);
    await using session = await this.#warehouse.session();
    const file = join(session.scratch, 'dataset.parquet');
    const { from, to } = request;
    if (this.table !== undefined) {
      await session.run(`copy (${this.table.select(request)}) to '${file}' (format parquet)`);
      return await this.#described(session, request, { file, ...this.table });
    }
    const positive = `range % ${this.fraudEvery} = 0 and range % 7 < 5`;
    await session.run(`copy (
        select 'p' || range as id, (${from} + range * ((${to} - ${from}) // ${ROWS}))::bigint as time,
          0::bigint as partition, range::bigint as position,
          'customer ' || (range * 7919 % 997) as "key_customerId", ${positive} as label,
          case when ${positive} then 60 else 20 end + hash(range) % 50 as amount,
          case when range % 11 = 0 then null else hash(range + 1) % 70 end::double as age
        from range(${ROWS}) order by time
      ) to '${file}' (format parquet)`);
    return await this.#described(session, request, {
      file,
      vector: card,
      label: fraud,
      keys: ['customerId'],
    });
  }

  async #described(
    session: WarehouseSession,
    request: DatasetRequest,
    { file, vector, label, keys }: Omit<TestTable, 'select'> & { readonly file: string },
  ): Promise<Dataset> {
    const stored = await this.#objects.putFile(file);
    const { columns } = await session.query(
      `select count(*) filter (label)::double as positives, count(*)::double as rows from '${file}'`,
    );
    return {
      id: definitionHash({ request, stored }),
      vector: vector.name,
      vectorHash: vector.hash,
      label: label.name,
      labelHash: label.hash,
      from: request.from,
      to: request.to,
      knowledge: 'latest',
      asOf: request.asOf ?? 0,
      positions: {},
      names: vector.values.map(({ name }) => name),
      keys: [...keys],
      rows: (columns.get('rows') as Float64Array)[0] ?? 0,
      censored: 0,
      positives: (columns.get('positives') as Float64Array)[0] ?? 0,
      file: stored,
    };
  }

  async #register(body: ModelVersionInput): Promise<unknown> {
    if (!(await this.#objects.has(body.onnx.digest))) throw new PlatformError('OBJECT_NOT_FOUND', 'no file');
    const known = this.versions.findIndex((version) => version.idempotencyKey === body.idempotencyKey);
    if (known >= 0 && definitionHash(this.versions[known]) !== definitionHash(body)) {
      throw new PlatformError('CONFLICT', 'another body');
    }
    if (known < 0) this.versions.push(body);
    const version = known < 0 ? this.versions.length : known + 1;
    return { ...body, model: 'any', version, createdAt: 0, passed: body.gates.every((gate) => gate.passed) };
  }
}
