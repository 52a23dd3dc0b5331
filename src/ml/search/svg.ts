/** @internal A coordinate in as few digits as a tenth of a pixel needs. */
export function coordinate(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** @internal A number for people: four significant digits. */
export function readable(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** @internal Text for an XML document; characters that XML does not know become U+FFFD. */
export function escapeText(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\t\n\r -\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** @internal A text of at most `length` characters. */
export function shortened(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}

/**
 * @internal Round numbers from `low` to `high`, about `count` of them: steps of 1, 2 or 5 times a power of
 * ten.
 */
export function roundSteps(low: number, high: number, count: number): readonly number[] {
  const rough = (high - low) / count;
  const exponent = Math.floor(Math.log10(rough));
  const power = Number(`1e${exponent}`);
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  const steps: number[] = [];
  for (let multiple = Math.ceil(low / step); multiple * step <= high; multiple += 1) {
    steps.push(Number((multiple * step).toPrecision(12)) + 0);
    // Where a step is lost in the digits of the bounds there would be no end.
    if (steps.length > 2 * count + 2) break;
  }
  return steps;
}
