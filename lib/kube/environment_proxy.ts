/**
 * Which HTTP proxy the environment names for a server, by the rules of Go and kubectl: `HTTPS_PROXY` or `HTTP_PROXY` by
 * the server's scheme, with the exceptions in `NO_PROXY`, in upper or lower case; also `ALL_PROXY`, which Deno reads.
 * Deno does not implement all rules: it ignores ports, and `NO_PROXY=*` for an IP address. `fetch` has no option for
 * "no proxy", so the server is added to `NO_PROXY` in a form that Deno understands. Source:
 * https://pkg.go.dev/golang.org/x/net/http/httpproxy. No I/O.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";

/** The proxy settings of the environment for a server; empty if there are none. */
export interface EnvironmentProxy {
  /** The proxy to use. */
  readonly proxy?: URL;
  /** The variable that names the proxy. */
  readonly proxySource?: string;
  /** Set if no proxy is to be used: the value of `NO_PROXY` plus the server in a form that Deno understands. */
  readonly noProxy?: string;
}

const PROTOCOLS = ["http:", "https:", "socks5:", "socks5h:"];

/**
 * The proxy of the environment for `server`.
 *
 * @throws UsageError when the variable does not hold a proxy URL
 */
export function environmentProxy(
  server: URL,
  env: (name: string) => string | undefined,
): EnvironmentProxy {
  const find = (...names: string[]) =>
    names.flatMap((name) => [name, name.toLowerCase()]).find((name) => env(name) !== undefined);
  const proxySource = find(server.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY", "ALL_PROXY");
  if (proxySource === undefined) return {};
  const noProxy = env("NO_PROXY") ?? env("no_proxy") ?? "";
  if (isExempt(server, noProxy)) {
    return { noProxy: [noProxy, bare(server.hostname)].filter((part) => part !== "").join(",") };
  }
  const text = env(proxySource)!;
  const url = text.includes("://") ? text : `http://${text}`;
  const proxy = URL.canParse(url) ? new URL(url) : undefined;
  if (
    proxy === undefined || !PROTOCOLS.includes(proxy.protocol) || proxy.hostname === "" || !isDecodable(proxy)
  ) {
    // The value is not quoted, because it may contain a password.
    throw new UsageError([
      `Cannot use the variable ${proxySource}: found no URL of a proxy, want one such as "http://proxy.example:3128"`,
    ]);
  }
  return { proxy, proxySource };
}

/** Whether name and password can be decoded. A percent sign without two hex digits is invalid. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

/** Whether no proxy is used for a server: localhost, and the entries of `NO_PROXY`. */
export function isExempt(server: URL, noProxy: string): boolean {
  const host = bare(server.hostname).toLowerCase();
  const port = server.port || (server.protocol === "https:" ? "443" : "80");
  const address = parseAddress(host);
  if (host === "localhost" || (address !== undefined && isLoopback(address))) return true;
  return noProxy.split(",").map((entry) => entry.trim().toLowerCase()).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    const range = parseRange(entry);
    if (range !== undefined) return address !== undefined && contains(range, address);
    const { host: wanted, port: wantedPort } = splitPort(entry);
    if (wanted === "" || (wantedPort !== undefined && wantedPort !== port)) return false;
    const wantedAddress = parseAddress(wanted);
    if (address !== undefined || wantedAddress !== undefined) {
      return address !== undefined && wantedAddress !== undefined && same(wantedAddress, address);
    }
    // "example.com" matches itself and its subdomains, ".example.com" and "*.example.com" only the subdomains.
    const domain = wanted.startsWith("*.") ? wanted.slice(1) : wanted;
    return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
  });
}

const bare = (host: string) => host.replace(/^\[|\]$/g, "");

function splitPort(entry: string): { readonly host: string; readonly port: string | undefined } {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*):([^:]*)$/.exec(entry) ?? [];
  return { host: bare(host ?? entry), port };
}

/** An address as 4 or 16 bytes. An IPv4-mapped IPv6 address has 4. */
type AddressBytes = readonly number[];

function parseAddress(text: string): AddressBytes | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const bytes = text.split(".").map(Number);
    return bytes.every((byte) => byte < 256) ? bytes : undefined;
  }
  const url = `http://[${text}]`;
  if (!URL.canParse(url)) return undefined;
  const [head = "", tail] = bare(new URL(url).hostname).split("::");
  const words = (part: string) => part === "" ? [] : part.split(":").map((word) => parseInt(word, 16));
  const [first, last] = [words(head), words(tail ?? "")];
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  const bytes = all.flatMap((word) => [word >> 8, word & 255]);
  const isMapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return isMapped ? bytes.slice(12) : bytes;
}

interface Range {
  readonly address: AddressBytes;
  readonly bits: number;
}

function parseRange(entry: string): Range | undefined {
  const [, text = "", bits] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const address = parseAddress(text);
  if (address === undefined || Number(bits) > address.length * 8) return undefined;
  return { address, bits: Number(bits) };
}

function contains({ address, bits }: Range, other: AddressBytes): boolean {
  if (address.length !== other.length) return false;
  return address.every((byte, index) => {
    const mask = (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 255;
    return (byte & mask) === (other[index]! & mask);
  });
}

const same = (a: AddressBytes, b: AddressBytes) => a.join() === b.join();

function isLoopback(address: AddressBytes): boolean {
  return address.length === 4 ? address[0] === 127 : same(address, parseAddress("::1")!);
}
