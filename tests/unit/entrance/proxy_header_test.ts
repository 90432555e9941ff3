/**
 * What is taken for a header of the PROXY protocol.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { LONGEST_HEADER_BYTES, parseProxyHeader } from "../../../lib/entrance/proxy_header.ts";
import { v2Header } from "../../support/proxy_headers.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Looks at a header in one piece, with a client's bytes after it, and at each of its beginnings. */
function parseWhole(header: Uint8Array) {
  for (let length = 0; length < header.byteLength; length++) {
    assert.equal(parseProxyHeader(header.subarray(0, length)).kind, "more", `after ${length} bytes`);
  }
  return parseProxyHeader(concat([header, bytesOf("PRI * HTTP/2.0")]));
}

Deno.test("parseProxyHeader() reads version 1", () => {
  const header = bytesOf("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");
  assert.deepEqual(parseWhole(header), {
    kind: "client",
    client: { hostname: "203.0.113.7", port: 4711 },
    headerBytes: header.byteLength,
  });
  const ipv6 = parseWhole(bytesOf("PROXY TCP6 2001:db8::7 2001:db8::1 65535 443\r\n"));
  assert.deepEqual(ipv6.kind === "client" && ipv6.client, { hostname: "2001:db8::7", port: 65535 });
});

Deno.test("parseProxyHeader() finds no client in UNKNOWN, whatever follows", () => {
  for (
    const header of ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"]
  ) {
    assert.deepEqual(parseWhole(bytesOf(header)), { kind: "local", headerBytes: header.length });
  }
});

Deno.test("parseProxyHeader() reads version 2, with and without extensions", () => {
  for (const extensions of [0, 1, 500]) {
    const header = v2Header({ source: [203, 0, 113, 7], sourcePort: 4711, extensions });
    assert.deepEqual(parseWhole(header), {
      kind: "client",
      client: { hostname: "203.0.113.7", port: 4711 },
      headerBytes: header.byteLength,
    });
  }
  const source = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
  const ipv6 = parseWhole(v2Header({ source, sourcePort: 1 }));
  assert.deepEqual(ipv6.kind === "client" && ipv6.client, { hostname: "2001:db8::7", port: 1 });
});

Deno.test("parseProxyHeader() finds no client in LOCAL, in an unspecified family and in a Unix socket", () => {
  for (const options of [{ command: 0 }, { family: 0x00 }, { family: 0x31 }]) {
    const header = v2Header({ source: [203, 0, 113, 7], ...options });
    assert.deepEqual(parseWhole(header), { kind: "local", headerBytes: header.byteLength });
  }
});

const BAD: readonly (readonly [what: string, header: Uint8Array, why: RegExp])[] = [
  ["TLS", Uint8Array.of(0x16, 0x03, 0x01), /no header/],
  ["HTTP/2", bytesOf("PRI * HTTP/2.0\r\n\r\n"), /no header/],
  ["another protocol", bytesOf("PROXY TCP5 203.0.113.7 192.0.2.1 4711 443\r\n"), /cannot be parsed/],
  ["UDP", bytesOf("PROXY UDP4 203.0.113.7 192.0.2.1 4711 443\r\n"), /cannot be parsed/],
  [
    "an address of another family",
    bytesOf("PROXY TCP4 2001:db8::7 192.0.2.1 4711 443\r\n"),
    /cannot be parsed/,
  ],
  ["a name for an address", bytesOf("PROXY TCP4 localhost 192.0.2.1 4711 443\r\n"), /cannot be parsed/],
  [
    "a zone, which could hold any character",
    bytesOf("PROXY TCP6 fe80::1%\x1b[2J ::1 4711 443\r\n"),
    /cannot be parsed/,
  ],
  ["a port that is too large", bytesOf("PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n"), /cannot be parsed/],
  ["a missing port", bytesOf("PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n"), /cannot be parsed/],
  ["a word too many", bytesOf("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443 x\r\n"), /cannot be parsed/],
  ["two spaces", bytesOf("PROXY  TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"), /cannot be parsed/],
  ["no carriage return", bytesOf("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\n"), /CR LF/],
  ["no line end", bytesOf(`PROXY TCP4 ${"1".repeat(120)}`), /without a line end/],
  ["version 3", v2Header({ version: 3 }), /version 3/],
  ["an unknown command", v2Header({ command: 2 }), /command 2/],
  ["too few addresses", v2Header({ source: [203, 0] }), /too short/],
  ["too many extensions", v2Header({ extensions: LONGEST_HEADER_BYTES }), /want at most 4096/],
];

for (const [what, header, why] of BAD) {
  Deno.test(`parseProxyHeader() refuses ${what}`, () => {
    const found = parseProxyHeader(header);
    assert.equal(found.kind, "bad");
    if (found.kind === "bad") assert.match(found.why, why);
  });
}
