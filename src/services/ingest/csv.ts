import { isAscii } from 'node:buffer';
import { textOf } from './body.ts';

/** A row of cells, or the bytes of one that cannot be read. */
export type Row =
  | { readonly cells: readonly string[]; readonly bytes: Buffer; readonly broken?: undefined }
  | {
      readonly bytes: Buffer;
      readonly size: number;
      readonly broken: 'NOT_CSV' | 'TOO_LARGE';
      readonly reason: string;
    };

const QUOTE = 0x22;
const COMMA = 0x2c;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NONE: Buffer = Buffer.alloc(0);

/** A line that is too long and is being skipped: its first bytes and how long it was so far. */
interface LongLine {
  readonly kept: Buffer;
  size: number;
}

/** Why the quotes of a row are wrong; `MORE`: its end has not come yet. */
type Fault = 'MORE' | 'OPENING' | 'CLOSING' | 'UNCLOSED';

const REASONS: Readonly<Record<Exclude<Fault, 'MORE'>, string>> = {
  OPENING: 'a quote stands inside a cell that does not begin with one',
  CLOSING: 'something other than a comma or a line end follows a closing quote',
  UNCLOSED: 'a quote is not closed, or not within the largest size of a row',
};

/**
 * Cuts a stream of bytes into the rows of RFC 4180: commas, double quotes doubled inside quotes, LF or CRLF. It holds at
 * most one row of `rowBytesMax` bytes.
 *
 * A row with a broken quote is given back as far as its first line goes, and reading goes on with the next line. A
 * parser that only knows quotes must take everything up to the next quote for one cell, and so loses good rows.
 */
export class RowCutter {
  readonly #rowBytesMax: number;
  #bytes: Buffer = NONE;
  #ascii = true;
  #at = 0;
  /** Where the next quote is; rows that end before it need no look at their quotes. */
  #quoteAt = -1;
  #final = false;
  #long: LongLine | undefined;

  constructor(rowBytesMax: number) {
    this.#rowBytesMax = rowBytesMax;
  }

  /** Takes the next piece; all rows of the one before must have been taken. */
  push(piece: Buffer): void {
    const rest = this.#bytes.subarray(this.#at);
    this.#bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    this.#ascii = isAscii(this.#bytes);
    this.#at = 0;
    this.#quoteAt = -1;
  }

  /** Says that no piece follows: rows without an end are now complete. */
  end(): void {
    this.#final = true;
  }

