/**
 * Clients that are refused, and take none of the answers.
 *
 * @module
 */
import { concat } from "../../../lib/base/bytes.ts";
import { FLAG, FRAME, frame } from "../../../lib/target/http2_frames.ts";
import { OPENING } from "../../support/http2_client.ts";
import { type Attack, crowd, send } from "./attack.ts";

const CALLS = Array.from(
  { length: 1_000 },
  (_, i) => frame(FRAME.headers, FLAG.endHeaders, 2 * i + 1, new Uint8Array()),
);
/** As many as may wait with the default settings, all refused at one moment. */
export const UNREAD: Attack = {
  name: "900 held clients with 1,000 calls each that are refused",
  state: "held",
  settings: { "ready-wait-timeout": "5s" },
  endsHolds: true,
  run: ({ address }, signal) =>
    crowd(address, 900, (conn) => send(conn, concat([OPENING, ...CALLS])), signal),
};
