/**
 * What sessions know of the pods: through this port they get a seat on one, dial it, and give it up. They know nothing of
 * replicas, promises or StatefulSets. `target_seats.ts` implements the port for one StatefulSet. An implementation for
 * several can choose one of them at each `open`, at each `again`, and while a session waits. Sessions are known by id, so
 * that ending one twice is harmless. Types, and the error of a dial.
 *
 * @module
 */
import type { Conn } from "../base/network.ts";
import type { Backend } from "../scaler/backends.ts";

/** A session's place on a pod. It counts from before the dial. */
export interface Seat {
  /** The session. */
  readonly id: number;
  /** The pod. */
  readonly backend: Backend;
}

/** What else is known of a failed dial. */
export interface DialErrorOptions extends ErrorOptions {
  /** See {@link DialError}. */
  readonly isRefused?: boolean;
  /** See {@link DialError}. */
  readonly reason?: string;
}

/** A dial has failed. The message says what to do where something can be done. */
export class DialError extends Error {
  /** Always `DialError`. */
  override readonly name = "DialError";
  /** True when the try did not get as far as the pod: that says nothing of it. */
  readonly isLocal: boolean;
  /** Something is there, and nothing listens. */
  readonly isRefused: boolean;
  /** The message without what could not be done. */
  readonly reason: string;

  /** Takes what to say. */
  constructor(message: string, isLocal: boolean, more: DialErrorOptions = {}) {
    super(message, more);
    this.isLocal = isLocal;
    this.isRefused = more.isRefused ?? false;
    this.reason = more.reason ?? message;
  }
}

/** Gives seats to sessions. */
export interface Seats {
  /** Sessions that wait for a seat. */
  readonly held: number;
  /** Calls `listener` when `held` may have changed. It must be quick and must not throw. */
  subscribe(listener: () => void): void;
  /**
   * Seats a new session at once if there is a place. Otherwise it is held. It calls for a pod if `needs`, which is
   * false as long as it may be no client at all (`--wake-on=data`).
   */
  open(id: number, needs: boolean): Seat | undefined;
  /**
   * Resolves when the held session has a seat.
   *
   * @throws the reason of `signal`; the session is still held then
   */
  wait(id: number, signal: AbortSignal): Promise<Seat>;
  /**
   * Connects to the pod. The connection is the caller's, who closes it.
   *
   * @throws DialError, or the reason of `signal`
   */
  dial(seat: Seat, signal: AbortSignal): Promise<Conn>;
  /** The dial has failed. */
  failed(seat: Seat, error: DialError): void;
  /**
   * The dial has worked: the check of placing once more, before a byte is forwarded. False when the seat was lost
   * meanwhile: then no byte may go there, and the session has to be held `again`.
   */
  holds(seat: Seat): boolean;
  /** The session gives up its seat, and is held again. It calls for a pod if it did before. */
  again(id: number): void;
  /** The client has sent something: it calls for a pod from now on, or keeps the one it has. */
  used(id: number): void;
  /** Whether the session calls for a pod, or is known to use the one it has. */
  needs(id: number): boolean;
  /** The daemon has sent its first bytes. */
  answered(id: number): void;
  /** The session has ended. Harmless when it has ended before. */
  end(id: number): void;
  /** Why there is no seat for a held session, for its client. To be called before `end`. Never throws. */
  explainWait(id: number, signal: AbortSignal): Promise<string>;
  /**
   * Finds out how the pod ended that has reset a session, and calls `tell` with it once, now or seconds later; with
   * undefined if that is not known. Never throws.
   */
  explainReset(seat: Seat, connectedForMs: number, tell: (how: string | undefined) => void): void;
}
