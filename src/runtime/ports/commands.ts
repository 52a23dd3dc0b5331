/** A file that the command finds in its folder: bytes, or the path of a file that is copied. */
export type CommandInput = { readonly name: string } & (
  | { readonly bytes: Uint8Array }
  | { readonly path: string }
);

/** A command that runs in a new folder of its own, with nothing of this process's environment but where programs lie. */
export interface CommandRequest {
  /** The program and its arguments; no shell reads them. */
  readonly command: readonly string[];
  /** Files beside the app that are copied into the folder, by path, with the digest that each must have. */
  readonly programFiles: Readonly<Record<string, string>>;
  readonly inputs: readonly CommandInput[];
  /** Files that are read when it has ended. */
  readonly outputs: readonly { readonly name: string; readonly bytesMax: number }[];
  /** It is ended after so long, in milliseconds. */
  readonly timeoutMs: number;
  /** Memory of all its processes together, in bytes. */
  readonly memoryBytesMax: number;
}

export interface CommandOptions {
  /** Ends the command; the promise then rejects with the signal's reason, when all its processes are gone. */
  readonly signal?: AbortSignal;
  /** Called with each line of its standard output that is not too long. */
  readonly onLine?: (line: string) => void;
}

/** How a command ended: by itself, by a signal of somebody, or because it went beyond a limit. */
export type CommandEnd =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'limit'; readonly limit: 'time' | 'memory' | 'output' | 'disk'; readonly text: string };

/** What was found where an output should be. */
export type CommandOutput =
  | { readonly kind: 'read'; readonly bytes: Uint8Array }
  | { readonly kind: 'absent' }
  /** No regular file. */
  | { readonly kind: 'irregular' }
  | { readonly kind: 'too-large'; readonly bytes: number };

export interface CommandResult {
  readonly end: CommandEnd;
  /** Standard output and error as they came, the middle left out where they are long. */
  readonly log: Uint8Array;
  /** By the names of the request. */
  readonly outputs: ReadonlyMap<string, CommandOutput>;
  /** Processor time of its processes that it has waited for, in seconds; null where the system does not tell. */
  readonly cpuSeconds: number | null;
  /** How its memory was limited, in words. */
  readonly memoryLimit: string;
}

/**
 * Commands of other programs, run to their end. However it ends, by itself, by a limit, by the signal or because this
 * process dies, no process of it is left and its folder is removed.
 */
export interface Commands {
  /**
   * Rejects with DEFINITION when there is no such program, with CONFLICT when a file beside the app is not what it was
   * when the app was loaded, and with UNAVAILABLE when what watches over the command was killed.
   */
  run(request: CommandRequest, options?: CommandOptions): Promise<CommandResult>;
}
