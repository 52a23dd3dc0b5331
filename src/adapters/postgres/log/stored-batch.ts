import type { RecordBatch, RecordBody } from '../../../runtime/ports/index.ts';
import type { Frame } from './frame.ts';

/** What is known of a stored batch besides its records. */
type BatchFacts = Required<Pick<RecordBatch, 'partition' | 'base' | 'appendedAt' | 'traceparents'>>;

/** A batch as the port hands it out. */
export class StoredBatch implements RecordBatch {
  readonly partition: number;
  readonly base: number;
  readonly appendedAt: number;
  readonly traceparents: readonly string[];
  readonly #frame: Frame;

  constructor(facts: BatchFacts, frame: Frame) {
    this.partition = facts.partition;
    this.base = facts.base;
    this.appendedAt = facts.appendedAt;
    this.traceparents = facts.traceparents;
    this.#frame = frame;
  }

  get count(): number {
    return this.#frame.count;
  }

  get body(): RecordBody {
    return this.#frame.body;
  }

  record(index: number): Uint8Array {
    return this.#frame.record(index);
  }
}

/** A read ends with the batch in which its records reach this many bytes. */
export const READ_BYTES_MAX: number = 16 * 1_048_576;

/** The traces of a batch as they are stored: `traceparent` headers with spaces between them. */
export function tracesOf(text: string | null): readonly string[] {
  return text === null || text === '' ? NO_TRACES : text.split(' ');
}

const NO_TRACES: readonly string[] = [];
