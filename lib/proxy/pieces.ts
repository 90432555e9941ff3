/**
 * What a hold keeps bytes in: in order, and in little more memory than they need. Pure.
 *
 * @module
 */

/** The first block: thousands of sessions may be held, and few openings are larger (those of `earth` have 307 bytes). */
const SMALLEST_BLOCK_BYTES = 320;

/** The largest block: the last one may be all but empty. */
const LARGEST_BLOCK_BYTES = 4 * 1024;

const NO_BYTES = new Uint8Array();

/**
 * Bytes in order. They are copied into blocks, each twice as large as the one before: a buffer costs some hundred bytes of
 * its own, and a client may send its bytes one by one.
 */
export class Pieces {
  #whole: Uint8Array[] = [];
  #block = NO_BYTES;
  #usedBytes = 0;

  /** Adds a copy of some bytes at the end. */
  push(bytes: Uint8Array): void {
    for (let rest = bytes; rest.byteLength > 0;) {
      if (this.#usedBytes === this.#block.byteLength) this.#grow();
      const part = rest.subarray(0, this.#block.byteLength - this.#usedBytes);
      this.#block.set(part, this.#usedBytes);
      this.#usedBytes += part.byteLength;
      rest = rest.subarray(part.byteLength);
    }
  }

  /** Takes out all of them. */
  take(): Uint8Array[] {
    this.#close();
    const all = this.#whole;
    this.#whole = [];
    return all;
  }

  #grow(): void {
    const nextBytes = Math.min(
      LARGEST_BLOCK_BYTES,
      Math.max(SMALLEST_BLOCK_BYTES, 2 * this.#block.byteLength),
    );
    this.#close();
    this.#block = new Uint8Array(nextBytes);
  }

  #close(): void {
    if (this.#usedBytes > 0) this.#whole.push(this.#block.subarray(0, this.#usedBytes));
    this.#block = NO_BYTES;
    this.#usedBytes = 0;
  }
}
