/**
 * What sessions know of the pods: through the port {@link Seats} they get a seat on one, dial it, and give it up. They know
 * nothing of replicas, promises or StatefulSets. `lib/route/router.ts` implements the port over all builders, each of
 * which has the port {@link BuilderSeats} (`target_seats.ts`). Sessions are known by id, so that ending one twice is
 * harmless. Types, the error of a dial, and why observe mode wakes nobody.
 *
 * @module
 */
import type { Abortable } from "../base/ending.ts";
import type { BuilderState } from "../base/metrics.ts";
import type { Conn } from "../base/network.ts";
import type { Beyond } from "../scaler/capacity.ts";
import type { Seat } from "../scaler/placement.ts";

export type { Beyond, Seat };
export { asleepText } from "../scaler/asleep_text.ts";

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

/** Which of the program's listeners a session came through. */
export interface Door {
  /** Its clients belong to this project. */
  readonly project?: string | undefined;
  /** Its clients use the builders of this pool; the default pool is `""`. */
  readonly pool: string;
}

/** What the first bytes of a client say of its session. */
export interface Caller {
  /** The host that it has dialled: `:authority` of its first call, or the server name of its TLS. */
  readonly host?: string | undefined;
  /** Connections with the same trace belong to one run of a client. */
  readonly traceId?: string | undefined;
  /**
   * `watch`: it only watches the history of builds. `export`: it only hands over traces. Neither wakes a builder, keeps one
   * awake, or is a load.
   */
  readonly purpose: "build" | "watch" | "export";
  /** It can be held for as long as it must; otherwise its own limit for a new connection applies, of 20 s or so. */
  readonly isPatient: boolean;
}

/**
 * What a held session waits for, which says what bounds its wait: `pod` is `--ready-wait-timeout`, `room` (it is queued
 * behind the hard limit) is `--queue-timeout`, `nothing` (it only watches) has no bound.
 */
export type WaitsFor = "pod" | "room" | "nothing";

/** A session that has just come. */
export interface Arrival {
  /** Where it has come in. */
  readonly door: Door;
  /** If it is seated at once, it counts as a use of the pod before it has sent anything. */
  readonly counts: boolean;
  /** Told what it waits for when that changes; it is `pod` at first. */
  onWait(waitsFor: WaitsFor): void;
  /** It only watches, and shall end. May be told more than once. */
  onEnd(why: string): void;
  /**
   * It shall not wait, and end. `limited`: too many wait for the same (`--max-held`). `cordoned`: each builder that it may use
   * takes no new sessions. May be told more than once.
   */
  onRefuse(outcome: "limited" | "cordoned", why: string): void;
}

/** How long sessions wait. */
export interface WaitLimits {
  /** For a pod, in ms. */
  readonly readyWaitTimeoutMs: number;
  /** For room, in ms. */
  readonly queueTimeoutMs: number;
}

/** Where a session goes or has gone, for the log. */
export interface Routed {
  /** The builder. */
  readonly builder?: string | undefined;
  /** Whose session it is. */
  readonly project?: string | undefined;
  /** Why it goes there. */
  readonly why?: string | undefined;
  /** For how long it was queued, if it was, in ms. */
  readonly queuedMs?: number | undefined;
  /** It had a seat as soon as it was known where it belongs. */
  readonly isWarm?: boolean | undefined;
  /** It only watches, or hands over traces: it needs no builder. */
  readonly isWatcher?: boolean | undefined;
}

/** The builder that a build would go to, for whoever asks about it without building. */
export interface Outlook {
  /** Its name. */
  readonly builder: string;
  /** Whose build that would be, if that is known. */
  readonly project: string | undefined;
  /** How far it can be used. */
  readonly state: BuilderState;
  /** How long it is kept awake by request, in ms; 0 if it is not. */
  readonly keptForMs: number;
  /** Why it does not serve, as a held client is told. Never throws. */
  explain(signal: AbortSignal): Promise<string>;
}

/** A request that a builder shall serve, without a session. */
export interface Waking {
  /** The builder that it waits for, or that serves. */
  readonly outlook: Outlook;
  /** The builder serves. From then on the request waits for nothing. */
  readonly isServed: boolean;
  /** Why it cannot wait: too many do (`--max-held`). Then it shall end. */
  readonly refusal: string | undefined;
  /** It waits no more. Harmless when it does not wait. What it keeps awake stays awake. */
  end(): void;
}

