import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
} from 'prom-client';
import { Series } from './series.ts';

/*
 * Metrics of prom-client that keep their values themselves. The library makes a text of all labels at each use to find a value by
 * it; here it is one look-up for each label. The library gets the values when somebody reads them.
 */

type Labels = Readonly<Record<string, string>>;

interface Kept {
  value: number;
}

const zero = (): Kept => ({ value: 0 });

export class KeptCounter extends Counter {
  readonly #series: Series<Kept>;

  constructor(configuration: CounterConfiguration<string>) {
    const series = new Series(configuration.labelNames ?? [], zero);
    super({
      ...configuration,
      collect() {
        this.reset();
        for (const { labels, value } of series.all) this.inc(labels, value.value);
      },
    });
    this.#series = series;
  }

  /** Throws a TypeError for less than nothing, and for what is no number. */
  keep(amount: number, labels: Labels): void {
    if (!(amount >= 0)) throw new TypeError(`amount: expected 0 or more, got ${String(amount)}`);
    this.#series.of(labels).value += amount;
  }
}

export class KeptGauge extends Gauge {
  readonly #series: Series<Kept>;

  constructor(configuration: GaugeConfiguration<string>) {
    const series = new Series(configuration.labelNames ?? [], zero);
    super({
      ...configuration,
      collect() {
        this.reset();
        for (const { labels, value } of series.all) this.set(labels, value.value);
      },
    });
    this.#series = series;
  }

  keep(value: number, labels: Labels): void {
    this.#series.of(labels).value = value;
  }
}

interface Distribution {
  /** How many were in each bucket and in none below it; the last one is for what is beyond all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

export class KeptHistogram extends Histogram {
  readonly #bounds: readonly number[];
  readonly #series: Series<Distribution>;
  readonly #about: { readonly name: string; readonly help: string };

  constructor(configuration: HistogramConfiguration<string> & { readonly buckets: number[] }) {
    super(configuration);
    const { buckets, labelNames = [], name, help } = configuration;
    this.#bounds = buckets;
    this.#about = { name, help };
    this.#series = new Series(labelNames, () => ({ counts: new Float64Array(buckets.length + 1), sum: 0 }));
  }

  /** Throws a TypeError for what is no number. */
  keep(value: number, labels: Labels): void {
    if (!Number.isFinite(value)) throw new TypeError(`value: expected a number, got ${String(value)}`);
    const kept = this.#series.of(labels);
    const { counts } = kept;
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket += 1;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    kept.sum += value;
  }

  /** What the library makes its text from. */
  getForPromString(): Promise<object> {
    const { name, help } = this.#about;
    const values = this.#series.all.flatMap(({ labels, value: { counts, sum } }) => {
      let count = 0;
      const buckets = [...counts].map((inBucket, index) => {
        count += inBucket;
        const le = String(this.#bounds[index] ?? '+Inf');
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    });
    return Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values });
  }
}
