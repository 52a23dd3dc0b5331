import { grouped, KillDrill, type OnceResult, type RunTools } from '@tandem-examples/driver';
import { type Clinic, openClinic } from '../clinic.ts';
import { readCases } from '../datasets/index.ts';
import { BoundedClinic } from './bounded-clinic.ts';
import type { RunOptions } from './options.ts';
import { outcomeOf } from './outcome.ts';
import type { Report } from './report.ts';

/** Lets all batches of a clinic come in, checks what comes of them, and reports. It starts the product. */
export async function runOnce(options: RunOptions, tools: RunTools): Promise<OnceResult<Report>> {
  const { product, timeline, memory } = tools;
  const file = await readCases(options.dataset, options.data);
  const clinic = openClinic(file, options);
  const positives = clinic.cases.filter(({ known }) => known.isPositive).length;
  timeline.say(
    'clinic',
    `${grouped(clinic.cases.length)} cases of ${file.title}, ${grouped(positives)} ${file.findings.positive}`,
  );
  await timeline.phase('start', () => product.start({ fresh: options.fresh }));
  timeline.say('start', `the product is ready at ${product.url}, data in ${options.dataDir}`);
  const run = new BoundedClinic(clinic, tools, drillOf(options, tools, clinic));
  await run.run();
  const checked = await timeline.phase('check', () => run.check());
  const { report, violations } = outcomeOf(run);
  return {
    violations: [...violations, ...checked.violations],
    report: {
      dataset: file.name,
      ...report,
      ...checked.found,
      seconds: timeline.seconds,
      peakRssMb: memory.peakMb,
    },
  };
}

function drillOf(
  { killAt }: RunOptions,
  { product, timeline }: RunTools,
  { cases }: Clinic,
): KillDrill | undefined {
  if (killAt === undefined) return undefined;
  // Some findings come from the clinician instead: the mark is one that is surely reached.
  const records = cases.length * 1.5;
  return new KillDrill({
    product,
    atRecord: Math.max(1, Math.min(killAt, 0.99) * records),
    tell: (text) => timeline.say('kill', text),
  });
}
