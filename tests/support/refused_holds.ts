/**
 * Prints how many megabytes it takes to refuse 900 clients that have 1,000 open calls each and take none of the answers.
 * Needs `--expose-gc`.
 *
 * @module
 */
import { concat } from "../../lib/base/bytes.ts";
import { Hold, HoldBudget } from "../../lib/proxy/hold.ts";
import { FLAG, FRAME, frame } from "../../lib/target/http2_frames.ts";
import { BEGIN } from "./calls.ts";
import { HandConn } from "./hand_conn.ts";
import { settle } from "./virtual_clock.ts";

declare const gc: () => void;

/** In what garbage does not count. */
function usedBytes(): number {
  gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

const calls = concat(
  Array.from({ length: 1_000 }, (_, i) => frame(FRAME.headers, FLAG.endHeaders, 2 * i + 1, new Uint8Array())),
);
const budget = new HoldBudget(64 * 1024 * 1024, () => {});
const before = usedBytes();
const holds: [Hold, HandConn][] = [];
for (let i = 0; i < 900; i++) {
  const conn = new HandConn();
  const hold = new Hold(conn, budget, { bytes: () => {}, left: () => {}, malformed: () => {} });
  hold.startParsing();
  hold.start();
  await conn.bringAll(concat([BEGIN, calls]));
  conn.stuck = true;
  hold.refuse({ status: 4, message: "buildkitd did not become ready in 5m0s: ".repeat(10) });
  holds.push([hold, conn]);
}
await settle();
// deno-lint-ignore no-console
console.log((usedBytes() - before) / 1e6);
if (holds.some(([, conn]) => conn.written.length !== 2)) throw new Error("the answers are not under way");
