/** A method as it was before it was planted over. */
export function originalOf<TOwner extends object, TName extends keyof TOwner>(
  owner: TOwner,
  name: TName,
): TOwner[TName] {
  return owner[name];
}
