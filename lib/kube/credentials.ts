/**
 * Who asks: what every kind of credential has in common, and the simple kinds. The others are in `exec_plugin.ts` and
 * `cached_file.ts`.
 *
 * @module
 */
import type { CachedFile } from "./cached_file.ts";
import type { KeyPair } from "./pem.ts";

/** What proves who asks. */
export interface Credential {
  /** Headers for every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The certificate to present on connections. */
  readonly clientCertificate?: KeyPair;
}

/** Where credentials come from. */
export interface Credentials {
  /**
   * The credential to use now.
   *
   * @throws Error that says which file or plugin failed and what to do
   */
  get(signal: AbortSignal): Promise<Credential>;
  /** The next `get` looks again: the server has refused what the last one gave. */
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

/** All of these together; where two give the same, the earlier wins. */
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
