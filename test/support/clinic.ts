import { readFileSync } from 'node:fs';
import { callRoute, type TestWorld, testWorld } from './service-host.ts';
import { systemClock } from '../../src/adapters/system/index.ts';
import {
  type AnyRoute,
  type DecisionAnswer,
  type InputOf,
  type ModelVersion,
  PlatformError,
  type Release,
  type ResultOf,
  routes,
} from '../../src/contract/index.ts';
import { REFERENCE_SHARES } from '../../src/contract/reference-shares.ts';
import {
  type App,
  count,
  decision,
  defineApp,
  defineModel,
  features as defineFeatures,
  id,
  key,
  label,
  logistic,
  number,
  source,
  text,
  timestamp,
  vector,
} from '../../src/define/index.ts';
import { encodeLogistic } from '../../src/ml/onnx/encode-logistic.ts';
import { BytesBody, type Caller, type RunningService } from '../../src/runtime/index.ts';
import { features } from '../../src/services/features/index.ts';
import { ingest } from '../../src/services/ingest/index.ts';
import { registry } from '../../src/services/registry/index.ts';
import { serve, type ServeOptions } from '../../src/services/serve/index.ts';

const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: { caseId: id(), at: timestamp(), patientId: key({ personal: 'pseudonym' }), size: number() },
});
const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: {
    findingId: id(),
    at: timestamp(),
    caseId: key(),
    finding: text(),
    grade: number({ optional: true, minimum: 0 }),
  },
});
const recalls = source('recalls', {
  id: 'caseId',
  time: 'at',
  key: 'caseId',
  fields: { caseId: id(), at: timestamp() },
});
const malignant = label('malignant', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (finding) => finding.finding.equals('malignant'),
  confirmed: true,
  maturesAfter: '3d',
});
const recalled = label('recalled', { of: cases, from: recalls, on: 'caseId', maturesAfter: '3d' });
const patient = defineFeatures('patient', { from: cases, key: 'patientId', hop: 'exact' }, () => ({
  cases: count().over('30d'),
}));
const tumour = vector('tumour', { candidate: cases, size: (c) => c.size, patient });
const diagnosis = defineModel('diagnosis', { vector: tumour, label: malignant, trainer: logistic() });
const recall = defineModel('recall', { vector: tumour, label: recalled, trainer: logistic() });

/** A clinic: two decisions that leave unsure cases to a person. */
export const clinic: App = defineApp('clinic', {
  decisions: {
    triage: decision('triage', {
      model: diagnosis,
      subject: 'patientId',
      outcomes: ['benign', 'malignant'],
      abstain: { from: 0.1, to: 0.9, outcome: 'unsure' },
      explain: 2,
    }),
    callback: decision('callback', {
      model: recall,
      subject: 'patientId',
      abstain: { from: 0.1, to: 0.9, outcome: 'unsure' },
      ledger: 'buffered',
    }),
  },
});

/** When the first case came. */
export const START: number = Date.UTC(2026, 0, 5);
const DAY_MS = 86_400_000;

/** Log odds are the size, less a quarter for each case of the patient above a half. */
export const LINEAR: Uint8Array = linear(0);
/** The same, one lower. */
export const LOWER: Uint8Array = linear(-1);
/** Trees as an earlier build wrote them. */
export const UNEXPLAINED: Uint8Array = readFileSync(
  new URL('../../src/ml/onnx/fixtures/trees-without-weights.onnx', import.meta.url),
);

function linear(intercept: number): Uint8Array {
  return encodeLogistic({
    kind: 'logistic',
    means: Float64Array.of(0, 0.5),
    scales: Float64Array.of(1, 2),
    coefficients: Float64Array.of(1, -0.5),
    intercept,
    iterations: 0,
  });
}

/** The services that a clinic needs, on a database of its own. */
export class Clinic implements AsyncDisposable {
  readonly world: TestWorld;
  readonly #services = new Map<string, RunningService>();
  /** Routes that fail as they say. */
  readonly failing = new Map<string, () => unknown>();
  #serial = 0;
  /** When the newest case came. */
  now: number = START;

  private constructor(world: TestWorld) {
    this.world = world;
  }

