import type { FeaturePlan, SlotPlan } from '../plan.ts';
import { type Aggregator, aggregatorOf, emptyValue, isStale } from './aggregators/index.ts';
import type { SectionReader, SectionWriter } from './sections.ts';

/** Time of the newest event, before the columns of the aggregator. */
const NEWEST = 0;
const STATE = 1;

/**
 * State of one input beside the usual statistics: tiles of it lie in the arrays of the group, and a read collects tiles or
 * events in one of its own.
 */
export class Slot {
  readonly input: number;
  /** float64 columns of a tile. */
  readonly columns: number;
  readonly #aggregator: Aggregator;
  readonly #collected: Float64Array;

  constructor(plan: SlotPlan) {
    this.input = plan.input;
    this.#aggregator = aggregatorOf(plan.feature);
    this.columns = STATE + this.#aggregator.columns;
    this.#collected = new Float64Array(this.columns);
    this.open(this.#collected, 0);
  }

  /** Makes an empty tile. */
  open(values: Float64Array, at: number): void {
    values[at + NEWEST] = Number.NEGATIVE_INFINITY;
    this.#aggregator.open(values, at + STATE);
  }

  /** Gives back what a tile that is dropped holds beside its columns. */
  release(values: Float64Array, at: number): void {
    this.#aggregator.release?.(values, at + STATE);
  }

  /** Whether tiles hold more than their columns. */
  get isGrowing(): boolean {
    return this.#aggregator.arena !== undefined;
  }

  /** Bytes that tiles hold beside their columns. */
  get bytes(): number {
    return this.#aggregator.arena?.byteLength ?? 0;
  }

  /** Saves what tiles hold beside their columns: nothing for most kinds. */
  save(writer: SectionWriter): void {
    // The latest read is no state.
    this.start();
    this.#aggregator.arena?.save(writer);
  }

  load(reader: SectionReader): void {
    this.#aggregator.arena?.load(reader);
  }

  /** Adds an event to a tile; NaN is a null input. */
  addToTile(values: Float64Array, at: number, value: number, time: number, sequence: number): void {
    if (Number.isNaN(value)) return;
    if (time > (values[at + NEWEST] ?? 0)) values[at + NEWEST] = time;
    this.#aggregator.add(values, at + STATE, value, time, sequence);
  }

  /** Begins a read. */
  start(): void {
    this.#aggregator.release?.(this.#collected, STATE);
    this.open(this.#collected, 0);
  }

  /** Takes an event into the read; NaN is a null input. */
  add(value: number, time: number, sequence: number): void {
    this.addToTile(this.#collected, 0, value, time, sequence);
  }

  /** Takes a tile into the read. */
  addTile(values: Float64Array, at: number): void {
    const newest = values[at + NEWEST] ?? Number.NEGATIVE_INFINITY;
    if (newest === Number.NEGATIVE_INFINITY) return;
    if (newest > (this.#collected[NEWEST] ?? 0)) this.#collected[NEWEST] = newest;
    this.#aggregator.merge(this.#collected, STATE, values, at + STATE);
  }

  /** A feature's value of what was collected. */
  finish(plan: FeaturePlan, asOf: number): number | null {
    const { feature } = plan;
    const newest = this.#collected[NEWEST] ?? Number.NEGATIVE_INFINITY;
    if (newest === Number.NEGATIVE_INFINITY || isStale(feature, newest, asOf)) return emptyValue(feature);
    return this.#aggregator.finish(this.#collected, STATE, plan) ?? feature.fallback ?? null;
  }
}
