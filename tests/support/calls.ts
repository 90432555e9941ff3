/**
 * What an HTTP/2 client sends to make calls, for tests of what reads them.
 *
 * @module
 */
import { concat } from "../../lib/base/bytes.ts";
import { FLAG, FRAME, frame, headerBlock, PREFACE } from "../../lib/target/http2_frames.ts";

/** The path of a client that watches. */
export const WATCH = "/moby.buildkit.v1.Control/ListenBuildHistory";

/** The path of a client that looks around. */
export const LOOK_UP = "/moby.buildkit.v1.Control/ListWorkers";

/** The path of a client that delivers traces. */
export const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/** The path of a client that builds. */
export const SOLVE = "/moby.buildkit.v1.Control/Solve";

/** A client's preface and its SETTINGS. */
export const BEGIN: Uint8Array = concat([PREFACE, frame(FRAME.settings, 0, 0, new Uint8Array())]);

/** The header block of a call, without indexing. */
export function blockOf(path: string, authority = "team-a:8372"): Uint8Array {
  return headerBlock([[":method", "POST"], [":path", path], [":authority", authority]]);
}

/** What `ClientCalls` makes of it. */
export function callTo(path: string, authority = "team-a:8372") {
  return { path, authority, traceId: undefined };
}

/** A HEADERS frame that has the whole block. */
export function headers(stream: number, block: Uint8Array): Uint8Array {
  return frame(FRAME.headers, FLAG.endHeaders, stream, block);
}
