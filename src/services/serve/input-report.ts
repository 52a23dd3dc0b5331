import { z } from 'zod';
import type { InputReference } from '../../contract/index.ts';
import { REFERENCE_SHARES } from '../../contract/reference-shares.ts';

/** What is read of a version's report: what its training rows looked like. Reports of any build are read, for what they have. */
const inputReport = z.object({
  name: z.string(),
  /** Share of the rows without a value. */
  missing: z.number(),
  /** Of the values that are there, at {@link REFERENCE_SHARES}. */
  quantiles: z.array(z.number()),
  /** Of a category: the share of the rows that has each, by its code. */
  shares: z.array(z.object({ share: z.number() })).optional(),
});
export type InputReport = z.infer<typeof inputReport>;

const report = z.object({ inputs: z.array(z.unknown()) });

/** The inputs of a report; none when it has none that are understood. */
export function readInputs(text: string): InputReport[] {
  const { data } = report.safeParse(parsed(text));
  return (data?.inputs ?? []).flatMap((input) => inputReport.safeParse(input).data ?? []);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Where a value stands among those of the training rows. The quantiles bound it: at least so many are lower, or higher. */
export function referenceOf(
  { missing, quantiles, shares }: InputReport,
  value: number | null,
): InputReference {
  if (value === null) {
    return { missing, above: null, below: null, text: `missing, as in ${rows(missing)}` };
  }
  if (shares !== undefined) {
    const share = shares[value]?.share ?? 0;
    return { missing, above: null, below: null, text: `as in ${rows(share)}` };
  }
  if (quantiles.length !== REFERENCE_SHARES.length)
    return { missing, above: null, below: null, text: 'no training row had a value' };
  // Training rows are float32 values.
  const given = Math.fround(value);
  const lower = quantiles.findLastIndex((quantile) => quantile < given);
  const higher = quantiles.findIndex((quantile) => quantile > given);
  const above = lower < 0 ? 0 : (REFERENCE_SHARES[lower] as number);
  const below = higher < 0 ? 0 : Number((1 - (REFERENCE_SHARES[higher] as number)).toPrecision(6));
  return { missing, above, below, text: standing(lower, higher, { above, below }) };
}

function standing(
  lower: number,
  higher: number,
  { above, below }: { readonly above: number; readonly below: number },
): string {
  if (higher === 0) return 'lower than in every training row';
  if (lower === REFERENCE_SHARES.length - 1) return 'higher than in every training row';
  if (above === 0 && below === 0) return 'as in most training rows';
  return above >= below
    ? `higher than in ${percent(above)} of training rows`
    : `lower than in ${percent(below)} of training rows`;
}

function rows(share: number): string {
  return share === 0 ? 'no training row' : `${percent(share)} of training rows`;
}

function percent(share: number): string {
  return `${String(Number((100 * share).toPrecision(3)))} %`;
}
