/**
 * Faults on demand: what an API server, or the way to it, does wrong while a test wants it to. Waits by the clock port
 * only. (Faults of watches that are already open are on `Watches`.)
 *
 * @module
 */
import { type Clock, sleep } from "../base/clock.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { RequestInfo } from "./request_info.ts";
import { ApiError, reasonOf } from "./status.ts";

/** What goes wrong. */
export type FaultKind =
  /** Answered with this HTTP status, not carried out. */
  | {
    readonly kind: "status";
    readonly code: number;
    readonly retryAfterSeconds?: number;
    readonly message?: string;
  }
  /** Carried out this much later. */
  | { readonly kind: "latency"; readonly delayMs: number }
  /** Accepted, and nothing happens until the fault is lifted; then it is carried out. */
  | { readonly kind: "freeze" }
  /** The connection is dropped, nothing is carried out. */
  | { readonly kind: "reset_peer" }
  /** Carried out, then the connection is dropped instead of an answer. */
  | { readonly kind: "lose_answer" }
  /** Carried out, then no answer until the fault is lifted. */
  | { readonly kind: "freeze_answer" };

/** A fault and the requests that it meets. */
export interface Fault {
  /** What goes wrong. */
  readonly fault: FaultKind;
  /** Which requests it meets; all, if not given. `client` is the label of the way they came. */
  readonly matches?: (info: RequestInfo, client: string) => boolean;
  /** How many requests it meets before it is over; no limit, if not given. */
  readonly times?: number;
}

/** The peer sees the connection end, without an answer. */
export class ConnectionDropped extends Error {
  /** Always `ConnectionDropped`. */
  override readonly name = "ConnectionDropped";

  /** Takes nothing: there is nothing more to say. */
  constructor() {
    super("connection reset by peer");
  }
}

interface Active {
  readonly fault: Fault;
  left: number;
  readonly lifted: Promise<void>;
  lift(): void;
}

/** The faults in force. The first that matches a request meets it, and no other. */
export class Faults {
  readonly #clock: Clock;
  #active: Active[] = [];

  /** Takes the clock that latency is measured on. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Puts a fault in force until it has met its number of requests, or the returned function lifts it. */
  add(fault: Fault): () => void {
    const { promise: lifted, resolve } = Promise.withResolvers<void>();
    const active: Active = {
      fault,
      left: fault.times ?? Infinity,
      lifted,
      lift: () => {
        this.#active = this.#active.filter((it) => it !== active);
        resolve();
      },
    };
    this.#active.push(active);
    return active.lift;
  }

  /** Lifts every fault. */
  clear(): void {
    for (const active of [...this.#active]) active.lift();
  }

  /**
   * Lets a request meet its fault. Call it before the request is carried out; the function it returns, after.
   *
   * @throws ApiError, ConnectionDropped, or the reason of `signal`
   */
  async meet(info: RequestInfo, client: string, signal: AbortSignal): Promise<() => Promise<void>> {
    const nothing = () => Promise.resolve();
    const active = this.#active.find(({ fault, left }) =>
      left > 0 && (fault.matches?.(info, client) ?? true)
    );
    if (active === undefined) return nothing;
    if (--active.left === 0 && !active.fault.fault.kind.startsWith("freeze")) active.lift();
    const { fault } = active.fault;
    switch (fault.kind) {
      case "status":
        throw new ApiError(
          fault.code,
          reasonOf(fault.code),
          fault.message ?? `injected fault: status ${fault.code}`,
          fault.retryAfterSeconds === undefined ? undefined : { retryAfterSeconds: fault.retryAfterSeconds },
        );
      case "latency":
        await sleep(this.#clock, fault.delayMs, signal);
        return nothing;
      case "freeze":
        await orAborted(active.lifted, signal);
        return nothing;
      case "reset_peer":
        throw new ConnectionDropped();
      case "lose_answer":
        return () => Promise.reject(new ConnectionDropped());
      case "freeze_answer":
        return () => orAborted(active.lifted, signal);
    }
  }
}