  /** The next row that is not blank, or `undefined` when more bytes are needed. */
  next(): Row | undefined {
    for (;;) {
      if (this.#long !== undefined) return this.#skip(this.#long);
      // A search costs more than a byte: empty lines are passed without one.
      while (this.#bytes[this.#at] === LINE_FEED) this.#at += 1;
      const start = this.#at;
      if (start >= this.#bytes.length) return undefined;
      const lineEnd = this.#lineEnd(start);
      const ended = lineEnd < this.#bytes.length || this.#final;
      let row: Row | 'MORE' | undefined = 'MORE';
      if (this.#nextQuote(start) < lineEnd) row = this.#quotedRow(start, lineEnd);
      else if (ended) row = this.#plainRow(start, lineEnd);
      if (row === 'MORE') {
        if (ended || !this.#outgrown(start)) return undefined;
        // A line without an end that is longer than a row may be.
        this.#long = { kept: Buffer.from(this.#bytes.subarray(start, start + this.#rowBytesMax)), size: 0 };
      } else if (row !== undefined) {
        return row;
      }
    }
  }

  #plainRow(start: number, lineEnd: number): Row | undefined {
    const bytes = this.#line(start, lineEnd);
    this.#at = lineEnd + 1;
    if (bytes.length === 0) return undefined;
    if (bytes.length > this.#rowBytesMax) return this.#tooLarge(bytes, lineEnd - start);
    return { cells: textOf(bytes, this.#ascii).split(','), bytes };
  }

  #quotedRow(start: number, lineEnd: number): Row | 'MORE' {
    const cells: string[] = [];
    let at = start;
    for (;;) {
      const end =
        this.#bytes[at] === QUOTE ? this.#quotedCell(at, cells) : this.#plainCell(at, lineEnd, cells);
      if (typeof end === 'string') return this.#fault(end, start, lineEnd);
      if (this.#bytes[end] === COMMA) {
        at = end + 1;
        continue;
      }
      const rowEnd = this.#bytes[end] === CARRIAGE_RETURN && end + 1 < this.#bytes.length ? end + 1 : end;
      const bytes = this.#line(start, rowEnd);
      if (bytes.length > this.#rowBytesMax) return this.#fault('UNCLOSED', start, lineEnd);
      this.#at = rowEnd + 1;
      return { cells, bytes };
    }
  }

  /** Reads the cell whose opening quote is at `at` and returns where its comma or line end is. */
  #quotedCell(at: number, cells: string[]): number | Fault {
    const bytes = this.#bytes;
    let doubled = false;
    for (let from = at + 1; ;) {
      const quote = bytes.indexOf(QUOTE, from);
      if (quote === -1) return this.#final ? 'UNCLOSED' : 'MORE';
      if (bytes[quote + 1] === QUOTE) {
        doubled = true;
        from = quote + 2;
        continue;
      }
      const end = quote + 1;
      if (end === bytes.length && !this.#final) return 'MORE';
      if (!this.#endsCell(end)) return end + 1 === bytes.length && !this.#final ? 'MORE' : 'CLOSING';
      const text = textOf(bytes.subarray(at + 1, quote), this.#ascii);
      cells.push(doubled ? text.replaceAll('""', '"') : text);
      return end;
    }
  }

  #endsCell(at: number): boolean {
    const byte = this.#bytes[at];
    if (byte === undefined || byte === COMMA || byte === LINE_FEED) return true;
    if (byte !== CARRIAGE_RETURN) return false;
    return this.#bytes[at + 1] === LINE_FEED || (this.#final && at + 1 === this.#bytes.length);
  }

  /** Reads the cell without quotes at `at` and returns where its comma or line end is. */
  #plainCell(at: number, lineEnd: number, cells: string[]): number | Fault {
    const bytes = this.#bytes;
    // The row may have gone on to another line within quotes.
    const stop = at <= lineEnd ? lineEnd : this.#lineEnd(at);
    // Within the line only: a body without commas must not be searched to its end for each cell.
    const comma = bytes.subarray(at, stop).indexOf(COMMA);
    const end = comma === -1 ? stop : at + comma;
    if (this.#nextQuote(at) < end) return 'OPENING';
    if (end === bytes.length && !this.#final) return 'MORE';
    cells.push(textOf(comma === -1 ? this.#line(at, end) : bytes.subarray(at, end), this.#ascii));
    return end;
  }

  #fault(fault: Fault, start: number, lineEnd: number): Row | 'MORE' {
    // Reading goes back: quotes that were passed count again.
    this.#quoteAt = -1;
    if (fault === 'MORE' && !this.#outgrown(start)) return 'MORE';
    // The first line must be whole to be given back.
    if (lineEnd === this.#bytes.length && !this.#final) return 'MORE';
    const bytes = this.#line(start, lineEnd);
    this.#at = lineEnd + 1;
    if (bytes.length > this.#rowBytesMax) return this.#tooLarge(bytes, lineEnd - start);
    return {
      bytes,
      size: bytes.length,
      broken: 'NOT_CSV',
      reason: REASONS[fault === 'MORE' ? 'UNCLOSED' : fault],
    };
  }

  /** Whether a row without an end so far is too long, even if a CR and a line feed should be all that is missing. */
  #outgrown(start: number): boolean {
    return this.#bytes.length - start > this.#rowBytesMax + 1;
  }

  /** Skips to the end of a line that is too long. */
  #skip(long: LongLine): Row | undefined {
    const end = this.#lineEnd(this.#at);
    const ended = end < this.#bytes.length;
    long.size += end - this.#at;
    this.#at = ended ? end + 1 : end;
    if (!ended && !this.#final) return undefined;
    this.#long = undefined;
    return this.#tooLarge(long.kept, long.size);
  }

  #tooLarge(bytes: Buffer, size: number): Row {
    const reason = `a row has at most ${String(this.#rowBytesMax)} bytes`;
    return { bytes: bytes.subarray(0, this.#rowBytesMax), size, broken: 'TOO_LARGE', reason };
  }

  /** The bytes up to a line end, without the CR before it. */
  #line(start: number, end: number): Buffer {
    const last = end > start && this.#bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    return this.#bytes.subarray(start, last);
  }

  /** Position of the line feed from `from` on; the end of the bytes when there is none. */
  #lineEnd(from: number): number {
    const found = this.#bytes.indexOf(LINE_FEED, from);
    return found === -1 ? this.#bytes.length : found;
  }

  #nextQuote(from: number): number {
    if (this.#quoteAt < from) {
      const found = this.#bytes.indexOf(QUOTE, from);
      this.#quoteAt = found === -1 ? Number.POSITIVE_INFINITY : found;
    }
    return this.#quoteAt;
  }
}
