import { isAscii } from 'node:buffer';
import { trim } from './body.ts';

/** A line without its end and without white space around it; never empty. */
export interface Line {
  /** A view into the piece it came in. Of a line that is too long: as many bytes as a record may have. */
  readonly bytes: Buffer;
  /** How long it was, in bytes. */
  readonly size: number;
  /** Whether all its bytes are known to be ASCII. */
  readonly ascii: boolean;
}

const LINE_FEED = 0x0a;
const NONE: Buffer = Buffer.alloc(0);

/** Cuts a stream of bytes into lines, holding at most one line of `lineBytesMax` bytes. */
export class LineCutter {
  readonly #lineBytesMax: number;
  #piece: Buffer = NONE;
  #ascii = true;
  #at = 0;
  /** The beginning of a line whose end has not come yet. */
  #held: Buffer = NONE;
  /** How many bytes of that line were let go because it is too long. */
  #dropped = 0;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Takes the next piece; all lines of the one before must have been taken. */
  push(piece: Buffer): void {
    this.#piece = piece;
    this.#ascii = isAscii(piece);
    this.#at = 0;
  }

  /** The next line that is not blank, or `undefined` when more bytes are needed. */
  next(): Line | undefined {
    for (;;) {
      // A search costs more than a byte: empty lines are passed without one.
      while (this.#held.length === 0 && this.#piece[this.#at] === LINE_FEED) this.#at += 1;
      const end = this.#piece.indexOf(LINE_FEED, this.#at);
      if (end === -1) {
        this.#hold(this.#piece.subarray(this.#at));
        this.#piece = NONE;
        this.#at = 0;
        return undefined;
      }
      const line = this.#cut(this.#at, end);
      this.#at = end + 1;
      if (line !== undefined) return line;
    }
  }

  /** The last line, when the body did not end with a line end. */
  end(): Line | undefined {
    this.#hold(this.#piece.subarray(this.#at));
    this.#piece = NONE;
    this.#at = 0;
    return this.#cut(0, 0);
  }

  #cut(from: number, to: number): Line | undefined {
    let bytes: Buffer;
    let ascii = this.#ascii;
    if (this.#held.length === 0 && to - from <= this.#lineBytesMax) {
      bytes = trim(this.#piece, from, to);
    } else {
      this.#hold(this.#piece.subarray(from, to));
      bytes = trim(this.#held);
      ascii = false;
    }
    const size = bytes.length + this.#dropped;
    this.#held = NONE;
    this.#dropped = 0;
    return size === 0 ? undefined : { bytes, size, ascii };
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const room = this.#lineBytesMax - this.#held.length;
    // One byte more than a record may have would do to know that it is too long; its true size is worth telling.
    const kept = bytes.subarray(0, room);
    this.#dropped += bytes.length - kept.length;
    if (kept.length > 0) this.#held = this.#held.length === 0 ? kept : Buffer.concat([this.#held, kept]);
  }
}
