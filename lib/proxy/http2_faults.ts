/**
 * Which frames break HTTP/2 in a way that ends the connection, as far as that matters before there is a server. Pure.
 * Source: RFC 9113, sections 3.4, 5.1.1 and 6.
 *
 * @module
 */
import { FLAG, FRAME, type FrameHeader, LARGEST_FRAME_BYTES } from "../target/http2_frames.ts";
import { ERROR } from "./http2_errors.ts";

/** The client breaks the protocol in a way that ends the connection. */
export interface Malformed {
  /** The error code for a GOAWAY frame. */
  readonly code: number;
  /** What is wrong, for the log. */
  readonly why: string;
}

/** What makes a frame an error of the whole connection; undefined if nothing does. `first` if no frame came before. */
export function faultOf(
  { lengthBytes, type, flags, stream }: FrameHeader,
  first: boolean,
): Malformed | undefined {
  const ack = (flags & FLAG.ack) !== 0;
  const protocol = (why: string): Malformed => ({ code: ERROR.protocol, why });
  const size = (why: string): Malformed => ({ code: ERROR.frameSize, why });
  // RFC 9113, section 3.4: the preface ends with a SETTINGS frame.
  if (first && (type !== FRAME.settings || ack)) return protocol(`the first frame has type ${type}`);
  if (lengthBytes > LARGEST_FRAME_BYTES) return size(`a frame of ${lengthBytes} bytes`);
  switch (type) {
    case FRAME.settings:
      if (stream !== 0) return protocol(`SETTINGS on stream ${stream}`);
      if (ack ? lengthBytes !== 0 : lengthBytes % 6 !== 0) return size(`SETTINGS of ${lengthBytes} bytes`);
      return undefined;
    case FRAME.ping:
      if (stream !== 0) return protocol(`PING on stream ${stream}`);
      return lengthBytes === 8 ? undefined : size(`PING of ${lengthBytes} bytes`);
    case FRAME.goAway:
      return stream === 0 ? undefined : protocol(`GOAWAY on stream ${stream}`);
    case FRAME.headers:
      // A client opens odd streams only (RFC 9113, section 5.1.1).
      return stream % 2 === 1 ? undefined : protocol(`HEADERS on stream ${stream}`);
    case FRAME.rstStream:
      if (stream === 0) return protocol("RST_STREAM on stream 0");
      return lengthBytes === 4 ? undefined : size(`RST_STREAM of ${lengthBytes} bytes`);
    case FRAME.data:
      return stream === 0 ? protocol("DATA on stream 0") : undefined;
    default:
      return undefined;
  }
}
