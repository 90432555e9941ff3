/**
 * How to connect to an API server, apart from who asks: what a kubeconfig's cluster says.
 *
 * @module
 */
import type { Http } from "./http.ts";
import type { KeyPair } from "./pem.ts";

/** How to connect. */
export interface Connection {
  /** Certificates of the authorities to trust, PEM; otherwise those that the runtime trusts. */
  readonly ca: string | undefined;
  /** Where `ca` comes from, or would have to be set, for messages. */
  readonly caSource: string;
  /** The proxy on the way. */
  readonly proxy: URL | undefined;
  /** Where `proxy` comes from, for messages. */
  readonly proxySource?: string | undefined;
  /** The name that the server's certificate must have, if it is not the host of the URL. */
  readonly serverName: string | undefined;
  /** Takes any certificate. */
  readonly insecure: boolean;
  /** Requests carry a header several times, which `fetch` cannot do. */
  readonly repeatsHeaders: boolean;
}

/** A connection's HTTP, whose client certificate may change while it is used. */
export interface ClientHttp extends Http {
  /** Presents this certificate on connections that are opened from now on, and opens new ones. */
  useClientCertificate(pair: KeyPair | undefined): void;
  /** Trusts these authorities on connections that are opened from now on, and opens new ones. */
  trust(ca: string | undefined): void;
}

/** Whether {@link Connection} needs `node:tls`. */
export function needsTls({ serverName, insecure, repeatsHeaders }: Connection): boolean {
  return serverName !== undefined || insecure || repeatsHeaders;
}

/**
 * Why this runtime cannot make such a connection; `undefined` when it can. On Deno 2.6 `node:tls` throws where nobody
 * can catch it when a handshake fails.
 */
export function runtimeFault(
  connection: Connection,
  denoVersion: string,
): string | undefined {
  const [major = 0, minor = 0] = denoVersion.split(".").map(Number);
  if (!needsTls(connection) || major > 2 || (major === 2 && minor >= 9)) return undefined;
  return `needs Deno 2.9 or later, this is ${denoVersion}`;
}
