/**
 * How often a process writes a record only because its numbers of sessions have changed. The agreement does not depend on
 * these numbers, so what it needs is written without regard to this. Pure but for its memory.
 *
 * @module
 */

/** So many writes a second may be for changed numbers alone, in all records of the process together. */
const WRITES_PER_SECOND = 5;

/** Paces these writes. */
export class CountWrites {
  #nextMs = -Infinity;

  /** From when on there may be another one, monotonic ms. */
  get nextMs(): number {
    return this.#nextMs;
  }

  /** There is one now. */
  written(nowMs: number): void {
    this.#nextMs = nowMs + 1000 / WRITES_PER_SECOND;
  }
}
