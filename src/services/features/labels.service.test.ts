import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import {
  type Dataset,
  partitionOf,
  type Positions,
  routes,
  SOURCE_PARTITIONS,
  sourceTopic,
  type VectorRead,
} from '../../contract/index.ts';
import {
  category,
  count,
  decision,
  defineApp,
  defineModel,
  features as defineFeatures,
  id,
  key,
  label,
  logistic,
  mean,
  source,
  text,
  timestamp,
  vector,
} from '../../define/index.ts';
import type { RunningService } from '../../runtime/index.ts';
import { features } from './index.ts';

const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: { caseId: id(), at: timestamp(), patientId: key(), clinic: key(), sex: text({ optional: true }) },
});
const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text() },
});
const malignant = label('malignant', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (f) => f.finding.equals('malignant'),
  confirmed: true,
  maturesAfter: '1d',
});
/** The same, but silence is a finding. */
const presumed = label('presumed', {
  of: cases,
  from: findings,
  on: 'caseId',
  where: (f) => f.finding.equals('malignant'),
  maturesAfter: '1d',
});
const clinic = defineFeatures('clinic', { from: malignant.matured(), key: 'clinic', hop: 'exact' }, (c) => ({
  n: count().over('7d'),
  rate: mean(c.malignant).over('7d'),
}));
const patient = vector('patient', { candidate: cases, sex: (c) => category(c.sex, ['F', 'M']), clinic });
const model = defineModel('m', { vector: patient, label: malignant, trainer: logistic() });
const other = defineModel('other', { vector: patient, label: presumed, trainer: logistic() });
const app = defineApp('practice', {
  decisions: { d: decision('d', { model, subject: 'patientId' }) },
  models: [other],
});

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 0, 5);
const SEXES = ['F', 'M', 'X', null];

function caseOf(serial: number): Record<string, unknown> {
  return {
    caseId: `k${String(serial)}`,
    at: START + serial * HOUR,
    patientId: `p${String(serial)}`,
    clinic: 'north',
    sex: SEXES[serial % 4],
  };
}

function finding(serial: number, what: string, afterMs = HOUR): Record<string, unknown> {
  return {
    findingId: `f${String(serial)}${what}`,
    at: START + serial * HOUR + afterMs,
    caseId: `k${String(serial)}`,
    finding: what,
  };
}

async function append(
  world: TestWorld,
  name: 'cases' | 'findings',
  records: readonly Record<string, unknown>[],
): Promise<Positions> {
  const positions = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  for (const record of records) {
    const keyed = name === 'cases' ? record['patientId'] : record['caseId'];
    const partition = partitionOf(String(keyed), SOURCE_PARTITIONS);
    const bytes = Buffer.from(JSON.stringify(record));
    positions[partition] = (await world.postgres.log.append(sourceTopic(name), partition, [bytes])) + 1;
  }
  return { [name]: positions };
}

function build(service: RunningService, of: string): Promise<Dataset> {
  return callRoute(service, routes.buildDataset, {
    body: {
      vector: 'patient',
      label: of,
      from: START,
      to: START + DAY,
      asOf: START + 36 * HOUR,
      knowledge: 'latest',
    },
  });
}

describe('a label that must be confirmed', () => {
  it('leaves out what nobody has found out, in datasets and in features, until somebody has', async () => {
    await using world = await testWorld();
    const service = await world.start(features, app, { clock: 'event', archiveMs: 600_000 });
    const made = Array.from({ length: 16 }, (_, serial) => caseOf(serial));
    const known = [
      finding(0, 'malignant'),
      finding(1, 'benign'),
      // Looked at twice: once is enough.
      finding(2, 'benign'),
      finding(2, 'malignant', 2 * HOUR),
      // Too late to count.
      finding(3, 'malignant', DAY),
      finding(4, 'unreadable'),
      finding(13, 'malignant'),
    ];
    const after = { ...(await append(world, 'cases', made)), ...(await append(world, 'findings', known)) };
    const read = async (positions: Positions): Promise<VectorRead> =>
      callRoute(service, routes.readVector, {
        params: { vector: 'patient' },
        body: {
          candidates: [{ ...caseOf(99), at: START + 36 * HOUR, sex: 'M' }],
          after: positions,
          record: false,
        },
      });
    const served = await read(after);
    // Matured are cases 0 to 11, and of them 0, 1, 2 and 4 are known.
    expect(served.names).toEqual(['sex', 'clinic_n_7d', 'clinic_rate_7d']);
    expect(served.rows[0]?.values).toEqual([1, 4, 0.5]);

    const dataset = await build(service, 'malignant');
    expect(dataset).toMatchObject({ rows: 4, positives: 2, unconfirmed: 9, censored: 3 });
    expect(await columnsOf(world, dataset)).toEqual({
      id: ['k0', 'k1', 'k2', 'k4'],
      label: [true, false, true, false],
      // The third is none of the categories.
      sex: [0, 1, Number.NaN, 0],
    });
    const silent = await build(service, 'presumed');
    expect(silent).toMatchObject({ rows: 13, positives: 2, censored: 3 });
    expect(silent).not.toHaveProperty('unconfirmed');

    // A report of before the maturity that comes later makes its case known.
    const late = await append(world, 'findings', [finding(5, 'benign', 20 * HOUR)]);
    const again = await read(late);
    expect(again.rows[0]?.values).toEqual([1, 5, 0.4]);
    const grown = await build(service, 'malignant');
    expect(grown).toMatchObject({ rows: 5, positives: 2, unconfirmed: 8, censored: 3 });

    // What was served before comes out again, from the archive.
    const [row] = served.rows;
    const receipts = [
      {
        candidate: { ...caseOf(99), at: START + 36 * HOUR, sex: 'M' },
        asOf: row?.asOf,
        positions: served.positions,
      },
    ];
    const replayed = await callRoute(service, routes.replayVector, {
      params: { vector: 'patient' },
      body: { hash: served.hash, receipts },
    });
    expect(replayed.rows).toEqual(served.rows);
    const rebuilt = await callRoute(service, routes.rebuildDataset, { params: { id: dataset.id }, body: {} });
    expect(rebuilt.equal).toBe(true);
    await service.stop(1_000);
  });
});

async function columnsOf(world: TestWorld, { file }: Dataset): Promise<Record<string, unknown[]>> {
  await using session = await world.warehouse.session();
  const path = await world.objects.path(file.digest);
  const { columns } = await session.query(`select id, label, sex from read_parquet('${path}') order by id`);
  return Object.fromEntries([...columns].map(([name, values]) => [name, [...values]]));
}
