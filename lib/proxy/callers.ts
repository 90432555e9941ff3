/**
 * What the first bytes of a client say of its session, in the words of the router: from its first call in HTTP/2, or from
 * the server name in TLS that passes through. Pure.
 *
 * @module
 */
import type { CallTap } from "./call_tap.ts";
import { ClientHello } from "./client_hello.ts";
import { isTraceExport } from "./first_call.ts";
import type { Words } from "./introduction.ts";

/** The first byte of a TLS record with a handshake. Source: RFC 8446, section 5.1. */
const HANDSHAKE = 0x16;

/** Who is at the other end of a tap, as far as it is known. A client whose calls can be read can be held for long. */
export function callerOf({ first, watches, done }: CallTap): Words {
  if (first === undefined || first === "none") return first;
  const purpose = watches ? "watch" : isTraceExport(first) && !done ? "export" : "build";
  return { host: first.authority, traceId: first.traceId, purpose, isPatient: true };
}

/** The first bytes of a client that speaks no HTTP/2. */
export class TlsGreeting {
  #hello: ClientHello | undefined;
  #isTls: boolean | undefined;

  /** What they say, as far as it is known. */
  get words(): Words {
    if (this.#isTls !== true) return this.#isTls === undefined ? undefined : "none";
    const hello = this.#hello!;
    if (hello.serverName !== undefined) {
      return { host: hello.serverName, purpose: "build", isPatient: false };
    }
    return hello.done ? "none" : undefined;
  }

  /** Takes the next bytes, from the very first on. */
  take(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#isTls ??= bytes[0] === HANDSHAKE;
    if (!this.#isTls) return;
    this.#hello ??= new ClientHello();
    this.#hello.take(bytes);
  }
}
