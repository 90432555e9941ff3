/**
 * A small file that another program replaces from time to time, such as a service account's token: read again before
 * use, but not for every request.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { CauseLog, type Log } from "../base/log.ts";
import { type Machine, readFault } from "./machine.ts";

/** How old what was read may be, in ms of monotonic time from the read. A token is replaced well before it expires. */
export const MAX_FILE_AGE_MS = 10_000;

/** What a {@link CachedFile} reads, and through what. */
export interface CachedFileOptions {
  /** The file. */
  readonly path: string;
  /** What it is, for messages: `token file`. */
  readonly what: string;
  /** What is wrong with a content, as `found …, want …`; `undefined` when nothing is. */
  readonly fault: (text: string) => string | undefined;
  /** Where the file is. */
  readonly machine: Machine;
  /** For its age. */
  readonly clock: Clock;
  /** For a file that was there and can no longer be read. */
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
   * The content. A file that can no longer be read gives its last content until {@link refresh} is called: it may be
   * away for the moment of its replacement, and what it said is good for longer.
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

  /** The next {@link read} reads the file, and fails if it cannot. */
  refresh(): void {
    this.#refused = true;
  }
}
