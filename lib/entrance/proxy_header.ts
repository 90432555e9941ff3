/**
 * The header of the PROXY protocol, versions 1 and 2: a load balancer sends it before the client's bytes, to say who the
 * client is. Pure.
 *
 * @see https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 * @module
 */
import type { Address } from "../base/network.ts";
import { isIpv4, isIpv6 } from "../config/address.ts";

/** The longest header that is read: version 1 needs at most 107 bytes, version 2 as much as its extensions take. */
export const LONGEST_HEADER_BYTES = 4096;

/** What the first bytes of a connection are. */
export type ProxyHeader =
  /** The beginning of a header. */
  | { readonly kind: "more" }
  /** No header. */
  | { readonly kind: "bad"; readonly why: string }
  /** A header without a client: a health check of the load balancer. */
  | { readonly kind: "local"; readonly headerBytes: number }
  /** A header with its client. */
  | { readonly kind: "client"; readonly client: Address; readonly headerBytes: number };

const V1_START = new TextEncoder().encode("PROXY ");
const V2_START = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

/** With its line end. */
const LONGEST_V1_BYTES = 107;

/** What comes before the addresses of version 2. */
const V2_FIXED_BYTES = 16;

/** Looks at all bytes of a connection so far. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (startsAlike(bytes, V1_START)) {
    return bytes.byteLength < V1_START.byteLength ? { kind: "more" } : parseV1(bytes);
  }
  if (startsAlike(bytes, V2_START)) {
    return bytes.byteLength < V2_FIXED_BYTES ? { kind: "more" } : parseV2(bytes);
  }
  return bad("found no header of the PROXY protocol");
}

/** Whether one is the beginning of the other. */
function startsAlike(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, i) => i >= bytes.byteLength || bytes[i] === byte);
}

function parseV1(bytes: Uint8Array): ProxyHeader {
  const end = bytes.subarray(0, LONGEST_V1_BYTES).indexOf(0x0a);
  if (end < 0) {
    return bytes.byteLength < LONGEST_V1_BYTES
      ? { kind: "more" }
      : bad(`found a header of version 1 without a line end in its first ${LONGEST_V1_BYTES} bytes`);
  }
  const headerBytes = end + 1;
  if (bytes[end - 1] !== 0x0d) return bad("found a header of version 1 that does not end with CR LF");
  const words = String.fromCharCode(...bytes.subarray(0, end - 1)).split(" ");
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = ""] = words;
  if (family === "UNKNOWN") return { kind: "local", headerBytes };
  const isAddress = family === "TCP4" ? isIpv4 : family === "TCP6" ? isIpv6WithoutZone : () => false;
  const port = portOf(sourcePort);
  const isWhole = words.length === 6 && isAddress(source) && isAddress(destination) &&
    port !== undefined && portOf(destinationPort) !== undefined;
  return isWhole
    ? { kind: "client", client: { hostname: source, port }, headerBytes }
    : bad("found a header of version 1 that cannot be parsed");
}

/** A zone may have any character, and means nothing on another machine. */
function isIpv6WithoutZone(text: string): boolean {
  return isIpv6(text) && !text.includes("%");
}

function portOf(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65535 ? Number(text) : undefined;
}

function parseV2(bytes: Uint8Array): ProxyHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const versionAndCommand = view.getUint8(12);
  const familyAndTransport = view.getUint8(13);
  const headerBytes = V2_FIXED_BYTES + view.getUint16(14);
  if (versionAndCommand >> 4 !== 2) return bad(`found a header of version ${versionAndCommand >> 4}`);
  const command = versionAndCommand & 15;
  if (command > 1) return bad(`found a header with command ${command}`);
  if (headerBytes > LONGEST_HEADER_BYTES) {
    return bad(`found a header of ${headerBytes} bytes, want at most ${LONGEST_HEADER_BYTES}`);
  }
  if (bytes.byteLength < headerBytes) return { kind: "more" };
  const addresses = bytes.subarray(V2_FIXED_BYTES, headerBytes);
  if (command === 0) return { kind: "local", headerBytes };
  switch (familyAndTransport >> 4) {
    case 1:
      return clientOf(addresses, 4, formatIpv4, headerBytes);
    case 2:
      return clientOf(addresses, 16, formatIpv6, headerBytes);
    default: // unspecified, or a Unix socket: nothing to say who the client is
      return { kind: "local", headerBytes };
  }
}

/** Source address, destination address, source port, destination port, then extensions. */
function clientOf(
  addresses: Uint8Array,
  width: number,
  format: (bytes: Uint8Array) => string,
  headerBytes: number,
): ProxyHeader {
  if (addresses.byteLength < 2 * width + 4) {
    return bad("found a header of version 2 that is too short for its addresses");
  }
  const port = addresses[2 * width]! * 256 + addresses[2 * width + 1]!;
  return { kind: "client", client: { hostname: format(addresses.subarray(0, width)), port }, headerBytes };
}

/** Four bytes as an IPv4 address. */
export function formatIpv4(bytes: Uint8Array): string {
  return bytes.join(".");
}

/** Sixteen bytes as an IPv6 address, in its shortest form (RFC 5952). */
export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! * 256 + bytes[2 * i + 1]!).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

function bad(why: string): ProxyHeader {
  return { kind: "bad", why };
}
