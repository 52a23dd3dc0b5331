import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaseFileError, type CaseFile } from './case-file.ts';
import { appOf, DATASET_NAMES, OWN_FOLDER, readCases } from './index.ts';

interface AppModule {
  readonly default: { readonly name: string };
  readonly cases: { readonly fields: Readonly<Record<string, unknown>> };
  readonly diagnosis: {
    readonly vector: { readonly name: string; readonly values: readonly { readonly name: string }[] };
  };
}

const positivesOf = ({ cases }: CaseFile): number => cases.filter(({ isPositive }) => isPositive).length;

describe('the data set of the example', () => {
  it('has all cases, with the positive class right', async () => {
    const file = await readCases('wdbc', OWN_FOLDER);
    expect([file.cases.length, positivesOf(file)]).toEqual([569, 212]);
    expect(file.cases[0]).toMatchObject({
      values: {
        radius: 17.99,
        concavePoints: 0.1471,
        radiusError: 1.095,
        radiusWorst: 25.38,
        fractalDimensionWorst: 0.1189,
      },
      isPositive: true,
    });
  });
});

describe('the apps', () => {
  it.each(DATASET_NAMES)(
    '%s: has the names that the driver goes by, and judges what it reads',
    async (name) => {
      const app = (await import(appOf(name))) as AppModule;
      expect(app.default.name).toBe('diagnostics');
      expect(Object.keys(app.cases.fields)).toEqual(
        expect.arrayContaining(app.diagnosis.vector.values.map((value) => value.name)),
      );
    },
  );
});

describe('a file that is not as it should be', () => {
  let folder: string;
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'tandem-cases-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const header = '569,30,malignant,benign';
  const numbers = Array.from({ length: 30 }, () => '1').join(',');
  it.each([
    ['wdbc', 'wdbc_breast_cancer.csv', 'a,b', /expected the line '569,30,malignant,benign' first; got 'a,b'/],
    ['wdbc', 'wdbc_breast_cancer.csv', `${header}\n1,2,0`, /line 2: expected 31 columns; got 3/],
    ['wdbc', 'wdbc_breast_cancer.csv', `${header}\n${numbers},2`, /line 2: expected 0 or 1; got '2'/],
    [
      'wdbc',
      'wdbc_breast_cancer.csv',
      `${header}\n${numbers.replace('1', 'x')},1`,
      /expected a number; got 'x'/,
    ],
    ['pima', 'pima_with_missing.csv', 'pregnant', /expected the line 'pregnant,glucose/],
    ['heart', 'heart_scale', '+1 14:0.5', /line 1: expected an index from 1 to 13; got '14'/],
    ['heart', 'heart_scale', 'maybe 1:0.5', /expected \+1 or -1; got 'maybe'/],
    ['hypothyroid', 'hypothyroid.arff', "@attribute 'age' integer\n@data\n", /got age/],
  ])('%s: says where it is not: %s', async (name, file, text, message) => {
    await writeFile(join(folder, file), text);
    const reading = readCases(name, folder);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(CaseFileError);
  });

  it('is missed when it is not there', async () => {
    await expect(readCases('pima', folder)).rejects.toThrow(/pima_with_missing\.csv/);
  });
});

const shared = process.env['TANDEM_SHARED'];
if (shared === undefined) console.warn('skipped: data sets of others; TANDEM_SHARED names no folder');
describe.skipIf(shared === undefined)('data sets of others', () => {
  const folder = join(shared ?? '', 'data', 'diagnostics');

  it.each([
    ['pima', 768, 268, { pregnant: 6, insulin: null, age: 50 }],
    [
      'heart',
      270,
      120,
      { age: 0.708333, vessels: 1, exerciseAngina: -1, heartRateMax: -0.419847, stSlope: 0, thal: -1 },
    ],
    ['hypothyroid', 3_772, 291, { age: 41, sex: 'F', tshMeasured: true, t4u: 1.14, referral: 'SVHC' }],
  ])('%s: %i cases, %i positive', async (name, cases, positives, first) => {
    const file = await readCases(name, folder);
    expect([file.cases.length, positivesOf(file)]).toEqual([cases, positives]);
    expect(file.cases[0]?.values).toMatchObject(first);
    const app = (await import(appOf(name))) as AppModule;
    expect(Object.keys(app.cases.fields).slice(3)).toEqual(Object.keys(file.cases[0]?.values ?? {}));
    expect(app.diagnosis.vector.name).toBe(file.vector);
  });
});
