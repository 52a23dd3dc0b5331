import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError, routes, SAMPLE_MAX, type Verification } from '../../contract/index.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { type Output, table, when } from '../output.ts';
import { readInstant } from './train.ts';

/** How often a verification is looked at, in milliseconds. */
const LOOK_MS = 300;
/** Features that are listed when nothing differs in them. */
const EQUAL_LISTED_MAX = 10;

export interface VerifyVerbOptions extends ClientOptions {
  readonly sample: string;
  readonly since?: string | undefined;
}

/**
 * `tandem features verify`: recomputes served vectors and waits for the end. Resolves with whether values were compared and all of
 * them came out equal. Rejects with UNPROCESSABLE when the verification failed.
 */
export async function verifyFeatures(options: VerifyVerbOptions, output: Output): Promise<boolean> {
  const sample = readSample(options.sample);
  const since = options.since === undefined ? undefined : readInstant('--since', options.since);
  await using client = await openClient(options);
  let verification = await client.call(routes.startVerification, {
    params: {},
    query: {},
    // The key makes the call safe to send again when its answer is lost.
    body: { sample, idempotencyKey: crypto.randomUUID(), ...(since === undefined ? {} : { since }) },
  });
  while (verification.endedAt === null) {
    output.progress(`verification ${verification.id} is ${verification.state}`);
    await sleep(LOOK_MS);
    const input = { params: { id: verification.id }, query: {}, body: {} };
    verification = await client.call(routes.getVerification, input);
  }
  if (verification.state === 'failed')
    throw new PlatformError(
      'UNPROCESSABLE',
      `Verification ${verification.id} failed: ${verification.error ?? 'no reason is known'}`,
    );
  const shown = verification;
  output.result(shown, () => describe(shown));
  return verification.values > 0 && verification.mismatches === 0;
}

function readSample(text: string): number {
  const sample = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (sample >= 1 && sample <= SAMPLE_MAX) return sample;
  throw new PlatformError(
    'CONFIGURATION',
    `--sample: expected a whole number from 1 to ${String(SAMPLE_MAX)}, got '${text}'`,
  );
}

function describe(verification: Verification): string {
  const { values, mismatches, rows, decisions, since, until } = verification;
  const range = `${when(since)} to ${when(until)}`;
  const lines = [
    values === 0
      ? `NOTHING was compared: ${String(decisions)} decisions from ${range}`
      : `${String(mismatches)} of ${String(values)} values differ (${perMillion(verification)} per million): ` +
        `${String(rows)} of ${String(decisions)} decisions from ${range}`,
  ];
  for (const { reason, rows: left } of verification.reasons)
    lines.push(`${String(left)} decisions cannot be recomputed: ${reason}`);
  const differing = verification.features.filter((feature) => feature.mismatches > 0);
  const listed = differing.length > 0 ? differing : verification.features.slice(0, EQUAL_LISTED_MAX);
  if (listed.length > 0) {
    const rowsOf = listed.map((feature) => [
      feature.vector,
      feature.feature,
      String(feature.values),
      String(feature.mismatches),
      perMillion(feature),
    ]);
    lines.push('', table(['VECTOR', 'FEATURE', 'VALUES', 'DIFFER', 'PER MILLION'], rowsOf));
    const more = verification.features.length - listed.length;
    if (more > 0) lines.push(`and ${String(more)} more without a difference`);
  }
  if (verification.differences.length > 0) {
    const rowsOf = verification.differences.map((difference) => [
      difference.decisionId,
      difference.feature,
      shownValue(difference.served),
      shownValue(difference.recomputed),
    ]);
    lines.push('', table(['DECISION', 'FEATURE', 'SERVED', 'RECOMPUTED'], rowsOf));
  }
  return lines.join('\n');
}

function perMillion({ values, mismatches }: { values: number; mismatches: number }): string {
  return values === 0 ? '-' : String(Math.round((mismatches / values) * 1e8) / 100);
}

/** In full: a difference may be in the last digit. */
function shownValue(value: number | null): string {
  return value === null ? 'missing' : String(value);
}
