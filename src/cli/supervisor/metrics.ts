import type { Counter, MetricsRegistry } from '../../runtime/index.ts';
import type { UpState } from './state-file.ts';

/** What the supervisor tells about itself; each name stands behind `supervisor_`. */
export interface SupervisorMetrics {
  readonly scalings: Counter;
  readonly ends: Counter;
}

/** Makes the metrics of the supervisor; the numbers of processes are read from `state`. */
export function supervisorMetrics(registry: MetricsRegistry, state: () => UpState): SupervisorMetrics {
  registry.observe(
    {
      name: 'supervisor_replicas',
      help: 'Processes by service: wanted, ready, and the fewest and most that may run',
      labels: ['service', 'state'],
    },
    () => {
      const { services, processes } = state();
      return Object.entries(services).flatMap(([service, { replicas, min, max }]) => {
        const ready = processes.filter((one) => one.service === service && one.state === 'ready').length;
        return Object.entries({ wanted: replicas, ready, min, max }).map(([name, value]) => ({
          value,
          labels: { service, state: name },
        }));
      });
    },
  );
  const metrics = registry.of('supervisor');
  return {
    scalings: metrics.counter('scalings_total', 'Changes of the number of processes by load', [
      'service',
      'direction',
    ]),
    ends: metrics.counter('ends_total', 'Processes that ended without an order, by reason', [
      'service',
      'reason',
    ]),
  };
}
