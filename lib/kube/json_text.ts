/**
 * A JSON text that arrives in pieces, with bounds on what it may cost before it is parsed: bytes, and values, of which the
 * smallest take 20 times their bytes in memory. Each byte is looked at once and copied a few times, however small the
 * pieces are. Pure.
 *
 * @module
 */

/** Room for a piece, in bytes. Grows by doubling; what has grown beyond it is given back after the text. */
const ROOM_BYTES = 64 * 1024;

/** More values are refused. An object that the program reads has 100, and a list of some thousand is the most that is usual. */
const MOST_VALUES = 400_000;

const decoder = new TextDecoder();

/** Gathers the pieces of one text after the other. */
export class JsonText {
  readonly #longestBytes: number;
  #bytes = new Uint8Array(ROOM_BYTES);
  #length = 0;
  #values = 0;

  /** For texts of that length at most. */
  constructor(longestBytes: number) {
    this.#longestBytes = longestBytes;
  }

  /** Takes the next piece. @throws Error when the text becomes too long, or has too many values */
  add(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (length > this.#longestBytes) throw new Error(`it is longer than ${this.#longestBytes} bytes`);
    for (const byte of piece) if (byte === COMMA || byte === BRACKET || byte === BRACE) this.#values++;
    if (this.#values > MOST_VALUES) throw new Error(`it has more than ${MOST_VALUES} values`);
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.#longestBytes, Math.max(length, 2 * this.#bytes.length)));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  /** The text that is complete now. The next piece begins another one. */
  take(): string {
    const text = decoder.decode(this.#bytes.subarray(0, this.#length));
    if (this.#bytes.length > ROOM_BYTES) this.#bytes = new Uint8Array(ROOM_BYTES);
    this.#length = this.#values = 0;
    return text;
  }
}

/** Each value but the first of a text comes after one of these. Those within strings count, too. */
const [COMMA, BRACKET, BRACE] = new TextEncoder().encode(",[{");
