/**
 * The PROXY parser on bytes that anybody may send.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../lib/base/bytes.ts";
import { LONGEST_HEADER_BYTES, parseProxyHeader } from "../../lib/entrance/proxy_header.ts";
import { v2Header } from "../support/proxy_headers.ts";

const options = fc.record({
  version: fc.constantFrom(2, 2, 2, 1, 15),
  command: fc.constantFrom(0, 1, 1, 1, 2),
  family: fc.constantFrom(0x11, 0x11, 0x21, 0x00, 0x31, 0xff),
  source: fc.uint8Array({ maxLength: 20 }).map((bytes) => [...bytes]),
  sourcePort: fc.nat(65535),
  extensions: fc.nat(5000),
});
const v1Word = fc.constantFrom(
  "TCP4",
  "TCP6",
  "UNKNOWN",
  "203.0.113.7",
  "2001:db8::1",
  "443",
  "65536",
  "",
  "\r",
  "x",
);
const v1 = fc.array(v1Word, { maxLength: 8 }).map((words) =>
  new TextEncoder().encode(`PROXY ${words.join(" ")}\r\n`)
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  v1,
  options.map(v2Header),
  fc.tuple(options.map(v2Header), fc.nat(6000)).map(([header, length]) => header.subarray(0, length)),
);

Deno.test("parseProxyHeader() takes any bytes, and a verdict does not change with more of them", () => {
  fc.assert(
    fc.property(bytes, fc.uint8Array({ maxLength: 300 }), (first, more) => {
      const before = parseProxyHeader(first);
      const after = parseProxyHeader(concat([first, more]));
      if (before.kind !== "more") assert.deepEqual(after, before);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("parseProxyHeader() never asks for more than the longest header, nor takes more than it got", () => {
  fc.assert(
    fc.property(bytes, (first) => {
      const found = parseProxyHeader(first);
      if (found.kind === "more") assert.ok(first.byteLength < LONGEST_HEADER_BYTES);
      if ("headerBytes" in found) assert.ok(found.headerBytes <= first.byteLength && found.headerBytes >= 15);
      if (found.kind === "client") assert.ok(found.client.hostname !== "" && found.client.port <= 65535);
    }),
    { numRuns: 2_000 },
  );
});
