/**
 * Accepts connections until a listener is closed. An accept may fail because the client has already left, or because
 * the process has run out of descriptors or memory. The loop pauses in the second case, and after many failures in a
 * row. No failure ends it.
 *
 * @module
 */
import { type Clock, sleep } from "./clock.ts";
import { codeOf } from "./errors.ts";
import type { AcceptFault } from "./metrics.ts";
import type { Conn, Listener } from "./network.ts";

/** The pause after running out of descriptors or memory, in ms. */
const EXHAUSTED_PAUSE_MS = 100;

/** After this many failures in a row, of any kind, the loop pauses: a broken listener must not keep a CPU busy. */
export const FAILURES_IN_A_ROW = 100;

/** The length of that pause, in ms. It is short, because other clients wait. */
const FAILURES_PAUSE_MS = 10;

/** @see https://man7.org/linux/man-pages/man2/accept.2.html */
const EXHAUSTED: ReadonlySet<string | undefined> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** Deno reads the peer's address after accepting, which fails with ENOTCONN if the connection was reset before. */
const CLIENT: ReadonlySet<string | undefined> = new Set(["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EPROTO"]);

/** Receives connections and failures. */
export interface AcceptEvents {
  /** False after the listener was closed on purpose: the next failure then ends the loop. */
  isOpen(): boolean;
  /** Takes over a connection. Must not throw. */
  accepted(conn: Conn): void;
  /** Told of a failure. `inARow` counts failures since the last success. */
  failed(fault: AcceptFault, error: unknown, inARow: number): void;
}

/** Accepts until the listener is closed. @throws the reason of `signal`, in a pause */
export async function acceptAll(
  listener: Listener,
  clock: Clock,
  signal: AbortSignal,
  events: AcceptEvents,
): Promise<void> {
  for (let failures = 0; events.isOpen();) {
    let conn: Conn;
    try {
      conn = await listener.accept();
    } catch (error) {
      if (!events.isOpen()) return;
      const fault = faultOf(error);
      events.failed(fault, error, ++failures);
      if (fault === "exhausted") await sleep(clock, EXHAUSTED_PAUSE_MS, signal);
      else if (failures % FAILURES_IN_A_ROW === 0) await sleep(clock, FAILURES_PAUSE_MS, signal);
      continue;
    }
    failures = 0;
    events.accepted(conn);
  }
}

function faultOf(error: unknown): AcceptFault {
  const code = codeOf(error);
  return EXHAUSTED.has(code) ? "exhausted" : CLIENT.has(code) ? "client" : "other";
}
