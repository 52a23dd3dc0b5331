/** Why a thread is gone: it threw, its heap was full, or it ended otherwise. */
export type ThreadEndReason = 'THREAD_THREW' | 'THREAD_OUT_OF_MEMORY' | 'THREAD_EXITED';

/** The end of a thread that nobody stopped. */
export interface ThreadEnd {
  readonly reason: ThreadEndReason;
  /** In words, for the log. */
  readonly error: unknown;
}

export interface ThreadOptions {
  /** What it begins with: structured-cloneable. */
  readonly input: unknown;
  /** Called with each message that it posts, in order. */
  readonly onMessage: (message: unknown) => void;
  /** Called once if it ends without {@link Thread.stop}; nothing that was posted to it is done then. */
  readonly onEnd: (end: ThreadEnd) => void;
}

/** A thread of its own that keeps something in memory and takes messages in the order in which they are posted. */
export interface Thread {
  /**
   * Hands over a structured-cloneable message, and buffers without copying them. It never waits: whoever posts bounds what is
   * under way. After the end it does nothing.
   */
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Ends it at whatever it does. */
  stop(): Promise<void>;
}

/**
 * State that would hold up a service's thread, kept beside it for as long as the process runs. {@link Compute} is for work that
 * ends. Modules are named by the composition root; each exports `start(input, context)`, a {@link ThreadModule}.
 */
export interface Threads {
  start(module: string, options: ThreadOptions): Thread;
}

/** What the module of a thread has of the world. */
export interface ThreadContext {
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Resolves when messages that wait have had their turn. */
  turn(): Promise<void>;
}

/**
 * The module of a thread. What `start` returns takes the messages, each as soon as the one before has returned or awaits something;
 * when it throws or rejects, the thread ends.
 */
export interface ThreadModule {
  start(input: unknown, context: ThreadContext): (message: unknown) => Promise<void>;
}
