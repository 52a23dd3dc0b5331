import type { ServiceName } from './route.ts';

/** Gauges with which each process says how much it has to do: utilisation = signal / target. */
export const SCALING_METRICS = {
  /** Labels `service` and `signal`: how much there is to do. */
  signal: 'scaling_signal',
  /** The same labels: what one process should have. */
  target: 'scaling_target',
} as const;

/** A number by which a service is scaled. */
export interface ScalingSignal {
  /** Value of the label `signal`; its unit stands last. */
  readonly name: ScalingSignalName;
  /** What is counted. */
  readonly unit: 'requests' | 'milliseconds' | 'seconds' | 'records' | 'jobs';
  /** What one process should have, unless `TANDEM_SCALING_<NAME>` says otherwise. */
  readonly target: number;
  /**
   * `process`: each process says its own part, and the average counts. `service`: each one says the same, what all of
   * them have together.
   */
  readonly of: 'process' | 'service';
  /** What it means, for people. */
  readonly text: string;
}

export type ScalingSignalName =
  | 'requests_in_flight'
  | 'queue_wait_milliseconds'
  | 'lag_seconds'
  | 'lag_records'
  | 'open_jobs';

const requestsInFlight = (target: number): ScalingSignal => ({
  name: 'requests_in_flight',
  unit: 'requests',
  target,
  of: 'process',
  text: 'Requests being answered, averaged over the last second',
});

/**
 * By what each service is scaled. The one that asks for most processes decides. Services, the supervisor and manifests all
 * read this table.
 */
export const SCALING_SIGNALS: Readonly<Record<ServiceName | 'gateway', readonly ScalingSignal[]>> = {
  ingest: [requestsInFlight(16)],
  features: [
    {
      name: 'lag_seconds',
      unit: 'seconds',
      target: 5,
      of: 'process',
      text: 'Age of the oldest record of the log that is not applied',
    },
    {
      name: 'lag_records',
      unit: 'records',
      target: 50_000,
      of: 'process',
      text: 'Records of the log that are not applied',
    },
  ],
  train: [
    {
      name: 'open_jobs',
      unit: 'jobs',
      target: 1,
      of: 'service',
      text: 'Runs, and trials of searches, that wait for a process or are being worked on',
    },
    requestsInFlight(32),
  ],
  registry: [requestsInFlight(16)],
  serve: [
    requestsInFlight(8),
    {
      name: 'queue_wait_milliseconds',
      unit: 'milliseconds',
      target: 20,
      of: 'process',
      text: 'How long decisions waited for a vector read to begin, averaged over the last second',
    },
  ],
  gateway: [requestsInFlight(32)],
};
