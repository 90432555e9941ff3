/**
 * Remembers which builder the connections of one trace went to. All connections of one run of a client must reach the same
 * builder while it runs: else the client could wait for itself. Bounded in memory.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";

/** A trace is remembered for this long after its last session has ended, in ms. */
const KEEP_MS = 60_000;

/** Traces remembered at most. The oldest are forgotten first. */
const MOST_TRACES = 10_000;

interface Trace {
  builder: string;
  sessions: number;
  /** When the last of its sessions ended; -Infinity if none has. */
  endedMs: number;
}

/** The traces of one pool. */
export class Siblings {
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #traces = new Map<string, Trace>();

  /** Knows none at first. */
  constructor(clock: Pick<Clock, "nowMs">) {
    this.#clock = clock;
  }

  /** The builder that another session of the trace is on, or was on until a moment ago, and how many are there now. */
  find(traceId: string | undefined): { readonly builder: string; readonly sessions: number } | undefined {
    if (traceId === undefined) return undefined;
    const trace = this.#traces.get(traceId);
    return trace === undefined || this.#isOver(trace) ? undefined : trace;
  }

  /** A session of the trace is seated on a builder. */
  began(traceId: string | undefined, builder: string): void {
    if (traceId === undefined) return;
    const trace = this.#traces.get(traceId) ?? { builder, sessions: 0, endedMs: -Infinity };
    trace.builder = builder;
    trace.sessions++;
    // Put last: the order is that of the latest use.
    this.#traces.delete(traceId);
    this.#traces.set(traceId, trace);
    this.#forget();
  }

  /** A seated session of the trace has ended. */
  ended(traceId: string | undefined): void {
    const trace = this.#leave(traceId);
    if (trace !== undefined) trace.endedMs = this.#clock.nowMs();
  }

  /** A seated session of the trace has given up its seat: it was never on the builder. */
  gaveUp(traceId: string | undefined): void {
    this.#leave(traceId);
  }

  #leave(traceId: string | undefined): Trace | undefined {
    const trace = traceId === undefined ? undefined : this.#traces.get(traceId);
    if (trace !== undefined) trace.sessions--;
    return trace;
  }

  #isOver({ sessions, endedMs }: Trace): boolean {
    return sessions <= 0 && this.#clock.nowMs() - endedMs > KEEP_MS;
  }

  #forget(): void {
    for (const [traceId, trace] of this.#traces) {
      if (this.#traces.size <= MOST_TRACES && !this.#isOver(trace)) return;
      this.#traces.delete(traceId);
    }
  }
}
