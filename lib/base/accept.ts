/**
 * Accepts connections for as long as a listener is open. An accept fails because its client has left already, or because
 * the process has run out of something. The loop pauses only in the second case, and after many failures in a row. No
 * failure ends it.
 *
 * @module
 */
import { type Clock, sleep } from "./clock.ts";
import { codeOf } from "./errors.ts";
import type { AcceptFault } from "./metrics.ts";
import type { Conn, Listener } from "./network.ts";

/** The wait after running out, in ms: descriptors may be free again by then. */
const EXHAUSTED_PAUSE_MS = 100;

/** After so many failures in a row, of any kind, the loop pauses: one that never succeeds must not keep a CPU busy. */
export const FAILURES_IN_A_ROW = 100;

/** The length of that pause, in ms. It is short, since other clients wait meanwhile. */
const FAILURES_PAUSE_MS = 10;

/** @see https://man7.org/linux/man-pages/man2/accept.2.html */
const EXHAUSTED: ReadonlySet<string | undefined> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** Deno asks for the peer's address after accepting, hence ENOTCONN for a connection that was reset before. */
const CLIENT: ReadonlySet<string | undefined> = new Set(["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EPROTO"]);

/** What becomes of connections and failures. */
export interface AcceptEvents {
  /** False once the listener was closed on purpose: then a failure is the end of the loop. */
  isOpen(): boolean;
  /** Takes a connection over. Must not throw. */
  accepted(conn: Conn): void;
  /** Told of a failure, and how many have come in a row. */
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
