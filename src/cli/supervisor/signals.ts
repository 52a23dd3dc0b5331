import { SCALING_METRICS, SCALING_SIGNALS, type ServiceName } from '../../contract/index.ts';
import { ask } from '../ask.ts';
import type { SupervisorKey } from './supervisor-key.ts';
import type { SignalReading } from './autoscaler.ts';

/** How long a process has to answer with its metrics, in milliseconds. */
const ANSWER_MS_MAX = 2_000;
/** Of all its metrics these alone: writing them takes a process 15 us, all of them 3.5 ms. */
const METRICS_PATH = `/metrics?${Object.values(SCALING_METRICS)
  .map((name) => `name[]=${name}`)
  .join('&')}`;

/** What one process says about its load, by the name of the signal. */
export type ProcessSignals = ReadonlyMap<string, { readonly value: number; readonly target: number }>;

/** Asks a process for its scaling signals: `undefined` when it does not answer, or not like one of ours, or refuses the key. */
export async function askSignals(
  url: string,
  service: ServiceName,
  key: Pick<SupervisorKey, 'accepted' | 'refused'>,
): Promise<ProcessSignals | undefined> {
  const shown = key.accepted;
  if (shown === undefined) return undefined;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const { ok, status, text } = await ask(new URL(METRICS_PATH, url), { ...shown, signal });
    if (status === 401) key.refused(shown.key);
    return ok ? readSignals(text, service) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the signals of a service out of metrics in the text format. */
export function readSignals(text: string, service: ServiceName): ProcessSignals {
  const numbers = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, metric = '', labels = '', value = ''] = /^(\w+)\{(.*)\} (\S+)/.exec(line) ?? [];
    if (!Object.values<string>(SCALING_METRICS).includes(metric)) continue;
    if (!labels.includes(`service="${service}"`)) continue;
    const signal = /signal="(\w+)"/.exec(labels)?.[1];
    if (signal !== undefined && Number.isFinite(Number(value))) {
      numbers.set(`${metric} ${signal}`, Number(value));
    }
  }
  return new Map(
    SCALING_SIGNALS[service].flatMap(({ name }) => {
      const value = numbers.get(`${SCALING_METRICS.signal} ${name}`);
      const target = numbers.get(`${SCALING_METRICS.target} ${name}`);
      return value === undefined || target === undefined || target <= 0 ? [] : [[name, { value, target }]];
    }),
  );
}

/** The signals of a service over its processes: averages, and of what is the service's the newest that one of them says. */
export function combineSignals(
  service: ServiceName,
  processes: readonly ProcessSignals[],
): readonly SignalReading[] {
  return SCALING_SIGNALS[service].flatMap(({ name, of }) => {
    const found = processes.flatMap((signals) => signals.get(name) ?? []);
    const [first] = found;
    if (first === undefined) return [];
    const values = found.map(({ value }) => value);
    const value =
      of === 'service' ? Math.max(...values) : values.reduce((sum, each) => sum + each, 0) / values.length;
    return [{ name, value, target: first.target, of }];
  });
}
