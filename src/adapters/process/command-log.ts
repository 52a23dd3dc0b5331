/** What a command printed: the beginning and the end, and how much was left out between. */
export class CommandLog {
  readonly #headMax: number;
  readonly #tailMax: number;
  readonly #head: Buffer[] = [];
  #tail: Buffer[] = [];
  #headBytes = 0;
  #tailBytes = 0;
  #total = 0;

  /** Both in bytes. */
  constructor(headMax: number, tailMax: number) {
    this.#headMax = headMax;
    this.#tailMax = tailMax;
  }

  /** Bytes that came. */
  get total(): number {
    return this.#total;
  }

  add(chunk: Buffer): void {
    this.#total += chunk.length;
    const first = chunk.subarray(0, this.#headMax - this.#headBytes);
    if (first.length > 0) {
      this.#head.push(Buffer.from(first));
      this.#headBytes += first.length;
    }
    const rest = chunk.subarray(first.length);
    if (rest.length === 0) return;
    this.#tail.push(Buffer.from(rest));
    this.#tailBytes += rest.length;
    // Now and then, so that each byte is copied once or twice and not with every chunk.
    if (this.#tailBytes > 2 * this.#tailMax) this.#cut();
  }

  bytes(): Uint8Array {
    this.#cut();
    const missing = this.#total - this.#headBytes - this.#tailBytes;
    const note = missing === 0 ? '' : `\n[... ${String(missing)} bytes left out ...]\n`;
    return new Uint8Array(Buffer.concat([...this.#head, Buffer.from(note), ...this.#tail]));
  }

  #cut(): void {
    if (this.#tailBytes <= this.#tailMax) return;
    this.#tail = [Buffer.concat(this.#tail).subarray(-this.#tailMax)];
    this.#tailBytes = this.#tailMax;
  }
}

/** Cuts a stream of bytes into lines; a line that is too long is left out. */
export class Lines {
  readonly #lengthMax: number;
  readonly #take: (line: string) => void;
  #pieces: Buffer[] = [];
  #length = 0;

  /** `lengthMax` is in bytes. */
  constructor(lengthMax: number, take: (line: string) => void) {
    this.#lengthMax = lengthMax;
    this.#take = take;
  }

  add(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      this.#keep(chunk.subarray(from, end));
      if (this.#length <= this.#lengthMax) this.#take(Buffer.concat(this.#pieces).toString());
      this.#pieces = [];
      this.#length = 0;
      from = end + 1;
    }
    this.#keep(chunk.subarray(from));
  }

  #keep(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length <= this.#lengthMax) this.#pieces.push(piece);
    else this.#pieces = [];
  }
}
