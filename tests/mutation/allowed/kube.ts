/**
 * Mutants of `lib/kube` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const KUBE: readonly Allowed[] = [
  {
    path: "lib/kube/connection.ts",
    line: 'const [major = 0, minor = 0] = denoVersion.split(".").map(Number);',
    to: "1",
    reason: "Deno's version has both parts; without them, 0 and 1 are too old alike",
  },
  {
    path: "lib/kube/fetch_http.ts",
    line: 'bare.username = bare.password = "";',
    reason:
      "Deno takes user and password apart from the URL first; an error of its own cannot quote what is not there",
  },
  {
    path: "lib/kube/reflector.ts",
    line: "if (urgent && !this.#urgent) this.#hurry.notify();",
    to: "||",
    reason: "whoever is woken too often looks at the time and waits on",
  },
  {
    path: "lib/kube/machine.ts",
    line: 'const code = codeOf(error) ?? (error instanceof Error ? error.name : "");',
    to: '"mutated"',
    reason: "every text that is no code does",
  },
  {
    path: "lib/kube/machine.ts",
    line: 'signal.removeEventListener("abort", onAbort);',
    reason:
      "each run has a signal of its own, which goes with it; a late abort meets a program that has ended",
  },
  {
    path: "lib/kube/tls_http.ts",
    line: 'socket.on("error", () => {}); // waiting code has its own listener; later errors do not matter',
    reason: "for an error between two waits, which no test can time",
  },
  {
    path: "lib/kube/tls_http.ts",
    line: "for (const socket of this.#own.splice(0).reverse()) {",
    to: "this.#own.splice(0)",
    reason: "all are destroyed in one go; the order only keeps TLS from seeing its connection end first",
  },
  {
    path: "lib/kube/tls_http.ts",
    line: "}, { highWaterMark: 0 });",
    reason: "with the stream's own default, one portion more is read ahead",
  },
  {
    path: "lib/kube/tls_http.ts",
    line: "work.catch(() => {});",
    reason: "only for work that fails after the race was lost, which ends with its socket",
  },
  {
    path: "lib/kube/tls_http.ts",
    line: 'await lifetime.race(secure, once(secure, "secureConnect"));',
    to: "{}",
    reason:
      "Deno itself sends nothing before it has accepted the certificate, which a test holds; others might send",
  },
  {
    path: "lib/kube/valve.ts",
    line: 'socket.on("error", (error) => this.destroy(error));',
    reason:
      "without it the end of the socket destroys the valve a moment later, and the client is told the same",
  },
  {
    path: "lib/kube/valve.ts",
    line: 'socket.on("close", () => this.destroy());',
    reason:
      "a second net: a socket ends with an error or an end before it closes, or is destroyed with the valve",
  },
  {
    path: "lib/kube/environment_proxy.ts",
    line: 'if (wanted === "" || (wantedPort !== undefined && wantedPort !== port)) return false;',
    to: "undefined",
    reason: "some() takes both for no",
  },
  {
    path: "lib/kube/environment_proxy.ts",
    line: 'if (entry === "") return false;',
    to: "undefined",
    reason: "some() takes both for no",
  },
];
