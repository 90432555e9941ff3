/**
 * A small file that another program replaces from time to time, such as a service account's token. Its content is
 * cached for a few seconds.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { CauseLog, type Log } from "../base/log.ts";
import { type Machine, readFault } from "./machine.ts";

/** How long the content is cached, in ms from the read. A token is replaced well before it expires. */
export const MAX_FILE_AGE_MS = 10_000;

/** What a {@link CachedFile} is made of. */
export interface CachedFileOptions {
  /** The file. */
  readonly path: string;
  /** What the file is, for messages: `token file`. */
  readonly what: string;
  /** Says what is wrong with the content, as `found …, want …`, or `undefined` if it is good. */
  readonly fault: (text: string) => string | undefined;
  /** Reads the file. */
  readonly machine: Machine;
  /** Measures the age of the content. */
  readonly clock: Clock;
  /** Told when a file can no longer be read. */
  readonly log: Log;
}

/** The trimmed content of a file. */
export class CachedFile {
  readonly #options: CachedFileOptions;
  readonly #unreadable: CauseLog;
  #last: { readonly text: string; readonly readAtMs: number } | undefined;
  #refused = false;

  /** Reads nothing yet. */
  constructor(options: CachedFileOptions) {
    this.#options = options;
    this.#unreadable = new CauseLog(options.log, "credential_file_unreadable");
  }

  /**
   * The content. If the file can no longer be read, this is its last content until {@link refresh} is called: the file
   * may be missing while it is replaced, and its last content is usually still valid.
   *
   * @throws Error that names the file
   */
  async read(): Promise<string> {
    const { path, what, fault, machine, clock } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#last !== undefined && !this.#refused && nowMs - this.#last.readAtMs < MAX_FILE_AGE_MS) {
      return this.#last.text;
    }
    try {
      const text = (await machine.readText(path).catch((error) => {
        throw new Error(readFault(error), { cause: error });
      })).trim();
      const found = fault(text);
      if (found !== undefined) throw new Error(found);
      this.#last = { text, readAtMs: nowMs };
      this.#refused = false;
      this.#unreadable.succeeded();
      return text;
    } catch (error) {
      if (this.#last === undefined || this.#refused) {
        throw new Error(`Cannot use the ${what} "${path}": ${(error as Error).message}`, { cause: error });
      }
      this.#unreadable.failed((error as Error).message, { path });
      return this.#last.text;
    }
  }

  /** Makes the next {@link read} read the file, or fail. */
  refresh(): void {
    this.#refused = true;
  }
}
