import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Dataset, DatasetRequest, ModelVersionInput } from '../../../src/contract/index.ts';
import { definitionHash, type Model } from '../../../src/define/index.ts';
import type { Objects, ServiceHost, Warehouse } from '../../../src/runtime/index.ts';
import type { Fraud } from '../reference/fraud-data.ts';

const DAY_MS = 86_400_000;
/** Day 0 of the data. */
const EPOCH_MS = Date.parse('2018-04-01T00:00Z');

/** A features service that has the transactions of the handbook, and a registry that keeps what it is sent. */
export class FraudNeighbours {
  readonly versions: ModelVersionInput[] = [];
  readonly call: ServiceHost['call'];
  readonly #fraud: Fraud;
  readonly #model: Model;
  readonly #objects: Objects;
  readonly #warehouse: Warehouse;

  constructor(
    fraud: Fraud,
    model: Model,
    { objects, warehouse }: { readonly objects: Objects; readonly warehouse: Warehouse },
  ) {
    this.#fraud = fraud;
    this.#model = model;
    this.#objects = objects;
    this.#warehouse = warehouse;
    const answer = (route: { readonly name: string }, input: unknown): Promise<unknown> => {
      const { body } = input as { readonly body: never };
      return route.name === 'buildDataset' ? this.#build(body) : this.#register(body);
    };
    this.call = answer as ServiceHost['call'];
  }

  async #build(request: DatasetRequest): Promise<Dataset> {
    const { vector, label } = this.#model;
    const names = vector.values.map(({ name }) => name);
    await using session = await this.#warehouse.session();
    const [text, file] = ['rows.csv', 'rows.parquet'].map((name) => join(session.scratch, name)) as [
      string,
      string,
    ];
    await pipeline(Readable.from(this.#lines(request, names)), createWriteStream(text));
    await session.run(
      `copy (select * replace (label = 1 as label) from read_csv('${text}', header = true) order by position)
       to '${file}' (format parquet)`,
    );
    const { columns } = await session.query(
      `select count(*)::double as rows, count(*) filter (label)::double as positives from '${file}'`,
    );
    const stored = await this.#objects.putFile(file);
    const count = (name: string): number => (columns.get(name) as Float64Array)[0] ?? 0;
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
      names,
      keys: ['customerId'],
      rows: count('rows'),
      censored: 0,
      positives: count('positives'),
      file: stored,
    };
  }

  *#lines({ from, to }: DatasetRequest, names: readonly string[]): Generator<string> {
    const { days, customers, labels, features } = this.#fraud;
    yield `id,time,partition,position,key_customerId,label,${names.join(',')}\n`;
    for (let row = 0; row < features.rows; row += 1) {
      // Splits go by whole days: the second of the day decides nothing.
      const time = EPOCH_MS + (days[row] as number) * DAY_MS;
      if (time < from || time >= to) continue;
      const values = features.values.subarray(row * features.columns, (row + 1) * features.columns);
      yield `t${row},${time},0,${row},c${customers[row]},${labels[row]},${values.join(',')}\n`;
    }
  }

  async #register(body: ModelVersionInput): Promise<unknown> {
    this.versions.push(body);
    return { ...body, model: 'any', version: this.versions.length, createdAt: 0, passed: true };
  }
}
