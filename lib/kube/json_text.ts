/**
 * A JSON text that arrives in pieces, with bounds on what it may cost before it is parsed: bytes, and values, of which the
 * smallest take 20 times their bytes in memory. Each byte is looked at and copied once, however small the pieces are. Pure.
 *
 * @module
 */

/** Texts are gathered in blocks of this size. The first block is used again for the next text. */
const BLOCK_BYTES = 64 * 1024;

/** More values are refused. An object that the program reads has 100, and a list of some thousand is the most that is usual. */
const MOST_VALUES = 400_000;

/** Gathers the pieces of one text after the other. */
export class JsonText {
  readonly #longestBytes: number;
  readonly #blocks: Uint8Array[] = [];
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
    for (let rest = piece; rest.length > 0;) {
      const at = this.#length % BLOCK_BYTES;
      const block = this.#blocks[(this.#length - at) / BLOCK_BYTES] ??= new Uint8Array(BLOCK_BYTES);
      const part = rest.subarray(0, BLOCK_BYTES - at);
      block.set(part, at);
      this.#length += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** The text that is complete now. The next piece begins another one. */
  take(): string {
    const decoder = new TextDecoder();
    let text = "";
    for (const [i, block] of this.#blocks.entries()) {
      const left = this.#length - i * BLOCK_BYTES;
      text += decoder.decode(block.subarray(0, left), { stream: left > BLOCK_BYTES });
    }
    this.#blocks.splice(1);
    this.#length = this.#values = 0;
    return text;
  }
}

/** Each value but the first of a text comes after one of these. Those within strings count, too. */
const [COMMA, BRACKET, BRACE] = new TextEncoder().encode(",[{");
