/**
 * Closing a connection, and writing all of something to it. Both work on any connection of the network port.
 *
 * @module
 */
import type { Conn } from "./network.ts";

/** What `close` has closed: closing twice throws, and an error costs more than all else at the end of a session. */
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

/** Writes all of `bytes`, telling `count` of each part. */
export async function writeAll(
  to: Conn,
  bytes: Uint8Array,
  count: (bytes: number) => void = () => {},
): Promise<void> {
  for (let rest = bytes;;) {
    const n = await to.write(rest);
    count(n);
    if (n === rest.byteLength) return;
    rest = rest.subarray(n);
  }
}
