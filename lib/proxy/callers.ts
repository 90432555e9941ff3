/**
 * What the first bytes of a client say of its session, in the words of the router: from its first call in HTTP/2, or from
 * the server name in TLS that passes through. Pure.
 *
 * @module
 */
import type { Caller } from "../target/seats.ts";
import type { CallTap } from "./call_tap.ts";
import { ClientHello } from "./client_hello.ts";
import { type FirstCall, isTraceExport, isWatcher } from "./first_call.ts";
import type { Words } from "./introduction.ts";

/** The first byte of a TLS record with a handshake. Source: RFC 8446, section 5.1. */
const HANDSHAKE = 0x16;

/** Who makes this call. A client whose calls can be read can be held for as long as it must. */
export function callerOf(call: FirstCall): Caller {
  const purpose = isWatcher(call) ? "watch" : isTraceExport(call) ? "export" : "build";
  return { host: call.authority, traceId: call.traceId, purpose, isPatient: true };
}

/** Who is at the other end of a tap. A client that only watched and makes another call is one like all others. */
export function callerOfTap({ first, watches }: CallTap): Caller | undefined {
  if (first === undefined || first === "none") return undefined;
  const caller = callerOf(first);
  return caller.purpose === "watch" && !watches ? { ...caller, purpose: "build" } : caller;
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
