/**
 * How to connect to an API server, without credentials: the `cluster` of a kubeconfig.
 *
 * @module
 */
import type { Http } from "./http.ts";
import type { KeyPair } from "./pem.ts";

/** How to connect. */
export interface Connection {
  /** Certificates of the authorities to trust, in PEM. Without them, those of the runtime. */
  readonly ca: string | undefined;
  /** Where `ca` comes from, or where to set it, for messages. */
  readonly caSource: string;
  /** The HTTP proxy to connect through. */
  readonly proxy: URL | undefined;
  /** Where `proxy` comes from, for messages. */
  readonly proxySource?: string | undefined;
  /** The name that the server's certificate must have, if not the host of the URL. */
  readonly serverName: string | undefined;
  /** Whether the server's certificate is not verified. */
  readonly insecure: boolean;
  /** Whether requests repeat a header, which `fetch` cannot do. */
  readonly repeatsHeaders: boolean;
}

/** {@link Http} whose certificates may change while it is in use. */
export interface ClientHttp extends Http {
  /** Uses this client certificate, on new connections. */
  useClientCertificate(pair: KeyPair | undefined): void;
  /** Trusts these authorities, on new connections. */
  trust(ca: string | undefined): void;
}

/** Whether {@link Connection} needs `node:tls`. */
export function needsTls({ serverName, insecure, repeatsHeaders }: Connection): boolean {
  return serverName !== undefined || insecure || repeatsHeaders;
}

/**
 * Why this runtime cannot make such a connection, or `undefined` if it can. On Deno 2.6 a failed handshake of
 * `node:tls` throws an error that cannot be caught.
 */
export function runtimeFault(
  connection: Connection,
  denoVersion: string,
): string | undefined {
  const [major = 0, minor = 0] = denoVersion.split(".").map(Number);
  if (!needsTls(connection) || major > 2 || (major === 2 && minor >= 9)) return undefined;
  return `needs Deno 2.9 or later, this is ${denoVersion}`;
}
