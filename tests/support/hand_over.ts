/**
 * What a hold hands to the relay, made by hand.
 *
 * @module
 */
import type { HandOver } from "../../lib/proxy/hand_over.ts";
import { ReadTurns } from "../../lib/proxy/read_turns.ts";

/** Nothing was held, but for what is given. */
export function handOver(given: Partial<HandOver> = {}): HandOver {
  return {
    chunks: [],
    pending: undefined,
    ended: false,
    written: Promise.resolve(),
    opening: { blind: true, take: (bytes) => ({ kept: [bytes], replies: [] }) },
    ...given,
  };
}

/** Turns that come at once. */
export function turns(): ReadTurns {
  return new ReadTurns({ nextTurn: queueMicrotask });
}

/** An opening that looks at `bytes` more bytes and takes out every zero among them; blind after that. */
export function zerosTakenOut(bytes: number): HandOver["opening"] {
  let left = bytes;
  return {
    get blind() {
      return left <= 0;
    },
    take(taken) {
      const seen = taken.subarray(0, left);
      const rest = taken.subarray(seen.byteLength);
      left -= seen.byteLength;
      return {
        kept: [seen.filter((byte) => byte !== 0), rest].filter(({ byteLength }) => byteLength > 0),
        replies: [],
      };
    },
  };
}
