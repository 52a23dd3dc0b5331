import { PlatformError } from '../../contract/index.ts';

/** What a command may say of its model in `metrics.json`. */
export const EXTERNAL_METRICS = {
  bytesMax: 65_536,
  countMax: 32,
  /** Larger ones, of either sign, are none that anybody reads. */
  magnitudeMax: 1e15,
} as const;

/** What the names of a command's metrics begin with, so that they never stand for one that is measured here. */
const PREFIX = 'external.';
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** Reads `metrics.json`: numbers by name. Throws UNPROCESSABLE when it is something else. */
export function readExternalMetrics(bytes: Uint8Array): Record<string, number> {
  const { countMax, magnitudeMax } = EXTERNAL_METRICS;
  const given = Object.entries(parsed(bytes));
  if (given.length > countMax) throw refused(`has ${given.length} metrics, more than ${countMax}`);
  const metrics: Record<string, number> = {};
  for (const [name, value] of given) {
    if (!NAME.test(name)) {
      throw refused(
        `has the name ${JSON.stringify(name.slice(0, 100))}: names are a letter and up to 63 letters, digits, _ or -`,
      );
    }
    if (typeof value !== 'number' || !(Math.abs(value) <= magnitudeMax)) {
      throw refused(`has no number from -${magnitudeMax} to ${magnitudeMax} as '${name}'`);
    }
    metrics[`${PREFIX}${name}`] = value;
  }
  return metrics;
}

function parsed(bytes: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw refused('is no JSON', error);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw refused('is no object of numbers by name');
}

function refused(how: string, cause?: unknown): PlatformError {
  return new PlatformError('UNPROCESSABLE', `metrics.json ${how}`, { cause });
}
