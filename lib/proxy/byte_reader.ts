/**
 * The two ways in which binary formats are read here: bytes that are all there (`ByteReader`), and a few bytes of a known
 * number that may come one by one (`Gathered`). Pure.
 *
 * @module
 */

/** The bytes are not what the format wants. */
export class FormatError extends Error {
  /** Always `FormatError`. */
  override readonly name = "FormatError";
}

/** What `parse` returns; undefined if it throws a {@link FormatError}. */
export function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Reads bytes from the first to the last, and never beyond them. Numbers have their highest byte first. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** Begins at the first byte. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes that were not read yet. */
  get leftBytes(): number {
    return this.#bytes.byteLength - this.#at;
  }

  /** The next bytes. @throws FormatError if there are not so many */
  take(count: number): Uint8Array {
    if (count > this.leftBytes) throw new FormatError(`found ${this.leftBytes} bytes, want ${count}`);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** A number of one to three bytes. @throws FormatError if there are not so many bytes */
  number(bytes = 1): number {
    if (bytes > this.leftBytes) throw new FormatError(`found ${this.leftBytes} bytes, want ${bytes}`);
    let value = 0;
    // Without a view of the bytes, which takes ten times as long as the number.
    for (const end = this.#at + bytes; this.#at < end; this.#at++) {
      value = value << 8 | this.#bytes[this.#at]!;
    }
    return value;
  }

  /** What comes after its own length, a number of one to three bytes. @throws FormatError if it is cut short */
  prefixed(lengthBytes: number): ByteReader {
    return new ByteReader(this.take(this.number(lengthBytes)));
  }
}

/** A known number of bytes, as far as they have come. */
export class Gathered {
  readonly #bytes: Uint8Array;
  #count = 0;

  /** Wants so many bytes. */
  constructor(sizeBytes: number) {
    this.#bytes = new Uint8Array(sizeBytes);
  }

  /** True once they are all there. */
  get isWhole(): boolean {
    return this.#count === this.#bytes.byteLength;
  }

  /** The bytes; those that have not come yet are zero or old. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Takes what is missing from the start of `bytes`. Returns how many bytes that were. */
  take(bytes: Uint8Array): number {
    const part = bytes.subarray(0, this.#bytes.byteLength - this.#count);
    this.#bytes.set(part, this.#count);
    this.#count += part.byteLength;
    return part.byteLength;
  }

  /** Wants them anew. */
  clear(): void {
    this.#count = 0;
  }
}
