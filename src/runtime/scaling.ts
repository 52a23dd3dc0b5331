import { z } from 'zod';
import {
  SCALING_METRICS,
  SCALING_SIGNALS,
  type ScalingSignalName,
  type ServiceName,
} from '../contract/index.ts';
import type { MetricsRegistry } from './metrics.ts';
import type { Clock } from './ports/index.ts';
import { RecentLevel } from './recent.ts';
import type { HandlerEntry, RunningService } from './service.ts';

/** Targets other than those of the table of signals; `TANDEM_SCALING_<SIGNAL>` sets them. */
export interface ScalingTargets {
  /** Requests in flight that one process should have. Default: 8 of serve, 16 of ingest and registry, 32 of gateway and train. */
  readonly requestsInFlight?: number | undefined;
  /** How long decisions should wait for a vector read at most, in milliseconds. Default 20. */
  readonly queueWaitMilliseconds?: number | undefined;
  /** How far features should be behind the log at most, in seconds. Default 5. */
  readonly lagSeconds?: number | undefined;
  /** How far features should be behind the log at most, in records of one process. Default 50,000. */
  readonly lagRecords?: number | undefined;
  /** Runs, waiting or active, for one process of train. Default 1. */
  readonly openJobs?: number | undefined;
}

const target = (text: string): z.ZodOptional<z.ZodCoercedNumber> =>
  z.coerce.number().positive().max(1e9).optional().describe(text);

/** Schema of {@link ScalingTargets}. */
export const scalingTargets: z.ZodType<ScalingTargets> = z
  .object({
    requestsInFlight: target('Requests in flight that one process should have'),
    queueWaitMilliseconds: target('How long decisions should wait for a vector read, in milliseconds'),
    lagSeconds: target('How far features should be behind the log, in seconds'),
    lagRecords: target('How far features should be behind the log, in records of one process'),
    openJobs: target('Runs, waiting or active, for one process of train'),
  })
  .strict();

const OPTIONS: Readonly<Record<ScalingSignalName, keyof ScalingTargets>> = {
  requests_in_flight: 'requestsInFlight',
  queue_wait_milliseconds: 'queueWaitMilliseconds',
  lag_seconds: 'lagSeconds',
  lag_records: 'lagRecords',
  open_jobs: 'openJobs',
};

/** The target of each signal of a service. */
export function targetsOf(
  service: ServiceName,
  targets: ScalingTargets = {},
): ReadonlyMap<ScalingSignalName, number> {
  return new Map(
    SCALING_SIGNALS[service].map((signal) => [signal.name, targets[OPTIONS[signal.name]] ?? signal.target]),
  );
}

export interface MeterParts {
  readonly clock: Clock;
  readonly metrics: MetricsRegistry;
  readonly targets?: ScalingTargets | undefined;
  /** Requests that are being passed on: those of a service that does so. Default: none. */
  readonly passing?: RecentLevel;
}

/**
 * The same service with its scaling signals among the metrics: requests in flight are counted around its handlers,
 * however the calls come; the others are asked of the service when metrics are read.
 */
export function metered(name: ServiceName, service: RunningService, parts: MeterParts): RunningService {
  const { clock, metrics } = parts;
  const targets = targetsOf(name, parts.targets);
  const level = new RecentLevel(clock);
  const passed = service.forwards === undefined ? undefined : parts.passing;
  const inFlight = (): number => level.average() + (passed?.average() ?? 0);
  const values = (): ReadonlyMap<ScalingSignalName, number> => {
    const own = service.scalingSignals?.() ?? {};
    return new Map(
      [...targets.keys()].flatMap((signal): [ScalingSignalName, number][] => {
        const value = signal === 'requests_in_flight' ? inFlight() : own[signal];
        return value === undefined ? [] : [[signal, value]];
      }),
    );
  };
  const labelled = (numbers: ReadonlyMap<ScalingSignalName, number>) =>
    [...numbers].map(([signal, value]) => ({ value, labels: { service: name, signal } }));
  const labels = ['service', 'signal'];
  metrics.observe({ name: SCALING_METRICS.signal, help: 'How much there is to do, by signal', labels }, () =>
    labelled(values()),
  );
  metrics.observe(
    { name: SCALING_METRICS.target, help: 'What one process should have of the signal', labels },
    () => labelled(targets),
  );
  return { ...service, handlers: service.handlers.map((entry) => counted(entry, level)) };
}

function counted(entry: HandlerEntry, level: RecentLevel): HandlerEntry {
  return {
    ...entry,
    handle: (input, context) => during(level, () => entry.handle(input, context)),
  };
}

/** Counts the work in the level from its beginning to its end. */
export async function during<TResult>(level: RecentLevel, work: () => Promise<TResult>): Promise<TResult> {
  level.add(1);
  try {
    return await work();
  } finally {
    level.add(-1);
  }
}