  static async open(options: Partial<ServeOptions> = {}): Promise<Clinic> {
    const opened = new Clinic(await testWorld());
    const { world, call } = opened;
    opened.#services.set('ingest', await world.start(ingest, clinic, {}, call));
    opened.#services.set(
      'features',
      await world.start(features, clinic, { clock: 'event', archiveMs: 100 }, call),
    );
    opened.#services.set('registry', await world.start(registry, clinic, {}, call));
    await opened.startServe(options);
    return opened;
  }

  /** Starts serve, or another one after it was stopped. */
  async startServe(options: Partial<ServeOptions> = {}): Promise<void> {
    const given = { pollMs: 20, reviewUpkeepMs: 100, readyMs: 10_000, ...options };
    this.#services.set('serve', await this.world.start(serve, clinic, given, this.call));
  }

  async stopServe(): Promise<void> {
    await this.#services.get('serve')?.stop(5_000);
  }

  readonly call: Caller = async <TRoute extends AnyRoute>(
    route: TRoute,
    input: InputOf<TRoute>,
  ): Promise<ResultOf<TRoute>> => {
    const fail = this.failing.get(route.name);
    if (fail !== undefined) return fail() as ResultOf<TRoute>;
    const service = this.#services.get(route.service);
    if (service === undefined) throw new PlatformError('UNAVAILABLE', `${route.service} is away`);
    return (await callRoute(service, route, input)) as ResultOf<TRoute>;
  };

  ask<TRoute extends AnyRoute>(route: TRoute, input: Partial<InputOf<TRoute>>): Promise<ResultOf<TRoute>> {
    const { params = {}, query = {}, body = {} } = input;
    return this.call(route, { params, query, body } as InputOf<TRoute>);
  }

  async release(
    name: 'triage' | 'callback',
    onnx: Uint8Array,
    body: Partial<InputOf<typeof routes.createRelease>['body']> = {},
  ): Promise<Release> {
    const model = name === 'triage' ? diagnosis : recall;
    const { version } = await this.#register(model, onnx);
    const made = await this.ask(routes.createRelease, { body: { decision: name, version, ...body } });
    const answering = async (): Promise<string> => {
      const answer = await this.decide(name, 100).catch(String);
      return typeof answer === 'string' ? answer : answer.release;
    };
    for (let tries = 0; tries < 500; tries += 1) {
      const found = await answering();
      if (found === made.id) return made;
      if (tries === 499) throw new Error(`${made.id} does not answer, but ${found}`);
      await systemClock().sleep(10);
    }
    return made;
  }

  async #register(model: typeof diagnosis | typeof recall, onnx: Uint8Array): Promise<ModelVersion> {
    this.#serial += 1;
    const report = {
      inputs: [{ name: 'size', missing: 0.25, quantiles: REFERENCE_SHARES.map((share) => 4 * share) }],
    };
    const digest = `sha256:${'a'.repeat(64)}`;
    const lineage = {
      run: 'r',
      dataset: digest,
      vectorHash: tumour.hash,
      labelHash: model.label.hash,
      modelHash: model.hash,
      appHash: clinic.hash,
      codeVersion: '1',
      trainer: {},
      seed: 0,
      asOf: 1,
    };
    const body = {
      onnx: await this.world.objects.put(onnx),
      report: await this.world.objects.put(new TextEncoder().encode(JSON.stringify(report))),
      signature: { inputs: [], outputs: [] },
      metrics: {},
      gates: [],
      lineage,
      idempotencyKey: `v${String(this.#serial)}`,
    };
    return this.ask(routes.registerVersion, { params: { model: model.name }, body });
  }

  /** A case of its own patient. */
  case(size: number): { caseId: string; at: number; patientId: string; size: number } {
    this.#serial += 1;
    const serial = this.#serial;
    this.now += 1_000;
    return {
      caseId: `case${String(serial)}`,
      at: this.now,
      patientId: `p${String(serial)}`,
      size,
    };
  }

  /** Decides on a case of a size, which is made known too when `isSent`. */
  async decide(
    name: 'triage' | 'callback',
    size: number,
    { explain, isSent = false }: { readonly explain?: number; readonly isSent?: boolean } = {},
  ): Promise<DecisionAnswer> {
    const made = this.case(size);
    const answer = await this.ask(routes.decide, {
      params: { decision: name },
      query: explain === undefined ? {} : { explain },
      body: made,
    });
    if (isSent) await this.send('cases', [made]);
    return answer;
  }

  async send(name: string, records: readonly object[]): Promise<void> {
    const body = new BytesBody('application/json', new TextEncoder().encode(JSON.stringify(records)));
    await this.ask(routes.ingestEvents, { params: { source: name }, query: { results: 'all' }, body });
  }

  /** Lets all cases mature, and builds the dataset of a label. */
  async dataset(name: 'malignant' | 'recalled'): Promise<ResultOf<typeof routes.buildDataset>> {
    const to = this.now + 1;
    this.now += 30 * DAY_MS;
    await this.send('cases', [this.case(0)]);
    return this.ask(routes.buildDataset, {
      body: { vector: 'tumour', label: name, from: START, to, knowledge: 'latest', asOf: to + 20 * DAY_MS },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of [...this.#services.values()].reverse()) await service.stop(2_000);
    await this.world[Symbol.asyncDispose]();
  }
}
