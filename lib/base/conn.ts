/**
 * What is done alike to every connection of the network port: tuning it, writing all of something, closing it.
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

/** Has small writes sent at once, and a silent peer probed by the kernel. */
export function tune(conn: Conn): void {
  try {
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  } catch {
    // The peer is gone already; the first read or write says so.
  }
}