/** Gives seats to sessions. */
export interface Seats {
  /** Sessions that wait for a seat, and requests that wait for a builder. */
  readonly held: number;
  /** Calls `listener` when `held` may have changed. It must be quick and must not throw. */
  subscribe(listener: () => void): void;
  /** How long sessions wait that come in by this door. */
  limitsOf(door: Door): WaitLimits;
  /**
   * Seats a new session at once where its first bytes do not matter and there is a place. Otherwise it is held, and calls
   * for no pod before it is identified.
   */
  open(id: number, arrival: Arrival): Seat | undefined;
  /**
   * It is known what the first bytes say (undefined: nothing), or they do not come. From now on the session calls for a
   * pod, unless it only watches. Also called when a session that only watched makes another call: then false means that it
   * has lost its seat meanwhile, and must not carry that call.
   */
  identify(id: number, caller: Caller | undefined): boolean;
  /**
   * Resolves when the held session has a seat.
   *
   * @throws the reason of `signal`; the session is still held then
   */
  wait(id: number, signal: Abortable): Promise<Seat>;
  /**
   * Connects to the pod. The connection is the caller's, who closes it.
   *
   * @throws DialError, or the reason of `signal`
   */
  dial(seat: Seat, signal: Abortable): Promise<Conn>;
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
  /** The client has sent something to its pod: the session is known to use it. */
  used(id: number): void;
  /** Whether the session calls for a pod, or is known to use the one it has. */
  needs(id: number): boolean;
  /** The session has been silent for so long that it is no load on its pod, or is not any more. It still uses it. */
  silent(id: number, isSilent: boolean): void;
  /**
   * Ends the sessions that only watch, present and future ones: this proxy drains, and they would keep it. It keeps no
   * builder awake by request any more, either.
   */
  endWatchers(why: string): void;
  /** The daemon has sent its first bytes. */
  answered(id: number): void;
  /** The session has ended. Harmless when it has ended before. */
  end(id: number): void;
  /** Where it goes or has gone, for its line of the log. Call it before `end`. */
  routeOf(id: number): Routed;
  /** Why there is no seat for a held session, for its client. Call it before `end`. Never throws. */
  explainWait(id: number, signal: AbortSignal): Promise<string>;
  /** Why there was no room for a queued session, for its client: a whole sentence. Call it before `end`. */
  explainQueue(id: number): string;
  /**
   * Finds out how the pod ended that has reset a session, and calls `tell` with it once, now or seconds later; with
   * undefined if that is not known. Never throws.
   */
  explainReset(seat: Seat, connectedForMs: number, tell: (how: string | undefined) => void): void;
  /** Where a build would go that comes in by this door and has dialled this host. Wakes nothing. */
  outlook(door: Door, host: string | undefined): Outlook;
  /**
   * Wakes that builder, and keeps it awake for `keepForMs` from when it serves, where that is more than 0. Calls `onChange`
   * when the state of the builder may have changed.
   */
  wake(door: Door, host: string | undefined, keepForMs: number, onChange: () => void): Waking;
}

/** The seats of one builder. The router decides which sessions it gets; all of this is about those. */
export interface BuilderSeats {
  /** Sessions that are held here and call for a pod; one more while it is called for without a session. */
  readonly calling: number;
  /**
   * Seats a session in this step, or changes nothing. `counts`: as in {@link Arrival}. `beyond`: what it may exceed on a
   * pod.
   */
  seat(id: number, counts: boolean, beyond: Beyond): Seat | undefined;
  /** The session waits for a seat here. If it `needs` one, a pod is called for. */
  hold(id: number, needs: boolean): void;
  /** Seats a session that only watches, in this step, or changes nothing. It counts for nothing. */
  seatWatcher(id: number): Seat | undefined;
  /** A seated session only watches. */
  watch(id: number): void;
  /** A seated session that only watched makes another call: it counts from now on. False if it has lost its seat. */
  watchNoMore(id: number): boolean;
  /** Whether the pod of a seated session is there, and not about to go by the count last seen. */
  keeps(id: number): boolean;
  /** Calls for a pod without a session, as a held one does, until `end`. */
  callFor(id: number): void;
  /**
   * Uses the lowest pod without a connection, like a session that is silent, until `end`. Called again, it moves to a pod
   * that is lower. False, and nothing has changed, if no pod may be used.
   */
  keepAwake(id: number): boolean;
  /** As {@link Seats.dial}. */
  dial: Seats["dial"];
  /** As {@link Seats.failed}. */
  failed: Seats["failed"];
  /** As {@link Seats.connected}. */
  connected: Seats["connected"];
  /** As {@link Seats.used}. */
  used: Seats["used"];
  /** As {@link Seats.needs}. */
  needs: Seats["needs"];
  /** As {@link Seats.silent}. */
  silent: Seats["silent"];
  /** As {@link Seats.answered}. */
  answered: Seats["answered"];
  /** The session is not held or seated here any more: it has ended, or waits elsewhere. Harmless if it was not. */
  end: Seats["end"];
  /** As {@link Seats.explainWait}. */
  explainWait(signal: AbortSignal): Promise<string>;
  /** As {@link Seats.explainReset}. */
  explainReset: Seats["explainReset"];
}
