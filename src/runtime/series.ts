type Labels = Readonly<Record<string, string>>;

/** The values of one metric, by the values of its labels. */
export class Series<TValue> {
  readonly #names: readonly string[];
  readonly #make: () => TValue;
  /** One level for each label. */
  readonly #root: Level<TValue>;
  readonly #all: { readonly labels: Labels; readonly value: TValue }[] = [];

  /** Without labels there is one value, from the beginning. */
  constructor(names: readonly string[], make: () => TValue) {
    this.#names = names;
    this.#make = make;
    this.#root = new Map();
    if (names.length === 0) this.of({});
  }

  /** The value that belongs to these labels, made at their first use. Throws a TypeError for a label that the metric does not have. */
  of(labels: Labels): TValue {
    const names = this.#names;
    let level = this.#root;
    for (let depth = 0; depth < names.length - 1; depth += 1) {
      const text = labels[names[depth] ?? ''] ?? '';
      let next = level.get(text) as Level<TValue> | undefined;
      if (next === undefined) level.set(text, (next = new Map()));
      level = next;
    }
    const last = labels[names[names.length - 1] ?? ''] ?? '';
    return (level.get(last) as TValue | undefined) ?? this.#add(level, last, labels);
  }

  /** Every value with its labels, in the order of their first use. */
  get all(): readonly { readonly labels: Labels; readonly value: TValue }[] {
    return this.#all;
  }

  #add(level: Level<TValue>, last: string, labels: Labels): TValue {
    const unknown = Object.keys(labels).find((name) => !this.#names.includes(name));
    if (unknown !== undefined) {
      throw new TypeError(`label: expected ${this.#names.join(', ') || 'none'}, got '${unknown}'`);
    }
    const value = this.#make();
    level.set(last, value);
    this.#all.push({ labels: { ...labels }, value });
    return value;
  }
}

type Level<TValue> = Map<string, TValue | Map<string, unknown>>;
