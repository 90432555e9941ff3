/**
 * Waits until it is known what a held client's first bytes say of its session, or will not be known. Until then the
 * session wakes no builder: it may only watch the history of builds. It does not read or parse itself.
 *
 * @module
 */
import { type CancelTimer, type Clock, setSilenceTimer } from "../base/clock.ts";
import type { Caller } from "../target/seats.ts";

/** A client that sends nothing is taken for one that needs a pod after this long, in ms from its connection on. */
export const SILENT_MS = 200;

/**
 * From a client's first bytes to its first call, in ms. The call comes one round trip after our SETTINGS frame, later from
 * a machine under load; a client that makes none in this time is served without knowing more.
 */
const FIRST_CALL_MS = 5_000;

const cancelNothing: CancelTimer = () => {};

/** What is known of a client: what its first bytes say, that they say nothing, or nothing yet. */
export type Words = Caller | "none" | undefined;

/** Waits for the words of one client, and listens on for as long as it is held: it may turn out to be another one. */
export class Introduction {
  readonly #clock: Clock;
  readonly #tell: (caller: Caller | undefined) => void;
  readonly #silentMs: number;
  #cancelTimer = cancelNothing;
  /** See `start`; undefined until then. */
  #wakes: boolean | undefined;
  #spoke = false;
  #told: { readonly purpose: Caller["purpose"] | undefined } | undefined;
  #over = false;

  /**
   * Tells `tell` once the words are known or will not be, and whenever they change after that; never after `end`. The client
   * has been silent for `silentForMs` already.
   */
  constructor(clock: Clock, tell: (caller: Caller | undefined) => void, silentForMs = 0) {
    this.#clock = clock;
    this.#tell = tell;
    this.#silentMs = SILENT_MS - silentForMs;
  }

  /** The client is held, newly or again, and this is known so far. `wakes`: it need not say anything to be served. */
  start(words: Words, spoke: boolean, wakes: boolean): void {
    const isFirst = this.#wakes === undefined;
    this.#wakes = wakes;
    if (spoke) this.heard(words);
    else if (isFirst && wakes) this.#limit(this.#silentMs);
  }

  /** The client has sent something, and this is known now. */
  heard(words: Words): void {
    if (this.#wakes === undefined) return;
    if (words !== undefined) return this.#say(words === "none" ? undefined : words);
    if (!this.#spoke && this.#told === undefined) this.#limit(FIRST_CALL_MS);
    this.#spoke = true;
  }

  /** The client has left without a word, or in the middle of one. Where it need say nothing, it has called for a pod. */
  left(): void {
    if (this.#told === undefined && (this.#wakes || this.#spoke)) this.#say(undefined);
  }

  /** Nobody needs to know any more. Harmless when called twice. */
  end(): void {
    this.#over = true;
    this.#stop();
  }

  #limit(ms: number): void {
    if (this.#over) return;
    this.#stop();
    this.#cancelTimer = setSilenceTimer(this.#clock, ms, () => this.#say(undefined));
  }

  /** Keeps nothing of the timer: a wait may be long. */
  #stop(): void {
    this.#cancelTimer();
    this.#cancelTimer = cancelNothing;
  }

  /** Of what a client says, only its purpose can change. */
  #say(caller: Caller | undefined): void {
    if (this.#over || this.#told !== undefined && this.#told.purpose === caller?.purpose) return;
    this.#stop();
    this.#told = { purpose: caller?.purpose };
    this.#tell(caller);
  }
}
