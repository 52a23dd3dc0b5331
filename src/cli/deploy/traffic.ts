import { ROLLOUT_LIMITS } from './limits.ts';

/** What a process has answered since it started, by route. */
export interface Traffic {
  /** Requests that are being answered. */
  readonly waiting: number;
  readonly routes: ReadonlyMap<string, RouteTraffic>;
}

export interface RouteTraffic {
  readonly requests: number;
  /** Answers of 500 and above. */
  readonly errors: number;
  /** Time of all requests together. */
  readonly seconds: number;
}

const SAMPLE =
  /^(http_requests_total|http_request_seconds_sum|http_requests_in_flight)(?:\{([^}]*)\})? (\S+)/gm;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Reads the text that `/metrics` answers; only routes of services count, not the server's own. */
export function readTraffic(text: string): Traffic {
  const routes = new Map<string, { requests: number; errors: number; seconds: number }>();
  let waiting = 0;
  for (const [, metric, labels = '', amount] of text.matchAll(SAMPLE)) {
    const value = Number(amount);
    if (metric === 'http_requests_in_flight') waiting = value;
    const found = Object.fromEntries([...labels.matchAll(LABEL)].map(([, name, of]) => [name, of]));
    const { route = '', status = '' } = found;
    if (!/^\w+$/.test(route) || route === 'none') continue;
    const known = routes.get(route) ?? { requests: 0, errors: 0, seconds: 0 };
    routes.set(route, known);
    if (metric === 'http_request_seconds_sum') known.seconds += value;
    else if (metric === 'http_requests_total') {
      known.requests += value;
      if (Number(status) >= 500) known.errors += value;
    }
  }
  return { waiting, routes };
}

/** What came between two looks at a process. */
export function trafficSince(now: Traffic, before: Traffic): Traffic {
  const nothing: RouteTraffic = { requests: 0, errors: 0, seconds: 0 };
  const routes = [...now.routes].map(([route, { requests, errors, seconds }]): [string, RouteTraffic] => {
    const past = before.routes.get(route) ?? nothing;
    return [
      route,
      {
        requests: requests - past.requests,
        errors: errors - past.errors,
        seconds: seconds - past.seconds,
      },
    ];
  });
  return { waiting: now.waiting, routes: new Map(routes) };
}

/** What several processes answered together. */
export function trafficOf(all: readonly Traffic[]): Traffic {
  const routes = new Map<string, RouteTraffic>();
  for (const one of all) {
    for (const [route, { requests, errors, seconds }] of one.routes) {
      const sum = routes.get(route) ?? { requests: 0, errors: 0, seconds: 0 };
      routes.set(route, {
        requests: sum.requests + requests,
        errors: sum.errors + errors,
        seconds: sum.seconds + seconds,
      });
    }
  }
  return { waiting: all.reduce((sum, { waiting }) => sum + waiting, 0), routes };
}

/**
 * Why new processes answer worse than old ones did in the same time, in words; `undefined` when they do not. With little
 * to compare it forgives: what fails every time is found all the same.
 */
export function worse(fresh: Traffic, old: Traffic): string | undefined {
  const [ours, theirs] = [totals(fresh), totals(old)];
  const [share, usual] = [
    ours.errors / Math.max(ours.requests, 1),
    theirs.errors / Math.max(theirs.requests, 1),
  ];
  const { errorsForgiven, errorShareMore, requestsMin, secondsMore, secondsTimes } = ROLLOUT_LIMITS;
  const isBad =
    ours.errors > errorsForgiven ? share > usual + errorShareMore : share >= 0.5 && share > usual + 0.5;
  if (isBad) {
    return (
      `${String(ours.errors)} of ${String(ours.requests)} answers of the new process were errors ` +
      `(${percent(share)}; of the old ones ${percent(usual)})`
    );
  }
  for (const [route, { requests, seconds }] of fresh.routes) {
    const before = old.routes.get(route);
    if (requests < requestsMin || before === undefined || before.requests < requestsMin) continue;
    const [mean, known] = [seconds / requests, before.seconds / before.requests];
    if (mean <= known * secondsTimes + secondsMore) continue;
    return `${route} took ${mean.toFixed(3)} s in the mean in the new process, ${known.toFixed(3)} s in the old ones`;
  }
  return undefined;
}

function totals({ routes }: Traffic): RouteTraffic {
  const sum = { requests: 0, errors: 0, seconds: 0 };
  for (const { requests, errors, seconds } of routes.values()) {
    sum.requests += requests;
    sum.errors += errors;
    sum.seconds += seconds;
  }
  return sum;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
