/**
 * Waits until it is known what a held client's first bytes say of its session, or will not be known. Until then the
 * session wakes no builder: it may only watch the history of builds. It does not read or parse itself.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import type { Caller } from "../target/seats.ts";

/** A client that sends nothing is taken for one that needs a pod after this long, in ms. */
const SILENT_MS = 200;

/**
 * From a client's first bytes to its first call, in ms. The call comes one round trip after our SETTINGS frame; a client
 * that makes none in this time is served without knowing more.
 */
const FIRST_CALL_MS = 1_000;

/** What is known of a client: what its first bytes say, that they say nothing, or nothing yet. */
export type Words = Caller | "none" | undefined;

/** Waits for the words of one client. */
export class Introduction {
  readonly #clock: Clock;
  readonly #tell: (caller: Caller | undefined) => void;
  #cancelTimer: CancelTimer = () => {};
  #started = false;
  #wakes = false;
  #spoke = false;
  /** What it was told to want. */
  #told: Caller["purpose"] | "unknown" | undefined;
  #over = false;

  /** Tells `tell` once, and again when the client turns out to want something else; never after `end`. */
  constructor(clock: Clock, tell: (caller: Caller | undefined) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** The client is held, and this is known so far. `wakes`: it need not say anything to be served. */
  start(words: Words, spoke: boolean, wakes: boolean): void {
    if (this.#started) return;
    this.#started = true;
    this.#wakes = wakes;
    if (spoke) this.heard(words);
    else if (wakes) this.#limit(SILENT_MS);
  }

  /** The client has sent something, and this is known now. */
  heard(words: Words): void {
    if (!this.#started || this.#over) return;
    if (this.#told !== undefined) {
      if (typeof words === "object" && words.purpose !== this.#told) this.#finish(words);
      return;
    }
    if (words !== undefined) return this.#finish(words === "none" ? undefined : words);
    if (!this.#spoke) this.#limit(FIRST_CALL_MS);
    this.#spoke = true;
  }

  /** The client has left without a word, or in the middle of one. Where it need say nothing, it has called for a pod. */
  left(): void {
    const isKnown = this.#told !== undefined;
    if (this.#started && !isKnown && (this.#wakes || this.#spoke)) this.#finish(undefined);
  }

  /** Nobody needs to know any more. Harmless when called twice. */
  end(): void {
    this.#over = true;
    this.#cancelTimer();
  }

  #limit(ms: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.setTimer(ms, () => this.#finish(undefined));
  }

  #finish(caller: Caller | undefined): void {
    if (this.#over) return;
    this.#cancelTimer();
    this.#told = caller?.purpose ?? "unknown";
    this.#tell(caller);
  }
}
