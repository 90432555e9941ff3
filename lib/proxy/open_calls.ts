/**
 * Which calls an HTTP/2 client has open, in little memory. Pure.
 *
 * @module
 */

/**
 * Calls that may be open at a time before there is a server. A BuildKit client has a few; each costs memory and an
 * answer. The limit is not announced to the client (SETTINGS_MAX_CONCURRENT_STREAMS): it would stay in force if the
 * daemon then announced none.
 */
export const OPEN_CALLS_LIMIT = 1_000;

/**
 * The streams of open calls. Ids only grow (RFC 9113, section 5.1.1), so they lie sorted in an array, which needs a
 * quarter of a set's memory: thousands of holds may have a thousand calls each.
 */
export class OpenCalls {
  #streams: number[] = [];
  #last = 0;

  /** Lowest first. */
  get all(): readonly number[] {
    return this.#streams;
  }

  /** True while the call is open. */
  has(stream: number): boolean {
    return this.#streams[this.#indexOf(stream)] === stream;
  }

  /** HEADERS have come. Those of a stream that was there before are trailers. */
  open(stream: number): void {
    if (stream <= this.#last) return;
    this.#last = stream;
    // V8 makes room for 17 where one is pushed to an empty array.
    if (this.#streams.length === 0) this.#streams = [stream];
    else this.#streams.push(stream);
  }

  /** The client has given the call up. */
  close(stream: number): void {
    if (this.has(stream)) this.#streams.splice(this.#indexOf(stream), 1);
  }

  /** Of the first stream that is not below `stream`. */
  #indexOf(stream: number): number {
    let from = 0;
    let to = this.#streams.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#streams[middle]! < stream) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
