import type { Feature, Field } from '../../../define/index.ts';
import { EVER_MS } from '../../../define/aggregate.ts';
import type { Plan } from '../plan.ts';
import { expressionsOf, fieldsOf, literalsOf } from './expressions.ts';

/** What streams are aimed at: where values and windows change. */
export interface Aims {
  /** Lengths of time at which a window, a tile or a maturity begins or ends, in milliseconds. */
  readonly edgesMs: readonly number[];
  /** Lengths that instants are rounded to, so that they meet: tile lengths, or a part of the shortest window. */
  readonly gridsMs: readonly number[];
  readonly shortestMs: number;
  readonly longestMs: number;
  /** When streams begin. */
  readonly start: number;
  /** Literals that a field may be compared with, in the forms of `Event.values`, by field name. */
  readonly literals: ReadonlyMap<string, readonly (number | string)[]>;
}

/** A Monday. */
const START = Date.UTC(2026, 0, 5);
/** Into so many parts the shortest window is cut for a grid when there are no tiles. */
const GRID_PARTS = 60;
const DAY_MS = 86_400_000;

export function aimsOf(plan: Plan): Aims {
  const features = plan.groups.flatMap((group) => group.all.map(({ feature }) => feature));
  const lengthsOf = (pick: (feature: Feature) => number): number[] =>
    [...new Set(features.map(pick))].filter((length) => length > 0 && length < EVER_MS);
  const windows = lengthsOf((feature) => feature.windowMs);
  const hops = lengthsOf((feature) => feature.hopMs);
  const lives = lengthsOf((feature) => feature.ttlMs ?? 0);
  const delays = plan.labels.map(({ label }) => label.maturesAfterMs);
  const shortestMs = Math.min(...(windows.length === 0 ? [DAY_MS] : windows));
  const longestMs = Math.max(shortestMs, ...windows) + Math.max(0, ...delays, ...hops);
  const lengths = new Set([...windows, ...hops, ...lives, ...delays]);
  for (const { windowMs, hopMs } of features)
    if (hopMs > 0 && windowMs < EVER_MS) lengths.add(windowMs + hopMs);
  for (const delayMs of delays) for (const length of [...windows, ...lives]) lengths.add(length + delayMs);
  // A window of everything has no edge.
  if (lengths.size === 0) lengths.add(shortestMs);
  const literals = literalAims(plan);
  return {
    edgesMs: [...lengths].flatMap((length) => [length, length, length - 1, length + 1]),
    gridsMs: hops.length > 0 ? hops : [Math.max(1, Math.floor(shortestMs / GRID_PARTS))],
    shortestMs,
    longestMs,
    start: startOf(plan, literals),
    literals,
  };
}

/**
 * Every literal is an aim of every field of its expression that it could be compared with: more than needed, so that filters
 * over sums and products of fields are met on both sides too.
 */
function literalAims(plan: Plan): Map<string, (number | string)[]> {
  const aims = new Map<string, (number | string)[]>();
  for (const { feature } of plan.groups.flatMap((group) => group.all)) {
    const bounds = feature.parameters?.bounds ?? [];
    for (const field of feature.input === undefined ? [] : fieldsOf(feature.input))
      aims.set(field.name, [...(aims.get(field.name) ?? []), ...bounds]);
  }
  for (const node of expressionsOf(plan)) {
    for (const field of fieldsOf(node)) {
      const known = aims.get(field.name) ?? [];
      aims.set(field.name, known);
      for (const literal of literalsOf(node)) {
        if (typeof literal.value === 'boolean') continue;
        if (literal.type === field.type) known.push(literal.value);
        // Money that became a number is compared in its main unit.
        else if (field.type === 'money' && literal.type === 'number')
          known.push(Math.round(Number(literal.value) * 10 ** (field.decimals ?? 0)));
      }
    }
  }
  return aims;
}

/** Streams begin just before an instant that events' times are compared with. */
function startOf(plan: Plan, literals: Aims['literals']): number {
  const instants = [...plan.sources.values()].flatMap(({ source }) => literals.get(source.time) ?? []);
  const instant = instants.find((value) => typeof value === 'number');
  return instant === undefined ? START : Math.max(0, instant - DAY_MS / 4);
}

/** The aims of a field that keep its bounds. */
export function aimsOfField(aims: Aims, name: string, field: Field): (number | string)[] {
  const isFitting = (value: number | string): boolean =>
    typeof value === 'string'
      ? value.length <= (field.maximum ?? Number.POSITIVE_INFINITY)
      : value >= (field.minimum ?? Number.NEGATIVE_INFINITY) &&
        value <= (field.maximum ?? Number.POSITIVE_INFINITY);
  return [...new Set(aims.literals.get(name) ?? [])].filter(isFitting);
}
