/**
 * Mutants of `lib/proxy` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const PROXY: readonly Allowed[] = [
  {
    path: "lib/proxy/hold.ts",
    line: "if (bytes > 0) return;",
    from: ">",
    to: ">=",
    reason: "makes no difference: a change of 0 bytes has returned before",
  },
  {
    path: "lib/proxy/hold.ts",
    line: "this.#budget.forget(this.#onRoom);",
    reason:
      "costs memory until somebody gives bytes back: a hold that is over does nothing when it is called",
  },
  {
    path: "lib/proxy/relay.ts",
    line: "return spare.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes);",
    to: "new Uint8Array(sizeBytes)",
    reason: "changes speed only: every buffer is a new one; the benchmark of many streams measures it",
  },
  {
    path: "lib/proxy/relay.ts",
    line: "else if (kept.length < KEPT_BUFFERS) kept.push(buffer);",
    reason:
      "changes speed and memory only: which buffers are used again; the benchmark of many streams measures it",
  },
  {
    path: "lib/proxy/client_calls.ts",
    line: "const [firstByte = 0] = payload;",
    from: "0",
    to: "1",
    reason:
      "makes no difference: without a first byte, there is no room for the byte that says how much padding comes",
  },
  {
    path: "lib/proxy/client_hello.ts",
    line: "while (extensions.leftBytes > 0) {",
    from: "0",
    to: "1",
    reason: "makes no difference: a single byte is no extension, and there is no name in either case",
  },
];
