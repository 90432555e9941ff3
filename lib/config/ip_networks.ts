/**
 * Networks of IP addresses, as `10.0.0.0/8` or `2001:db8::/32`. Pure.
 *
 * @module
 */
import { isIpv4, isIpv6 } from "./address.ts";

/** A network. */
export interface IpNetwork {
  /** As it was written. */
  readonly text: string;
  /** The address's bits that count, from the first on. */
  readonly prefixBits: number;
  /** The network's address: 4 or 16 bytes. */
  readonly bytes: readonly number[];
}

/** A network; an address alone is a network of one. `undefined` when the text is none, or has bits after its prefix. */
export function parseIpNetwork(text: string): IpNetwork | undefined {
  const match = /^([0-9a-fA-F:.]+)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text);
  if (match === null) return undefined;
  const [, address = "", prefix] = match;
  const bytes = bytesOf(address);
  if (bytes === undefined) return undefined;
  // An IPv4 network within IPv6 is written with the bits of its whole address.
  const outerBits = bytes.length === 4 && address.includes(":") ? IPV4_WITHIN_IPV6.length * 8 : 0;
  const prefixBits = prefix === undefined ? bytes.length * 8 : Number(prefix) - outerBits;
  if (prefixBits < 0 || prefixBits > bytes.length * 8) return undefined;
  const isClean = bytes.every((byte, i) => (byte & ~maskOf(prefixBits, i) & 0xff) === 0);
  return isClean ? { text, prefixBits, bytes } : undefined;
}

/** Whether a network has the address. An IPv4 address within IPv6 (`::ffff:10.0.0.1`) counts as the IPv4 address. */
export function isWithin(address: string, { bytes, prefixBits }: IpNetwork): boolean {
  const own = bytesOf(address.split("%", 1)[0] ?? "");
  return own?.length === bytes.length &&
    own.every((byte, i) => ((byte ^ bytes[i]!) & maskOf(prefixBits, i)) === 0);
}

/**
 * What counts as one client: an IPv4 address, and the /64 that an IPv6 address is in, since that is what one customer or
 * machine is given at least (RFC 6177). A text that is no address counts as one, too.
 */
export function clientNetworkOf(address: string): string {
  const bytes = bytesOf(address.split("%", 1)[0] ?? "");
  return bytes === undefined ? address : bytes.slice(0, 8).join(".");
}

/** The bits of byte `i` that belong to a prefix. */
function maskOf(prefixBits: number, i: number): number {
  const bits = Math.min(8, Math.max(0, prefixBits - 8 * i));
  return (0xff00 >> bits) & 0xff;
}

const IPV4_WITHIN_IPV6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

function bytesOf(address: string): number[] | undefined {
  if (isIpv4(address)) return address.split(".").map(Number);
  if (!isIpv6(address)) return undefined;
  // The URL parser writes an IPv6 address in its one normal form, without dots.
  const [head = "", tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const bytes = [...before, ...Array<number>(zeros).fill(0), ...after].flatMap((
    group,
  ) => [group >> 8, group & 0xff]);
  const isMapped = IPV4_WITHIN_IPV6.every((byte, i) => bytes[i] === byte);
  return isMapped ? bytes.slice(12) : bytes;
}
