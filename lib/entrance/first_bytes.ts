/**
 * Reads the first bytes of a connection, until whoever looks at them has seen enough. It takes little memory for a client
 * that sends nothing, since there may be hundreds of them.
 *
 * @module
 */
import { close } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";
import { ClientLeft } from "./arrivals.ts";

/** The first buffer; it grows when it is full. */
const SMALLEST_BUFFER_BYTES = 512;

/**
 * Shows `look` all bytes so far, at most `mostBytes`, whenever more have come, and resolves with the first result that is
 * not `undefined`; with `undefined` when the connection ends, or is full, before that. Closes the connection when `signal`
 * is aborted.
 *
 * @throws ClientLeft if it has sent nothing or has reset the connection, the reason of `signal`, and what `look` throws
 */
export async function readFirstBytes<T>(
  tcp: Conn,
  mostBytes: number,
  signal: AbortSignal,
  look: (bytes: Uint8Array) => T | undefined,
): Promise<T | undefined> {
  let buffer = new Uint8Array(Math.min(SMALLEST_BUFFER_BYTES, mostBytes));
  const onAbort = () => close(tcp);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    for (let filled = 0; filled < mostBytes;) {
      const n = await tcp.read(buffer.subarray(filled)).catch(() => {
        throw new ClientLeft("The client left before its first bytes were whole");
      });
      signal.throwIfAborted(); // it may have been closed in the same moment
      if (n === null) {
        if (filled === 0) throw new ClientLeft("The client left without a byte");
        return undefined;
      }
      filled += n;
      const found = look(buffer.subarray(0, filled));
      if (found !== undefined) return found;
      if (filled < buffer.byteLength) continue;
      const larger = new Uint8Array(Math.min(2 * filled, mostBytes));
      larger.set(buffer);
      buffer = larger;
    }
    return undefined;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
