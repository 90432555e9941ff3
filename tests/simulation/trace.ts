/**
 * What has happened in a run, line by line: a hash of all lines, and the last of them for a failure.
 *
 * @module
 */

/** So many lines are kept at least. */
const LINES_KEPT = 400;

/** FNV-1a. */
const HASH_START = 0x811c9dc5;

/** The trace of one run. */
export class Trace {
  /** The last lines. */
  readonly lines: string[] = [];
  #hash = HASH_START;
  readonly #print: ((line: string) => void) | undefined;

  /** `print` gets each line. */
  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  /** The hash of all lines. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  /** One line more. */
  add(line: string): void {
    this.#hash = hashOf(line, this.#hash);
    this.#print?.(line);
    this.lines.push(line);
    if (this.lines.length > 2 * LINES_KEPT) this.lines.splice(0, LINES_KEPT);
  }
}

/** A number for a text. */
export function hashOf(text: string, start = HASH_START): number {
  let value = start;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}
