import type { App } from '../../../define/index.ts';
import type { Definitions } from '../plan.ts';

/** The definitions as data alone, which can go to another thread: functions serve those who write them. */
export function plainDefinitions({ groups, labels, sources, vectors }: App): Definitions {
  return plain({ groups, labels, sources, vectors }) as Definitions;
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return new Map([...value].map(([name, item]) => [name, plain(item)]));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => typeof item !== 'function')
      .map(([name, item]) => [name, plain(item)]),
  );
}
