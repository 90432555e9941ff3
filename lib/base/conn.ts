/**
 * What is done to connections everywhere: setting socket options, writing a whole buffer, closing.
 *
 * @module
 */
import type { Conn } from "./network.ts";

/** Connections that `close` has closed. Closing twice throws, and an error costs more than the rest of a session's end. */
const closed = new WeakSet<Conn>();

/** Closes a connection that may be closed already. */
export function close(conn: Conn): void {
  if (closed.has(conn)) return;
  closed.add(conn);
  try {
    conn.close();
  } catch {
    // BadResource: it was closed before.
  }
}

/** Writes all of `bytes`; calls `count` with the size of each part. */
export async function writeAll(
  to: Conn,
  bytes: Uint8Array,
  count: (bytes: number) => void = () => {},
): Promise<void> {
  // Nothing is not written: the runtime's TLS breaks the connection then (seen on Deno 2.9.6).
  for (let rest = bytes; rest.byteLength > 0;) {
    const n = await to.write(rest);
    count(n);
    rest = rest.subarray(n);
  }
}

/** Turns on TCP_NODELAY and keep-alive probes. */
export function tune(conn: Conn): void {
  try {
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  } catch {
    // The peer is gone already; the first read or write will report it.
  }
}
