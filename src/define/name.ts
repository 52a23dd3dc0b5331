/** Largest length of a name in a definition. */
export const NAME_LENGTH_MAX = 63;

/** Throws a TypeError unless the name can stand in a route, a column and a file: a letter, then letters, digits and `_`. */
export function assertName(what: string, name: string): void {
  if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(name) || name.length > NAME_LENGTH_MAX) {
    throw new TypeError(
      `The name of a ${what} is a letter followed by letters, digits or _, at most ${String(NAME_LENGTH_MAX)}; ` +
        `got '${name}'`,
    );
  }
}

/** Throws a TypeError when two names differ only by case: columns of a dataset do not tell such names apart. */
export function assertDistinct(what: string, names: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const other = seen.get(name.toLowerCase());
    if (other !== undefined)
      throw new TypeError(`${what}: the names '${other}' and '${name}' are the same but for case`);
    seen.set(name.toLowerCase(), name);
  }
}
