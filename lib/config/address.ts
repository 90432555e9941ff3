/**
 * Listen addresses in the form of Go (`:8080`, `127.0.0.1:8080`, `[::1]:8080`), and the hosts to bind for them. Pure:
 * resolves and opens nothing.
 *
 * @see https://pkg.go.dev/net#SplitHostPort
 * @module
 */
import { type Address, formatAddress } from "../base/network.ts";

/**
 * The host that means all interfaces. A listener on it serves IPv6 and IPv4 (clients of IPv4 appear as
 * `::ffff:a.b.c.d`), or IPv6 only: see {@link bindHostnames}.
 */
export const ANY_HOST = "::";

/**
 * Parses an address, or returns `undefined`. No host means all interfaces, port 0 means any free port. An IPv6 host
 * must be in brackets. Port names (`:http`) are not supported.
 */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\[\]]+)\]|([^:\[\]]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, ipv6, host = "", digits = ""] = match;
  const port = Number(digits);
  if (port > 65535) return undefined;
  if (ipv6 !== undefined) return isIpv6(ipv6) ? { hostname: ipv6, port } : undefined;
  if (host === "") return { hostname: ANY_HOST, port };
  return isIpv4(host) || isHostName(host) ? { hostname: host, port } : undefined;
}

/** The address in the form of Go: `:8080` for all interfaces. */
export function formatListenAddress(address: Address): string {
  return address.hostname === ANY_HOST ? `:${address.port}` : formatAddress(address);
}

/**
 * The hosts to bind. For all interfaces there is a second one, for systems where `::` is IPv6 only or IPv6 is disabled.
 */
export function bindHostnames(hostname: string): readonly string[] {
  return hostname === ANY_HOST ? [ANY_HOST, "0.0.0.0"] : [hostname];
}

/** Whether two listeners conflict: the same port on overlapping hosts. */
export function overlaps(a: Address, b: Address): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  return a.hostname === b.hostname || isAny(a.hostname, b.hostname) || isAny(b.hostname, a.hostname);
}

/** Whether `hostname` includes `other`: `::` includes everything, `0.0.0.0` everything except IPv6. */
function isAny(hostname: string, other: string): boolean {
  return hostname === ANY_HOST || (hostname === "0.0.0.0" && !isIpv6(other));
}

/** Four numbers up to 255 without leading zeros, which some parsers read as octal. */
export function isIpv4(host: string): boolean {
  const parts = host.split(".");
  return parts.length === 4 &&
    parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}

/** An IPv6 address without brackets, with or without a zone (`%eth0`). */
export function isIpv6(host: string): boolean {
  const [address = "", zone] = host.split("%", 2);
  return address.includes(":") && /^[0-9a-fA-F:.]+$/.test(address) && zone !== "" &&
    URL.canParse(`http://[${address}]/`);
}

/** A DNS name. Its last label must not be a number: `127.0.0.1.1` is not a name. */
function isHostName(host: string): boolean {
  const labels = host.split(".");
  return host.length <= 253 && !/^[0-9]+$/.test(labels.at(-1) ?? "") &&
    labels.every((label) => /^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$/.test(label));
}
