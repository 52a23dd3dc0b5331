import type { Interval } from '../report.ts';
import type { Block } from './blocks.ts';

/** A paragraph. */
export function text(content: string): Block {
  return { kind: 'text', text: content };
}

/** A table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): Block {
  return { kind: 'table', head, rows };
}

/** An interval in words. */
export function between({ low, high }: Interval): string {
  return `${digits(low)} to ${digits(high)}`;
}

/** A share in percent. */
export function percent(share: number): string {
  return `${digits(100 * share)} %`;
}

/** Four digits that count, never more precise than a reader needs. */
export function digits(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}
