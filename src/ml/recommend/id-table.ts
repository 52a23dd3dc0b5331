/** Name of a user or an item outside: a string, or a whole number. `1` and `'1'` are two names. */
export type Id = string | number;

/** Users, and items, of one table. A Map of JavaScript holds 2^24 entries. */
export const IDS_MAX = 16_000_000;
/** Characters of one id. */
export const ID_LENGTH_MAX = 512;

/**
 * The ids of users or of items, each with a dense index from 0. Ids keep their index for ever: a longer table
 * made by {@link IdTable.with} appends.
 */
export class IdTable {
  readonly ids: readonly Id[];
  readonly #indices: ReadonlyMap<Id, number>;

  private constructor(ids: readonly Id[], indices: ReadonlyMap<Id, number>) {
    this.ids = ids;
    this.#indices = indices;
  }

  /**
   * A table of these ids in the order of their first appearance.
   *
   * @throws RangeError on an id that is neither a safe integer nor a string of 1 to {@link ID_LENGTH_MAX}
   *   characters, or on more than {@link IDS_MAX}.
   */
  static of(ids: ArrayLike<Id>): IdTable {
    return new IdTable([], new Map()).with(ids);
  }

  /**
   * A table of the ids of this one, then those of the given ones that are new, in the order of their first
   * appearance. This table stays as it is.
   *
   * @throws RangeError as {@link IdTable.of}.
   */
  with(ids: ArrayLike<Id>): IdTable {
    let fresh = 0;
    for (let position = 0; position < ids.length; position += 1)
      if (!this.#indices.has(ids[position] as Id)) fresh += 1;
    if (fresh === 0) return this;
    const known = [...this.ids];
    const indices = new Map(this.#indices);
    for (let position = 0; position < ids.length; position += 1) {
      const id = ids[position] as Id;
      if (indices.has(id)) continue;
      checkId(id, position);
      if (known.length === IDS_MAX) throw new RangeError(`A table has ${IDS_MAX} ids at most`);
      indices.set(id, known.length);
      known.push(id);
    }
    return new IdTable(known, indices);
  }

  get size(): number {
    return this.ids.length;
  }

  /** The index of an id, or undefined when it is not in the table. */
  indexOf(id: Id): number | undefined {
    return this.#indices.get(id);
  }
}

function checkId(id: unknown, position: number): void {
  const sound =
    typeof id === 'string' ? id.length > 0 && id.length <= ID_LENGTH_MAX : Number.isSafeInteger(id);
  if (sound) return;
  const came = typeof id === 'string' ? `a string of ${id.length}` : String(id);
  throw new RangeError(
    `Id ${position} must be a safe integer or a string of 1 to ${ID_LENGTH_MAX} characters, not ${came}`,
  );
}
