import { PlatformError, type Principal, type Role, ROLES } from '../../contract/index.ts';
import type { Admission, Clock } from '../../runtime/index.ts';
import type { GatewayOptions } from './options.ts';

/** Principals whose requests are counted at a time; beyond it those that were silent longest are forgotten. */
const BUCKETS_MAX = 10_000;

interface Bucket {
  readonly perSecond: number;
  /** Requests that may come at once. */
  readonly burst: number;
  left: number;
  atMs: number;
}

/** Makes the limit on requests: a bucket for each principal that fills at the rate of the best of its roles. */
export function rateLimit(options: GatewayOptions, clock: Clock): (principal: Principal) => Admission {
  const rates: Readonly<Record<Role, number>> = {
    reader: options.readerRequestsPerSecond,
    producer: options.producerRequestsPerSecond,
    scientist: options.scientistRequestsPerSecond,
    reviewer: options.reviewerRequestsPerSecond,
    operator: options.operatorRequestsPerSecond,
    admin: options.adminRequestsPerSecond,
  };
  const buckets = new Map<string, Bucket>();

  const open = ({ subject, roles }: Principal, now: number): Bucket => {
    const perSecond = Math.max(...ROLES.map((role) => (roles.includes(role) ? rates[role] : 0)));
    const burst = Math.max(1, Math.floor(perSecond * options.burstSeconds));
    const bucket = { perSecond, burst, left: burst, atMs: now };
    buckets.set(subject, bucket);
    const [oldest] = buckets.keys();
    if (buckets.size > BUCKETS_MAX && oldest !== undefined) buckets.delete(oldest);
    return bucket;
  };

  return (principal) => {
    const now = clock.monotonic();
    const bucket = buckets.get(principal.subject) ?? open(principal, now);
    bucket.left = Math.min(bucket.burst, bucket.left + ((now - bucket.atMs) / 1_000) * bucket.perSecond);
    bucket.atMs = now;
    const isAllowed = bucket.left >= 1;
    if (isAllowed) bucket.left -= 1;
    const headers = {
      'ratelimit-limit': String(bucket.burst),
      'ratelimit-remaining': String(Math.floor(bucket.left)),
      'ratelimit-reset': String(Math.ceil((bucket.burst - bucket.left) / bucket.perSecond)),
    };
    return isAllowed ? { headers } : { headers, refusal: tooMany(bucket) };
  };
}

function tooMany({ perSecond, left }: Bucket): PlatformError {
  const retryAfterMs = Math.ceil(((1 - left) / perSecond) * 1_000);
  return new PlatformError(
    'TOO_MANY_REQUESTS',
    `rate: expected at most ${String(perSecond)} requests a second of one key or person, got more; ` +
      `wait ${String(retryAfterMs)} ms`,
    { details: { requestsPerSecond: perSecond, retryAfterMs } },
  );
}
