/** Tests of `ClientHello`: the names that real clients ask for, and what is no ClientHello. @module */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { ClientHello, LONGEST_HELLO_BYTES } from "../../../lib/proxy/client_hello.ts";
import {
  extension,
  HELLO_START,
  helloWith,
  message,
  prefixed,
  realHello,
  records,
  serverNameExtension,
} from "../../support/client_hello.ts";

const NAME = "team-a.ci.svc.cluster.local";

/** What is read out of bytes that come in one piece, which must be the same as byte by byte. */
function read(bytes: Uint8Array): { serverName: string | undefined; done: boolean } {
  const whole = new ClientHello();
  assert.equal(whole.take(bytes), whole.done);
  const slow = new ClientHello();
  for (const byte of bytes) slow.take(Uint8Array.of(byte));
  assert.deepEqual([slow.serverName, slow.done], [whole.serverName, whole.done]);
  return { serverName: whole.serverName, done: whole.done };
}

const found = (serverName: string) => ({ serverName, done: true });
const NONE = { serverName: undefined, done: true };
const UNKNOWN = { serverName: undefined, done: false };

Deno.test("ClientHello finds the name that a real client asks for, with its last byte and not before", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const bytes = await realHello({ servername: NAME, ALPNProtocols: ["h2"], maxVersion });
    for (let length = 0; length < bytes.byteLength; length++) {
      assert.deepEqual(read(bytes.subarray(0, length)), UNKNOWN, `${length} bytes`);
    }
    assert.deepEqual(read(bytes), found(NAME));
  }
});

Deno.test("ClientHello finds no name of a real client that asks for none", async () => {
  assert.deepEqual(read(await realHello({ host: "127.0.0.1", servername: "" })), NONE);
});

Deno.test("ClientHello reads a message that is cut into records anywhere", async () => {
  const hello = (await realHello({ servername: NAME })).subarray(5);
  for (let cut = 1; cut < hello.byteLength; cut++) {
    assert.deepEqual(read(records(hello, cut)), found(NAME), `cut at ${cut}`);
  }
  const everywhere = Array.from({ length: hello.byteLength - 1 }, (_, i) => i + 1);
  assert.deepEqual(read(records(hello, ...everywhere)), found(NAME));
});

Deno.test("ClientHello says once that it is done, and changes nothing after that", () => {
  const reader = new ClientHello();
  const bytes = records(helloWith(serverNameExtension("a")));
  assert.equal(reader.take(concat([bytes, bytes])), true);
  assert.equal(reader.take(records(helloWith(serverNameExtension("b")))), false);
  assert.equal(reader.serverName, "a");
});

Deno.test("ClientHello finds the name between other extensions, and whatever comes after the message", () => {
  const other = extension(0xff01, new Uint8Array(1));
  const hello = helloWith(other, extension(16, new Uint8Array()), serverNameExtension("a"), other);
  assert.deepEqual(read(records(concat([hello, message(new Uint8Array(9), 2)]))), found("a"));
  assert.deepEqual(
    read(records(helloWith(extension(0x100, new Uint8Array()), serverNameExtension("a")))),
    found("a"),
  );
});

Deno.test("ClientHello finds no name without the extension, or without any", () => {
  assert.deepEqual(read(records(helloWith(extension(16, new Uint8Array(4))))), NONE);
  assert.deepEqual(read(records(helloWith())), NONE);
  assert.deepEqual(read(records(message(HELLO_START))), NONE);
});

Deno.test("ClientHello reads messages of up to 16 KiB", () => {
  assert.equal(LONGEST_HELLO_BYTES, 16_384);
  const frame = helloWith(extension(21, new Uint8Array()), serverNameExtension("a")).byteLength - 4;
  for (const [bytes, wanted] of [[16_384, found("a")], [16_385, NONE]] as const) {
    const hello = helloWith(extension(21, new Uint8Array(bytes - frame)), serverNameExtension("a"));
    assert.equal(hello.byteLength, 4 + bytes);
    assert.deepEqual(read(records(hello, 10_000)), wanted);
  }
});

Deno.test("ClientHello reads records of up to 16 KiB", () => {
  const name = serverNameExtension("a");
  const filled = (bytes: number) => {
    const padding = bytes - helloWith(name, extension(21, new Uint8Array())).byteLength;
    return records(helloWith(name, extension(21, new Uint8Array(padding))));
  };
  assert.deepEqual(read(filled(16_384)), found("a"));
  assert.deepEqual(read(filled(16_385)), NONE);
});

/** One byte of a sound ClientHello's records put to another value. */
function changed(at: number, value: number): Uint8Array {
  const bytes = records(helloWith(serverNameExtension(NAME)));
  bytes[at] = value;
  return bytes;
}

const names = (...parts: readonly Uint8Array[]) => records(helloWith(extension(0, prefixed(2, ...parts))));
const short = (bytes: Uint8Array) => records(message(bytes));

/** What must be taken for no name, each for one reason only. */
const ODD: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["an HTTP/2 client", new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\n")],
  ["an alert", changed(0, 21)],
  ["another major version", changed(1, 2)],
  ["an empty record", concat([Uint8Array.of(22, 3, 1, 0, 0), changed(0, 22)])],
  ["another message than a ClientHello", changed(5, 2)],
  ["an empty message", records(message(new Uint8Array()))],
  ["a message that is cut short within its random number", short(HELLO_START.subarray(0, 33))],
  ["a message that is cut short within its session", short(HELLO_START.subarray(0, 40))],
  ["a message that is cut short within its cipher suites", short(HELLO_START.subarray(0, 70))],
  ["a message without compression methods", short(HELLO_START.subarray(0, -2))],
  [
    "extensions that are cut short",
    short(concat([HELLO_START, prefixed(2, serverNameExtension("a")).subarray(0, -1)])),
  ],
  [
    "an extension that is cut short",
    short(concat([HELLO_START, prefixed(2, serverNameExtension("a").subarray(0, -1))])),
  ],
  ["an empty list of names", names()],
  ["a name of another kind", names(Uint8Array.of(1), prefixed(2, Uint8Array.of(97)))],
  ["an empty name", names(Uint8Array.of(0), prefixed(2))],
  ["a name that is cut short", names(Uint8Array.of(0, 0, 2, 97))],
  ["a name with a space", records(helloWith(serverNameExtension("a b")))],
  ["a name with a control character", records(helloWith(serverNameExtension("a\x7f")))],
  ["a name that is not ASCII", records(helloWith(serverNameExtension("é")))],
  ["a name that is not even UTF-8", names(Uint8Array.of(0), prefixed(2, Uint8Array.of(0xff)))],
];

for (const [what, bytes] of ODD) {
  Deno.test(`ClientHello finds no name in ${what}`, () => assert.deepEqual(read(bytes), NONE));
}

Deno.test("ClientHello takes the first of two names", () => {
  const name = (letter: number) => [Uint8Array.of(0), prefixed(2, Uint8Array.of(letter))];
  assert.deepEqual(read(names(...name(97), ...name(98))), found("a"));
});

Deno.test("ClientHello is done with the first byte that shows that there is none", () => {
  const doneAfter = (bytes: Uint8Array) => {
    const reader = new ClientHello();
    return [...bytes].findIndex((byte) => reader.take(Uint8Array.of(byte))) + 1;
  };
  assert.equal(doneAfter(changed(0, 21)), 5, "a record's header");
  assert.equal(doneAfter(changed(5, 2)), 9, "a message's header");
});
