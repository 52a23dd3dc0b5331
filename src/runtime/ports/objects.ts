/** Where an object came to lie. */
export interface ObjectReference {
  /** `sha256:` and 64 hexadecimal digits of the bytes. It is the address. */
  readonly digest: string;
  readonly bytes: number;
}

/** Immutable bytes addressed by their digest. A digest is verified whenever bytes are read. */
export interface Objects {
  put(bytes: Uint8Array): Promise<ObjectReference>;
  /** Stores the file's bytes; the file itself stays where it is. */
  putFile(path: string): Promise<ObjectReference>;
  /** Rejects with OBJECT_NOT_FOUND. */
  get(digest: string): Promise<Uint8Array>;
  has(digest: string): Promise<boolean>;
  /** Path of a local file with the object's bytes, valid until the process ends. Rejects with OBJECT_NOT_FOUND. */
  path(digest: string): Promise<string>;
  /** Removing what is not there is no error. */
  remove(digest: string): Promise<void>;
}
