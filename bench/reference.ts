import type { Measurement } from './run.ts';
import { measureDiagnostics } from './support/reference/diagnostics.ts';
import { measureFraud } from './support/reference/fraud.ts';
import { measurePimaSplit } from './support/reference/pima-split.ts';
import { measureRecommend } from './support/reference/recommend.ts';

const PARTS: Readonly<Record<string, () => Measurement>> = {
  pima: measurePimaSplit,
  diagnostics: measureDiagnostics,
  fraud: measureFraud,
  recommend: measureRecommend,
};

/**
 * How good our trainers are, against published and measured results on public data. `BENCH_PART=fraud` runs one part
 * alone. The data is read from the folder `data` in `TANDEM_SHARED`; a part without its data is skipped and says so.
 */
export function measure(): Promise<Measurement> {
  const wanted = process.env['BENCH_PART'];
  if (wanted !== undefined && !Object.hasOwn(PARTS, wanted)) {
    throw new Error(`BENCH_PART must be one of ${Object.keys(PARTS).join(', ')}, not ${wanted}`);
  }
  const found: Measurement[] = [];
  for (const [name, part] of Object.entries(PARTS)) {
    if (wanted !== undefined && name !== wanted) continue;
    const begun = process.cpuUsage();
    const { metrics, goals } = part();
    const { user, system } = process.cpuUsage(begun);
    found.push({ metrics: { ...metrics, [`${name}Cpu_s`]: (user + system) / 1e6 }, goals });
  }
  return Promise.resolve({
    metrics: Object.assign({}, ...found.map(({ metrics }) => metrics)) as Measurement['metrics'],
    goals: found.flatMap(({ goals }) => goals),
  });
}
