/**
 * What a hold hands to the relay, for tests of the relay alone: bytes that nobody has to look at.
 *
 * @module
 */
import type { HandOver } from "../../lib/proxy/hold.ts";

/** A hand-over that is empty but for some parts. */
export function handOver(parts: Partial<Pick<HandOver, "chunks" | "pending" | "ended">> = {}): HandOver {
  return {
    chunks: [],
    pending: undefined,
    ended: false,
    written: Promise.resolve(),
    opening: { blind: true, take: (bytes) => ({ kept: [bytes], replies: [] }) },
    ...parts,
  };
}
