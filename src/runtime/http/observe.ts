import type { MetricsRegistry } from '../metrics.ts';

/** Counts what the server does. */
export interface HttpObserver {
  readonly inFlight: number;
  /** A request came. */
  begin(): void;
  /** Its answer is out, or its client is gone (`status` 499). */
  end(route: string, status: number, seconds: number): void;
  /** Writes down what is only known at the moment, before the metrics are read. */
  snapshot(): void;
}

/** Metrics of the server: `http_requests_total`, `http_request_seconds`, `http_requests_in_flight`. */
export function httpObserver(registry: MetricsRegistry): HttpObserver {
  const metrics = registry.of('http');
  const requests = metrics.counter('requests_total', 'Requests by route and status', ['route', 'status']);
  const seconds = metrics.histogram('request_seconds', 'Time from the headers to the end of the answer', [
    'route',
  ]);
  const gauge = metrics.gauge('requests_in_flight', 'Requests that are being answered');
  let inFlight = 0;
  return {
    get inFlight() {
      return inFlight;
    },
    begin() {
      inFlight += 1;
    },
    end(route, status, duration) {
      inFlight -= 1;
      requests.add(1, { route, status: String(status) });
      seconds.observe(duration, { route });
    },
    snapshot: () => gauge.set(inFlight),
  };
}
