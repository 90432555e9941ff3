/**
 * What sessions know of the pods: through this port they get a seat on one, dial it, and give it up. They know nothing of
 * replicas, promises or StatefulSets. `target_seats.ts` implements the port for one StatefulSet. An implementation for
 * several can choose one of them at each `open`, at each `again`, and while a session waits. Sessions are known by id, so
 * that ending one twice is harmless. Types, and the error of a dial.
 *
 * @module
 */
import type { Conn } from "../base/network.ts";
import type { Seat } from "../scaler/placement.ts";

export type { Seat };

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
   * Seats a new session at once if there is a place. Otherwise the session is held. It calls for a pod if `needs` is
   * true. With `--wake-on=data`, `needs` is false until the client has sent something: a port scan must not start a
   * pod.
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
   * The dial has succeeded. Says whether the session may still be placed on the pod: call it after the dial and before
   * a byte is forwarded. If it returns false, the seat was lost during the dial: close the connection, and call
   * `holdAgain`.
   */
  connected(seat: Seat): boolean;
  /** The session gives up its seat, and is held again. It calls for a pod if it did before. */
  holdAgain(id: number): void;
  /** The client has sent something: from now on the session calls for a pod, or is known to use the one it has. */
  used(id: number): void;
  /** Whether the session calls for a pod, or is known to use the one it has. */
  needs(id: number): boolean;
  /** The daemon has sent its first bytes. */
  answered(id: number): void;
  /** The session has ended. Harmless when it has ended before. */
  end(id: number): void;
  /** Why there is no seat for a held session, for its client. Call it before `end`. Never throws. */
  explainWait(id: number, signal: AbortSignal): Promise<string>;
  /**
   * Finds out how the pod ended that has reset a session, and calls `tell` with it once, now or seconds later; with
   * undefined if that is not known. Never throws.
   */
  explainReset(seat: Seat, connectedForMs: number, tell: (how: string | undefined) => void): void;
}
