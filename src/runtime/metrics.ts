import { monitorEventLoopDelay } from 'node:perf_hooks';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Metrics } from './service.ts';

/** Upper bounds of latencies in seconds, 0.5 ms to 10 s. */
const LATENCY_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/**
 * How often the event loop is looked at, in milliseconds: finer costs wake-ups, coarser misses short stalls.
 */
const LOOP_RESOLUTION_MS = 10;

/** A gauge that is read, not set. */
export interface ObservedGauge {
  /** The whole name: no prefix stands before it. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

export interface ObservedValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** All metrics of a process. */
export interface MetricsRegistry {
  /** Metrics whose names begin with `<prefix>_`: one for each service, and `http` for the server. */
  of(prefix: string): Metrics;
  /**
   * A gauge whose values are asked for whenever the metrics are read. Asked of the same name again, it has the values
   * of both.
   */
  observe(gauge: ObservedGauge, read: () => readonly ObservedValue[]): void;
  /** Media type of {@link MetricsRegistry.text}. */
  readonly mediaType: string;
  /** Everything, or the metrics of these names, in the text format that Prometheus reads. */
  text(names?: readonly string[]): Promise<string>;
  close(): void;
}

/**
 * Makes the metrics of a process, on prom-client, with the process's own (CPU, memory, garbage collection,
 * open files) and the delay of the event loop since the last scrape.
 */
export function createMetrics(): MetricsRegistry {
  const registry = new Registry();
  // Its own watch of the event loop counts the interval of the timer as delay; it is set to sleep, ours takes
  // its place.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 60_000 });
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith('nodejs_eventloop_lag')) registry.removeSingleMetric(name);
  }
  const endLoopDelay = watchLoopDelay(registry);
  const observed = new Map<string, (() => readonly ObservedValue[])[]>();
  return {
    of: (prefix) => metricsOf(registry, prefix),
    observe(gauge, read) {
      const reads = observed.get(gauge.name);
      if (reads !== undefined) return void reads.push(read);
      observed.set(gauge.name, [read]);
      observe(registry, gauge, () => observed.get(gauge.name)?.flatMap((each) => each()) ?? []);
    },
    mediaType: registry.contentType,
    async text(names) {
      if (names === undefined) return registry.metrics();
      const known = names.filter((name) => registry.getSingleMetric(name) !== undefined);
      const texts = await Promise.all(known.map((name) => registry.getSingleMetricAsString(name)));
      return texts.map((text) => `${text}\n`).join('');
    },
    close() {
      endLoopDelay();
      registry.clear();
    },
  };
}

function watchLoopDelay(registry: Registry): () => void {
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  new Gauge({
    name: 'process_event_loop_delay_seconds',
    help: 'How long work waited for the event loop since the last scrape',
    labelNames: ['quantile'],
    registers: [registry],
    collect() {
      for (const quantile of [0.5, 0.99]) {
        const ms = delay.count === 0 ? 0 : delay.percentile(quantile * 100) / 1e6 - LOOP_RESOLUTION_MS;
        this.set({ quantile: String(quantile) }, Math.max(0, ms) / 1_000);
      }
      delay.reset();
    },
  });
  return () => void delay.disable();
}

function observe(registry: Registry, gauge: ObservedGauge, read: () => readonly ObservedValue[]): void {
  const { name, help, labels } = gauge;
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const { value, labels: values } of read()) this.set(values, value);
    },
  });
}

function metricsOf(registry: Registry, prefix: string): Metrics {
  const base = (name: string, help: string, labels: readonly string[] = []) => ({
    name: `${prefix}_${name}`,
    help,
    labelNames: [...labels],
    registers: [registry],
  });
  return {
    counter(name, help, labels) {
      const metric = known(registry, `${prefix}_${name}`, Counter) ?? new Counter(base(name, help, labels));
      return { add: (amount = 1, values = {}) => metric.inc(values, amount) };
    },
    gauge(name, help, labels) {
      const metric = known(registry, `${prefix}_${name}`, Gauge) ?? new Gauge(base(name, help, labels));
      return { set: (value, values = {}) => metric.set(values, value) };
    },
    histogram(name, help, labels, buckets = LATENCY_BUCKETS) {
      const metric =
        known(registry, `${prefix}_${name}`, Histogram) ??
        new Histogram({ ...base(name, help, labels), buckets: [...buckets] });
      return { observe: (value, values = {}) => metric.observe(values, value) };
    },
  };
}

/** The metric of this name, if there is one. That it is of another kind is a mistake in the program. */
function known<TMetric extends object>(
  registry: Registry,
  name: string,
  kind: new (...parameters: never[]) => TMetric,
): TMetric | undefined {
  const found: unknown = registry.getSingleMetric(name);
  if (found === undefined) return undefined;
  if (found instanceof kind) return found;
  throw new TypeError(`Metric ${name} exists already and is not a ${kind.name}`);
}
