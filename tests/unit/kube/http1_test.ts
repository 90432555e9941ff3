/**
 * HTTP/1.1 as it arrives: in any portions, and cut off anywhere.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteReader, readBody, readHead, requestHead } from "../../../lib/kube/http1.ts";

const encode = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

async function* portions(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (let i = 0; offset < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

async function parse(text: string, sizes: readonly number[] = [Infinity]) {
  const reader = new ByteReader(portions(encode(text), sizes));
  const head = await readHead(reader);
  let body = "";
  for await (const part of readBody(reader, "GET", head)) body += String.fromCharCode(...part);
  return { status: head.status, body };
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
const latin = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });

/** The same body in both framings. */
function framings(parts: readonly string[]): string[] {
  const body = parts.join("");
  const chunks = parts.filter((part) => part !== "").map((part) =>
    `${part.length.toString(16)};x=y\r\n${part}\r\n`
  );
  return [
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks.join("")}0\r\ntrailer: t\r\n\r\n`,
  ];
}

Deno.test("readBody() gives the same body in whatever portions it arrives", async () => {
  await fc.assert(fc.asyncProperty(fc.array(latin), sizes, async (parts, cuts) => {
    for (const text of framings(parts)) {
      assert.deepEqual(await parse(text, cuts), { status: 200, body: parts.join("") });
    }
  }));
});

Deno.test("readBody() never takes an answer that was cut off for a whole one", async () => {
  await fc.assert(fc.asyncProperty(fc.array(latin), sizes, fc.nat(), async (parts, cuts, at) => {
    for (const text of framings(parts)) await assert.rejects(parse(text.slice(0, at % text.length), cuts));
  }));
});

Deno.test("readBody() reads to the end of the connection without a length, and nothing after 204", async () => {
  assert.deepEqual(await parse("HTTP/1.0 200 OK\r\n\r\nto the end"), { status: 200, body: "to the end" });
  assert.deepEqual(await parse("HTTP/1.1 204 No Content\r\n\r\n"), { status: 204, body: "" });
});

Deno.test("readHead() refuses what is malformed or endless", async () => {
  for (
    const text of [
      "SSH-2.0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      `HTTP/1.1 200 ${"x".repeat(70_000)}`,
    ]
  ) {
    await assert.rejects(parse(text));
  }
  const chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
  for (const rest of ["zz\r\n", "-1\r\n", "2\r\nabc\r\n", "\r\n"]) {
    await assert.rejects(parse(chunked + rest));
  }
});

Deno.test("requestHead() repeats a header and lets nothing else through that would end it", () => {
  assert.equal(requestHead("GET", "/x", { a: "1\n2" }), "GET /x HTTP/1.1\r\na: 1\r\na: 2\r\n\r\n");
  assert.throws(() => requestHead("GET", "/x", { a: "1\r" }), TypeError);
  assert.throws(() => requestHead("GET", "/x", { "a b": "1" }), TypeError);
});
