/**
 * Clients that fill their holds: as many as may wait, which send what the hold of a build keeps, and watchers, which may
 * wait for ever. New clients must still be heard.
 *
 * @module
 */
import { concat } from "../../../lib/base/bytes.ts";
import { FRAME, frame } from "../../../lib/target/http2_frames.ts";
import { WATCH } from "../../support/calls.ts";
import { bytesOf, call, OPENING } from "../../support/http2_client.ts";
import { type Attack, crowd, send } from "./attack.ts";

const FILL = Array(16).fill(frame(FRAME.data, 0, 1, new Uint8Array(16_384)));

/** One for clients that seem to build, and one for watchers. */
export const FULL_HOLDS: readonly Attack[] = [
  {
    name: "900 held clients that send 256 KiB each",
    state: "held",
    run: ({ address }, signal) =>
      crowd(address, 900, (conn) => send(conn, concat([OPENING, ...FILL])), signal),
  },
  {
    name: "1,500 held watchers that send 256 KiB each",
    state: "held",
    run: ({ address }, signal) => {
      const watching = bytesOf(OPENING, ...call(1, "", { path: WATCH }));
      return crowd(address, 1_500, (conn) => send(conn, concat([watching, ...FILL])), signal);
    },
  },
];
