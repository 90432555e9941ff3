/**
 * Tests of what the first bytes of a client say of its session.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { CallTap } from "../../../lib/proxy/call_tap.ts";
import { callerOf, TlsGreeting } from "../../../lib/proxy/callers.ts";
import { BEGIN, blockOf, EXPORT, headers, LOOK_UP, SOLVE, WATCH } from "../../support/calls.ts";
import { helloWith, records, serverNameExtension } from "../../support/client_hello.ts";

function tapped(...paths: readonly string[]): CallTap {
  const tap = new CallTap();
  tap.take(concat([BEGIN, ...paths.map((path, i) => headers(2 * i + 1, blockOf(path)))]));
  return tap;
}

for (
  const { paths, purpose } of [
    { paths: [SOLVE], purpose: "build" },
    { paths: [LOOK_UP], purpose: "build" },
    { paths: [WATCH], purpose: "watch" },
    { paths: [LOOK_UP, WATCH], purpose: "watch" },
    { paths: [EXPORT], purpose: "export" },
    { paths: [WATCH, EXPORT], purpose: "watch" },
    { paths: [EXPORT, WATCH], purpose: "watch" },
    { paths: [WATCH, SOLVE], purpose: "build" },
    { paths: [LOOK_UP, SOLVE, WATCH], purpose: "build" },
  ]
) {
  const names = paths.map((path) => path.split("/").at(-1)).join(", ");
  Deno.test(`callerOf() takes a client with the calls ${names} for one with the purpose "${purpose}"`, () => {
    const caller = callerOf(tapped(...paths));
    assert.deepEqual(caller, { host: "team-a:8372", traceId: undefined, purpose, isPatient: true });
  });
}

Deno.test("callerOf() knows nothing yet, and of other protocols that nothing will be known", () => {
  assert.equal(callerOf(tapped()), undefined);
  const tap = new CallTap();
  tap.take(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  assert.equal(callerOf(tap), "none");
});

Deno.test("TlsGreeting reads the server name from a ClientHello in any pieces; such a client cannot be held for long", () => {
  const hello = records(helloWith(serverNameExtension("team-a.ci")));
  for (const size of [1, 7, hello.byteLength]) {
    const greeting = new TlsGreeting();
    greeting.take(new Uint8Array());
    assert.equal(greeting.words, undefined);
    for (let at = 0; at < hello.byteLength; at += size) greeting.take(hello.subarray(at, at + size));
    assert.deepEqual(greeting.words, { host: "team-a.ci", purpose: "build", isPatient: false });
  }
});

Deno.test("TlsGreeting knows at once that other protocols say nothing", () => {
  const greeting = new TlsGreeting();
  greeting.take(Uint8Array.of(0x17, 3, 3));
  assert.equal(greeting.words, "none");
  greeting.take(Uint8Array.of(0x16));
  assert.equal(greeting.words, "none");
});

Deno.test("TlsGreeting says nothing of a client that names no server, once its ClientHello is whole", () => {
  const hello = records(helloWith());
  const greeting = new TlsGreeting();
  greeting.take(hello.subarray(0, -1));
  assert.equal(greeting.words, undefined);
  greeting.take(hello.subarray(-1));
  assert.equal(greeting.words, "none");
});
