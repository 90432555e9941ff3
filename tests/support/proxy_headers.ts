/**
 * Headers of the PROXY protocol, as load balancers send them, and broken ones.
 *
 * @module
 */
import { concat } from "../../lib/base/bytes.ts";

/** A header of version 2; its parts are right where they are left out. */
export interface V2Options {
  readonly version?: number;
  /** 0 is LOCAL, 1 is PROXY. */
  readonly command?: number;
  /** Address family and transport. */
  readonly family?: number;
  /** The client's address. */
  readonly source?: readonly number[];
  readonly sourcePort?: number;
  /** Bytes of extensions. */
  readonly extensions?: number;
}

/** Makes one. */
export function v2Header({
  version = 2,
  command = 1,
  source = [203, 0, 113, 7],
  family = source.length === 16 ? 0x21 : 0x11,
  sourcePort = 4711,
  extensions = 0,
}: V2Options = {}): Uint8Array {
  const body = concat([
    Uint8Array.from(source),
    new Uint8Array(source.length),
    Uint8Array.of(sourcePort >> 8, sourcePort & 255, 443 >> 8, 443 & 255),
    new Uint8Array(extensions),
  ]);
  return concat([
    Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a),
    Uint8Array.of(version * 16 + command, family, body.byteLength >> 8, body.byteLength & 255),
    body,
  ]);
}
