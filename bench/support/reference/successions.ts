import type { History } from './histories.ts';

/** Steps within which one item counts as following another. */
const STEPS_MAX = 10;

/**
 * How strongly each item (column) follows each other one (row) in the histories: 1 / steps for every time it came
 * so many steps later, divided by the square root of how often the first one was taken.
 */
export function successions(known: readonly History[], itemCount: number): Float32Array {
  const strengths = new Float32Array(itemCount * itemCount);
  const counts = new Float64Array(itemCount);
  for (const { items } of known) {
    items.forEach((item, position) => {
      counts[item] = (counts[item] as number) + 1;
      for (let steps = 1; steps <= STEPS_MAX && position + steps < items.length; steps += 1) {
        const at = item * itemCount + (items[position + steps] as number);
        strengths[at] = (strengths[at] as number) + 1 / steps;
      }
    });
  }
  return strengths.map((strength, at) =>
    strength === 0 ? 0 : strength / Math.sqrt(counts[Math.floor(at / itemCount)] as number),
  );
}
