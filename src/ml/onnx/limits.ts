/** Bounds on a model file that is read. A file beyond one of them is refused with a `MalformedModel`. */
export interface ReadLimits {
  /** Bytes of the file. Default 256 MiB. */
  readonly bytesMax: number;
  /** Messages within messages. Default 16; the models written here need 5. */
  readonly depthMax: number;
  /** Fields and list elements in the whole file. Default 50 million: 4.5 million tree nodes. */
  readonly elementsMax: number;
}

export const READ_LIMITS: ReadLimits = {
  bytesMax: 256 * 1024 * 1024,
  depthMax: 16,
  elementsMax: 50_000_000,
};

/** Numbers or texts in an input row of a model that is evaluated in process. */
export const INPUT_COLUMNS_MAX: number = 2 ** 20;
