/**
 * The interface of all credentials, and the simple kinds. The others are in `client_certificate.ts` and
 * `exec_plugin.ts`.
 *
 * @module
 */
import type { CachedFile } from "./cached_file.ts";
import type { KeyPair } from "./pem.ts";

/** What authenticates a request. */
export interface Credential {
  /** Headers for every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The client certificate of its connection. */
  readonly clientCertificate?: KeyPair;
}

/** A source of credentials. */
export interface Credentials {
  /**
   * The credential to use now.
   *
   * @throws Error that names the file or plugin that failed, and the remedy
   */
  get(signal: AbortSignal): Promise<Credential>;
  /** Called when the server has refused the last credential: the next `get` reads a new one. */
  refresh(): void;
}

/** Credentials that never change. */
export function fixed(credential: Credential): Credentials {
  return { get: () => Promise.resolve(credential), refresh: () => {} };
}

/** The header of a bearer token (RFC 6750). */
export function bearer(token: string): Credential {
  return { headers: { authorization: `Bearer ${token}` } };
}

/** The header of a user and password (RFC 7617, in UTF-8). */
export function basic(username: string, password: string): Credential {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return { headers: { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` } };
}

/** The token in a file that is replaced from time to time. */
export function tokenFile(file: CachedFile): Credentials {
  return {
    get: async () => bearer(await file.read()),
    refresh: () => file.refresh(),
  };
}

/** All of these together. If two set the same header, the first one counts. */
export function combined(parts: readonly Credentials[]): Credentials {
  return {
    async get(signal) {
      const all: Credential[] = [];
      for (const part of parts) all.unshift(await part.get(signal));
      return all.reduce<Credential>(
        (sum, one) => ({ ...sum, ...one, headers: { ...sum.headers, ...one.headers } }),
        { headers: {} },
      );
    },
    refresh() {
      for (const part of parts) part.refresh();
    },
  };
}

/** Whether text can be sent as a token: printable ASCII without blanks. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
